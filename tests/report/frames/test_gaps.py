"""Every run meets the Retrain of its own forget set and seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.frames.gaps import GAPS, with_gaps
from orchestrator.report.frames.select import prepare


def one(frame, **which):
    """The only row that matches."""
    chosen = np.logical_and.reduce([frame[name] == value for name, value in which.items()])
    assert chosen.sum() == 1
    return frame[chosen].iloc[0]


def test_gaps_are_absolute_differences_in_points(make_rows) -> None:
    found = with_gaps(prepare(make_rows(kinds=["sample"])))
    run, target = (one(found, method=m, seed=3) for m in ("scrub", "retrain"))
    parts = [abs(run[c] - target[c]) * 100 for c in ("test_accuracy", "forget_accuracy", "retain_accuracy")]
    assert [run["gap_test"], run["gap_forget"], run["gap_retain"]] == pytest.approx(parts)
    assert run["gap_mean"] == pytest.approx(sum(parts) / 3)
    assert run["gap_mia"] == pytest.approx(abs(run["mia_nonmember"] - target["mia_nonmember"]) * 100)
    assert run["difference_forget"] == pytest.approx((run["forget_accuracy"] - target["forget_accuracy"]) * 100)


def test_class_unlearning_is_compared_on_kept_and_forgotten_test_classes(make_rows) -> None:
    found = with_gaps(prepare(make_rows(kinds=["class"])))
    run, target = (one(found, method=m, seed=0) for m in ("salun", "retrain"))
    columns = ("test_accuracy_kept_classes", "test_accuracy_forgotten_classes", "forget_accuracy", "retain_accuracy")
    assert run["gap_mean"] == pytest.approx(100 * np.mean([abs(run[c] - target[c]) for c in columns]))


def test_rows_join_within_backbone_seed_ratio_and_kind(make_rows) -> None:
    rows = make_rows(backbones=["a", "b"], ratios=[0.01, 0.1], seeds=[0, 1])
    rows["parent_retrain"] = None  # so that cells alone decide
    retrained = rows["method"] == "retrain"
    rows.loc[retrained, "forget_accuracy"] = np.arange(retrained.sum()) / 100
    found = with_gaps(prepare(rows))
    for _, run in found[found["method"] == "scrub"].iterrows():
        cell = (found["method"] == "retrain") & (found["trial_id"] == run["trial_id"].replace("scrub", "retrain"))
        assert run["gap_forget"] == pytest.approx(
            100 * abs(run["forget_accuracy"] - found[cell]["forget_accuracy"].item())
        )


def test_the_parent_decides_where_two_retrained_models_fit(make_rows, change) -> None:
    rows = make_rows(kinds=["sample"], seeds=[0])
    other = change(rows[rows["method"] == "retrain"], {"seed": 0}, trial_id="other", forget_accuracy=0.0)
    other["finished_at"] = "2027-01-01"
    found = with_gaps(prepare(pd.concat([rows, other], ignore_index=True)))
    assert one(found, method="scrub")["gap_forget"] < 10  # the later one, at 0, is another's
    assert one(found, method="original")["gap_forget"] > 90  # names no parent: the latest of the cell


def test_without_a_finished_retrain_there_is_no_gap(make_rows, change) -> None:
    rows = change(make_rows(kinds=["sample"]), {"method": "retrain", "seed": 2}, status="failed")
    found = with_gaps(prepare(rows))
    lost = found[(found["seed"] == 2) & (found["method"] != "retrain")]
    assert lost["gap_mean"].isna().all()
    assert not lost["has_retrain"].any()
    assert found[(found["seed"] == 1) & (found["method"] != "retrain")]["gap_mean"].notna().all()


def test_another_training_is_no_target(make_rows, change) -> None:
    rows = make_rows(kinds=["sample"], seeds=[0])
    rows["parent_retrain"] = None
    found = with_gaps(prepare(change(rows, {"method": "retrain"}, original_settings='{"epochs": 3}')))
    assert found["gap_mean"].isna().all()


@pytest.mark.parametrize("column", ["original_seed", "corpus_fingerprint"])
def test_what_came_from_another_original_or_corpus_is_no_target(make_rows, change, column) -> None:
    rows = make_rows(kinds=["sample"], seeds=[0])
    rows["parent_retrain"] = None
    other = {"original_seed": 42, "corpus_fingerprint": "another"}[column]
    assert with_gaps(prepare(change(rows, {"method": "retrain"}, **{column: other})))["gap_mean"].isna().all()


def test_a_named_retrain_that_did_not_finish_is_not_replaced_by_another(make_rows, change) -> None:
    rows = make_rows(kinds=["sample"], seeds=[0])
    other = change(rows[rows["method"] == "retrain"], {"seed": 0}, trial_id="other")
    lost = change(rows, {"method": "retrain"}, status="diverged")
    found = with_gaps(prepare(pd.concat([lost, other], ignore_index=True)))
    assert np.isnan(one(found, method="scrub")["gap_mean"])


def test_a_missing_part_leaves_no_partial_mean(make_rows, change) -> None:
    rows = change(make_rows(kinds=["class"], seeds=[0]), {"method": "scrub"}, test_accuracy_forgotten_classes=np.nan)
    run = one(with_gaps(prepare(rows)), method="scrub")
    assert np.isnan(run["gap_mean"])
    assert not np.isnan(run["gap_forget"])


def test_retrain_itself_has_no_gap(make_rows) -> None:
    found = with_gaps(prepare(make_rows()))
    target = found[found["method"] == "retrain"]
    assert target[[*GAPS, "gap_mean", "difference_forget"]].isna().all(axis=None)
    assert target["has_retrain"].all()


def test_ratio_that_is_not_given_joins_too(make_rows) -> None:
    rows = make_rows(kinds=["speaker"], seeds=[0])
    rows["parent_retrain"] = None
    found = with_gaps(prepare(rows))
    assert found[found["method"] != "retrain"]["gap_mean"].notna().all()
