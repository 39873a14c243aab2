"""From a model's logits to a row: in bounded memory, and only when they are finite."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from methods.engine.loop import Diverged
from orchestrator.forgetting.attributes import Attribute
from orchestrator.results.store import open_store
from orchestrator.run.evaluation.measures import keep_outputs, measures
from orchestrator.run.setup.problem import TrialSplit, predict

BYTES_AT_ONCE = 150e6


def drawn(utterances: int, classes: int) -> tuple[SimpleNamespace, SimpleNamespace, TrialSplit]:
    """What evaluation needs of a trial and a corpus: 10 % are forgotten, 10 % validate, 10 % test, 1 % is held out."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=utterances)
    ids = np.array([f"u{number}" for number in range(utterances)])
    corpus = SimpleNamespace(
        labels=labels,
        true_labels=labels,
        classes=tuple(map(str, range(classes))),
        utterance_ids=ids,
        speakers=ids,
        num_samples=np.full(utterances, 16_000),
        levels_db=lambda rows: np.zeros(len(rows), dtype=np.float32),
    )
    edges = (np.cumsum([0.1, 0.1, 0.1, 0.01]) * utterances).astype(int)
    forget, validation, test, holdout, retain = np.split(np.arange(utterances), edges)
    before = np.empty(0, dtype=np.int64)
    parts = TrialSplit(forget, retain, validation, test, holdout, before, (), (), 0.125)
    spec = SimpleNamespace(task=SimpleNamespace(title="t"), seed=0, request={"kind": "sample"})
    return SimpleNamespace(spec=spec), corpus, parts


class Noise(torch.nn.Module):
    """Random logits for each utterance."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return torch.randn(len(features), self.classes)


def noise(utterances: int, classes: int, folder) -> torch.Tensor:
    bank = SimpleNamespace(evaluate=lambda rows: (rows, rows))
    return predict(Noise(classes), bank, utterances, torch.device("cpu"), folder)


def test_a_trial_is_evaluated_without_holding_all_logits(tmp_path):
    assignment, corpus, parts = drawn(20_000, 400)
    tracemalloc.start()
    logits = noise(20_000, 400, tmp_path / "scratch")
    row = measures(assignment, corpus, parts, logits)
    keep_outputs(open_store(tmp_path), "a", corpus, parts, logits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BYTES_AT_ONCE  # as arrays, logits and what is computed of them would be 390 MB
    assert row["retain_accuracy"] == (logits.numpy().argmax(axis=1) == corpus.labels)[parts.retain].mean()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_predictions_are_the_models_in_the_order_of_rows(tmp_path):
    bank = SimpleNamespace(evaluate=lambda rows: (rows[:, None].float(), rows))
    model = torch.nn.Linear(1, 3)
    model.forward = lambda features, lengths: features * torch.tensor([1.0, 2.0, 3.0])
    logits = predict(model, bank, 70, torch.device("cpu"), tmp_path)
    assert torch.equal(logits, torch.arange(70.0)[:, None] * torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("part", ["forget", "retain", "test", "validation", "holdout"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_on_one_utterance_is_divergence(tmp_path, part, value):
    assignment, corpus, parts = drawn(200, 5)
    logits = noise(200, 5, tmp_path)
    logits[getattr(parts, part)[0]] = value
    with pytest.raises(Diverged, match=f"a loss on the {part} set is not finite at evaluation"):
        measures(assignment, corpus, parts, logits)


def test_wrong_labels_that_were_not_known_are_measured_apart(tmp_path):
    assignment, corpus, parts = drawn(400, 4)
    logits = noise(400, 4, tmp_path / "scratch")
    corpus.true_labels = corpus.labels.copy()
    unknown = parts.retain[:6]
    corpus.true_labels[[*parts.forget[:5], *unknown]] = (corpus.labels[[*parts.forget[:5], *unknown]] + 1) % 4
    assert "num_unknown" not in measures(assignment, corpus, parts, logits)
    assignment.spec.request = {"kind": "mislabeled", "known_share": 0.5}
    row = measures(assignment, corpus, parts, logits)
    predicted = logits.numpy().argmax(axis=1)[unknown]
    assert row["num_unknown"] == 6
    assert row["unknown_accuracy"] == np.mean(predicted == corpus.labels[unknown])
    assert row["unknown_true_label_accuracy"] == np.mean(predicted == corpus.true_labels[unknown])


def test_recordings_without_a_value_of_the_attribute_are_no_others(tmp_path):
    assignment, corpus, parts = drawn(400, 4)
    logits = noise(400, 4, tmp_path / "scratch")
    pitch = np.where(np.arange(400) % 3 == 0, np.nan, np.arange(400) % 2)  # two of three have one
    corpus.attributes = {"pitch": pitch}
    row = measures(assignment, corpus, replace(parts, attribute=Attribute("pitch", at_least=0.5)), logits)
    right = logits.numpy().argmax(axis=1) == corpus.labels
    assert row["test_accuracy_attribute"] == np.mean(right[parts.test][pitch[parts.test] == 1])
    assert row["test_accuracy_others"] == np.mean(right[parts.test][pitch[parts.test] == 0])
