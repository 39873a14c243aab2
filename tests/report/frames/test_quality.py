"""Recognizers whose original is too weak are not reported, and it is said why."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.report.frames.quality import without_weak_recognizers
from orchestrator.report.frames.scope import select
from orchestrator.report.frames.select import prepare


def rows(wer: float | None, largest: float | None = None) -> pd.DataFrame:
    shared = {
        "largest_wer": largest,
        "task": "sentences",
        "backbone": "nano",
        "status": "done",
        "seed": 0,
        "sweep": "s",
    }
    return pd.DataFrame(
        [
            {**shared, "trial_id": "o", "stage": "train", "test_wer": wer},
            {**shared, "trial_id": "m", "stage": "unlearn", "parent_original": "o", "test_wer": 0.9},
        ]
    )


def test_runs_of_a_weak_original_are_left_out_with_its_error_rate() -> None:
    kept, said = without_weak_recognizers(prepare(rows(0.4)))
    assert kept.empty
    (sentence,) = said
    assert "2 runs on sentences with nano" in sentence
    assert "40.0 %" in sentence


def test_retrain_which_names_no_original_goes_with_the_runs_of_its_original() -> None:
    shared = {"original_seed": 0, "original_settings": "{}", "training": "standard", "corpus_fingerprint": "c"}
    made = rows(0.4).assign(**shared)
    retrain = {**made.iloc[1].to_dict(), "trial_id": "r", "stage": "retrain", "parent_original": None, "test_wer": 0.3}
    other = {**retrain, "trial_id": "other", "original_seed": 1}
    kept, said = without_weak_recognizers(prepare(pd.DataFrame([*made.to_dict("records"), retrain, other])))
    assert kept["trial_id"].tolist() == ["other"]
    assert "3 runs" in said[0]


@pytest.mark.parametrize("wer", [0.25, None])
def test_runs_of_a_good_original_and_of_classifiers_stay_whatever_a_method_does(wer) -> None:
    kept, said = without_weak_recognizers(prepare(rows(wer)))
    assert kept["trial_id"].tolist() == ["o", "m"]
    assert not said


def test_each_backbone_has_its_own_limit() -> None:
    kept, said = without_weak_recognizers(prepare(rows(0.2, 0.1)))
    assert kept.empty
    assert "this backbone is reported up to 10 %" in said[0]
    kept, _ = without_weak_recognizers(prepare(rows(0.2, 0.25)))
    assert len(kept) == 2


def test_a_page_without_any_other_run_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"40\.0 % on D_t"):
        select(rows(0.4))
