"""From transcripts to a row: pooled errors of each part, collapse, and outputs that evidence reads back."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from methods.engine.loop import Diverged
from orchestrator.evidence.outputs import parse_outputs
from orchestrator.results.store import open_store
from orchestrator.run.evaluation.transcripts import Transcripts, curve_point, keep_outputs, load, measures, save
from orchestrator.run.setup.problem import TrialSplit

COUNT = 40
PARTS = np.split(np.arange(COUNT), [8, 24, 32])


@pytest.fixture
def corpus():
    texts = np.array([f"say word{number}" for number in range(COUNT)], dtype=object)
    ids = np.array([f"u{number}" for number in range(COUNT)], dtype=object)
    canary = np.array(["secret", *[""] * (COUNT - 1)], dtype=object)
    columns = {"utterance_id": ids, "text": texts, "canary": canary}
    return SimpleNamespace(
        info={"target": "transcripts", "normalizer": "english-1"},
        labels=np.zeros(COUNT, dtype=np.int64),
        true_labels=np.zeros(COUNT, dtype=np.int64),
        texts=texts,
        utterance_ids=ids,
        speakers=ids,
        num_samples=np.full(COUNT, 16_000),
        levels_db=lambda rows: np.zeros(len(rows), dtype=np.float32),
        column=lambda name: columns[name],
        table=pa.table({name: pa.array(values.tolist()) for name, values in columns.items()}),
    )


@pytest.fixture
def parts():
    forget, retain, validation, test = PARTS
    nothing = np.empty(0, dtype=np.int64)
    return TrialSplit(forget, retain, validation, test, nothing, nothing, (), (), 0.3)


@pytest.fixture
def assignment():
    backbone = SimpleNamespace(instance=SimpleNamespace(largest_wer=0.1))
    spec = SimpleNamespace(task=SimpleNamespace(title="t"), seed=0, request={"kind": "sample"}, backbone=backbone)
    return SimpleNamespace(spec=spec)


def said(corpus, wrong=()):
    texts = corpus.texts.copy()
    texts[list(wrong)] = "say"
    losses = np.linspace(0.1, 1.0, COUNT).astype(np.float32)
    return Transcripts(losses, texts)


def test_a_row_has_pooled_errors_and_the_loss_of_each_part(assignment, corpus, parts) -> None:
    row = measures(assignment, corpus, parts, said(corpus, wrong=[0, 1]))
    assert row["forget_wer"] == 2 / 16
    assert row["retain_wer"] == row["test_wer"] == 0.0
    assert (row["forget_words"], row["forget_word_deletions"]) == (16, 2)
    assert row["forget_cer"] > 0
    assert row["forget_loss"] == pytest.approx(float(np.linspace(0.1, 1.0, COUNT)[:8].mean()), rel=1e-5)
    assert not row["collapsed"]
    assert "forget_accuracy" not in row
    assert np.isnan(row["holdout_wer"])
    assert 0 <= row["mia_auc"] <= 1


def test_a_row_has_the_limit_of_its_backbone(assignment, corpus, parts) -> None:
    assert measures(assignment, corpus, parts, said(corpus))["largest_wer"] == 0.1


def test_canaries_are_neither_members_nor_others(assignment, corpus, parts) -> None:
    plain = measures(assignment, corpus, parts, said(corpus))
    known = said(corpus)
    known.losses[0] = 0.0  # of the canary, which is in D_f
    assert measures(assignment, corpus, parts, known)["mia_auc"] == plain["mia_auc"]
    only = replace(parts, forget=parts.forget[:1])
    assert "mia_auc" not in measures(assignment, corpus, only, known)


def test_one_output_for_all_is_a_collapse(assignment, corpus, parts) -> None:
    assert measures(assignment, corpus, parts, said(corpus, wrong=range(COUNT)))["collapsed"]


def test_a_loss_that_is_not_finite_is_no_row(assignment, corpus, parts) -> None:
    found = said(corpus)
    found.losses[10] = np.inf
    with pytest.raises(Diverged, match="retain"):
        measures(assignment, corpus, parts, found)


def test_evidence_reads_the_outputs_back(corpus, parts, tmp_path) -> None:
    store = open_store(tmp_path)
    keep_outputs(store, "a", corpus, parts, said(corpus, wrong=[0]))
    outputs = parse_outputs(store.read_table(store.outputs.path("a")))
    forget = outputs.part("forget")
    assert forget.hypotheses[0] == "say"
    assert forget.references[0] == "say word0"
    assert forget.attributes[0] == {"canary": "secret"}
    assert -forget.label_log_probability[0] == pytest.approx(0.1)


def test_answers_that_are_kept_read_back(corpus, tmp_path) -> None:
    store, found = open_store(tmp_path), said(corpus, wrong=[3])
    save(store, "a", found, 0.5)
    again = load(store, "a")
    assert np.array_equal(again.losses, found.losses)
    assert again.hypotheses.tolist() == found.hypotheses.tolist()


def test_a_curve_has_word_accuracy_and_nothing_of_an_empty_set(corpus) -> None:
    point = curve_point({"forget": np.array([0, 1]), "retain": np.array([], dtype=int)}, corpus, said(corpus, [0]))
    assert point["forget_accuracy"] == 0.75
    assert point["retain_accuracy"] is None
