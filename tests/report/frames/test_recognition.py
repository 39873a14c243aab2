"""Gaps of recognizers are points of WER; rows of classifiers are left as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.recognition import with_word_accuracy
from orchestrator.report.frames.select import prepare, reported
from orchestrator.results.schema import SETS


def of_recognizers(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows as a recognizer would have them: its WER is what a classifier lacks in accuracy."""
    found = rows.assign(task_kind="transcripts", task="sentences", num_forget=20.0, num_test=50.0)
    for name in ("forget", "retain", "test", "validation"):
        wer = 1 - rows[f"{name}_accuracy"].astype(float)
        found[f"{name}_wer"], found[f"{name}_cer"] = wer, wer / 2
        found[f"{name}_words"], found[f"{name}_word_insertions"] = 100, 5
        found[f"{name}_empty_outputs"], found[f"{name}_looping_outputs"] = 1, 2
    blank = [name for name in found if str(name).startswith(tuple(SETS)) and "accuracy" in str(name)]
    return found.assign(**dict.fromkeys([*blank, "chance_accuracy", "constant_predictor_accuracy"], np.nan))


@pytest.fixture(scope="module")
def both(make_rows):
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], seeds=[0, 1, 2])
    return prepare(rows), prepare(of_recognizers(rows))


def test_gaps_are_those_of_word_accuracy(both) -> None:
    classes, texts = (with_gaps(rows) for rows in both)
    for name in ("gap_forget", "gap_retain", "gap_test", "gap_mean", "difference_forget", "task_loss"):
        assert np.allclose(texts[name], classes[name], equal_nan=True, atol=1e-6), name
    assert texts["gap_mean"].notna().any()
    wer = texts.set_index("trial_id")["forget_wer"]
    scrub = texts[texts["method"] == "scrub"].iloc[0]
    assert scrub["gap_forget"] == pytest.approx(100 * abs(scrub["forget_wer"] - wer[scrub["parent_retrain"]]))


def test_a_wer_above_one_is_an_accuracy_below_zero(both) -> None:
    worse = both[1].assign(test_wer=1.5)
    assert with_word_accuracy(worse)["test_accuracy"].tolist() == [-0.5] * len(worse)


def test_rates_are_by_words_and_by_utterances_and_absent_without_any(both) -> None:
    found = with_word_accuracy(both[1])
    assert found["forget_insertion_rate"].iloc[0] == 0.05
    assert found["forget_hallucinated"].iloc[0] == 3 / 20
    nothing = with_word_accuracy(both[1].assign(forget_words=0.0, num_forget=0.0))
    assert nothing[["forget_insertion_rate", "forget_hallucinated"]].isna().all().all()


def test_rows_of_classifiers_are_unchanged(both) -> None:
    assert with_word_accuracy(both[0]) is both[0]
    assert not [name for name in reported(with_gaps(both[0]))[0] if str(name).endswith(("_rate", "_hallucinated"))]
