"""Stored outputs, whole and summarized, say the same."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import log_softmax, logsumexp

from orchestrator.evidence.distances import output_divergence
from orchestrator.evidence.outputs import Outputs, parse_outputs
from orchestrator.evidence.signals import modified_entropy, scaled_confidence, signals


def stored(logits: np.ndarray, labels: np.ndarray, *, summary: bool) -> pa.Table:
    """The columns that evaluation writes."""
    columns = {
        "utterance_id": [f"u{i}" for i in range(len(labels))],
        "part": ["forget"] * len(labels),
        "label": labels,
        "true_label": labels,
    }
    if summary:
        top = np.argsort(-logits, axis=1)[:, :5]
        p = np.exp(log_softmax(logits, axis=1))
        columns |= {
            "label_logit": logits[np.arange(len(labels)), labels],
            "logsumexp": logsumexp(logits, axis=1),
            "entropy": -(p * np.log(p)).sum(axis=1),
            "top_classes": list(top),
            "top_logits": list(np.take_along_axis(logits, top, axis=1)),
        }
    else:
        columns["logits"] = pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1)), logits.shape[1])
    return pa.table(columns)


@pytest.fixture
def both() -> tuple[Outputs, Outputs]:
    rng = np.random.default_rng(0)
    logits, labels = 3 * rng.normal(size=(50, 80)), rng.integers(0, 80, 50)
    whole, summary = (parse_outputs(stored(logits, labels, summary=s)) for s in (False, True))
    return whole, summary


def test_a_summary_gives_the_signals_of_the_whole(both) -> None:
    whole, summary = both
    assert (whole.complete, summary.complete) == (True, False)
    for name in ("loss", "entropy"):
        assert signals(summary)[name] == pytest.approx(signals(whole)[name])
    assert scaled_confidence(summary) == pytest.approx(scaled_confidence(whole))


def test_modified_entropy_of_a_summary_is_short_by_no_more_than_its_bound(both) -> None:
    whole, summary = both
    short = modified_entropy(whole) - modified_entropy(summary)
    fifth = np.exp(summary.log_probabilities[:, 4])
    rest = 1 - np.exp(summary.log_probabilities).sum(axis=1)
    assert (short >= -1e-12).all()
    assert (short <= -np.log1p(-fifth) * rest + 1e-12).all()


def test_modified_entropy_is_its_definition_written_out(outputs_of) -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05]])
    labels = np.array([0, 2])
    expected = [
        -(1 - 0.7) * np.log(0.7) - 0.2 * np.log(0.8) - 0.1 * np.log(0.9),
        -(1 - 0.05) * np.log(0.05) - 0.05 * np.log(0.95) - 0.9 * np.log(0.1),
    ]
    assert modified_entropy(outputs_of(np.log(p), labels)) == pytest.approx(expected)


def test_a_confident_wrong_answer_has_no_entropy_and_much_modified_entropy(outputs_of) -> None:
    sure = outputs_of(np.array([[20.0, 0.0, 0.0], [20.0, 0.0, 0.0]]), np.array([0, 1]))
    assert signals(sure)["entropy"] == pytest.approx([0.0, 0.0], abs=1e-6)
    right, wrong = modified_entropy(sure)
    assert right < 1e-6 < 10 < wrong


def test_scaled_confidence_is_the_logit_and_survives_saturation(outputs_of) -> None:
    outputs = outputs_of(np.array([[40.0, 0.0], [0.0, 40.0], [0.0, 0.0]]), np.array([0, 0, 0]))
    assert scaled_confidence(outputs) == pytest.approx([40.0, -40.0, 0.0])


def test_parts_and_ids_pick_their_utterances(both) -> None:
    whole, _ = both
    assert len(whole.part("forget")) == 50
    assert len(whole.part("test", "holdout")) == 0
    picked = whole.at(np.array(["u7", "u3"]))
    assert picked.label_log_probability == pytest.approx(whole.label_log_probability[[7, 3]])


def transcribed(losses, **more) -> Outputs:
    """What evaluation writes of a recognizer."""
    n = len(losses)
    columns = {
        "utterance_id": [f"u{i}" for i in range(n)],
        "part": ["forget"] * n,
        "label": [0] * n,
        "true_label": [0] * n,
        "loss": np.asarray(losses, dtype=np.float32),
        "reference": ["a b"] * n,
        "hypothesis": ["a"] * n,
    }
    return parse_outputs(pa.table(columns | more))


def test_outputs_of_a_recognizer_have_texts_losses_and_no_distribution() -> None:
    found = transcribed([0.5, 2.0], attribute_accent=["en", "fr"], attribute_voice=["f1", "m1"])
    assert signals(found)["loss"].tolist() == [-0.5, -2.0]
    assert scaled_confidence(found).tolist() == [-0.5, -2.0]
    assert np.isnan(signals(found)["entropy"]).all()
    assert (found.complete, found.has_distributions) == (False, False)
    picked = found.where([1])
    assert picked.hypotheses.tolist() == ["a"]
    assert picked.attributes[0] == {"accent": "fr", "voice": "m1"}
    assert transcribed([0.5]).attributes.tolist() == [{}]


def test_outputs_without_distributions_have_no_divergence(both) -> None:
    found = transcribed([0.5, 2.0])
    assert np.isnan(output_divergence(found, found)).all()
    assert both[0].has_distributions
    assert not np.isnan(output_divergence(*both)).any()
