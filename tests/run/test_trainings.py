"""Three kinds of training through the whole path, on a small corpus."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare
from orchestrator.results.store import open_store
from orchestrator.run.setup.checkpoints import load_artifacts, load_weights

COMMON = "learning_rate: 1.0e-3, epochs: 2, batch_size: 16"
KINDS = (
    f"[{{{COMMON}}}, {{kind: closed_form_head, features: 100}}, {{kind: early_checkpoints, keep_at: [0.5], {COMMON}}}]"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache_dir, write_small):
    """A finished run, its rows and its folder."""
    folder = tmp_path_factory.mktemp("trainings")
    overrides = [
        f"training={KINDS}", "unlearning=[{kind: sample, forget_ratio: 0.1}, {kind: class, classes: [go]}]",
        "methods=[original, retrain, downdate, {name: rewind, share: 0.5}]",
    ]  # fmt: skip
    dispatcher = run_sweep(
        load_sweep(write_small(folder), overrides), folder / "r", executor="local", cache_dir=cache_dir
    )
    return dispatcher, read_rows(folder / "r"), folder / "r"


def test_each_training_runs_what_suits_it_and_the_rest_is_told(finished):
    dispatcher, rows, _ = finished
    assert set(rows["status"]) == {"done"}
    lines = rows.groupby("training")["method"].unique().map(sorted).to_dict()
    assert lines == {
        "standard": ["original", "retrain"],
        "closed_form_head": ["downdate", "original", "retrain"],
        "early_checkpoints": ["original", "retrain", "rewind"],
    }
    assert len(dispatcher.refused) == 4


def test_downdate_equals_its_retrain_utterance_by_utterance(finished):
    _, rows, folder = finished
    own = rows[rows["training"] == "closed_form_head"]
    for _, row in own[own["method"] == "downdate"].iterrows():
        mine, its = (
            np.stack(pd.read_parquet(folder / "outputs" / f"{trial}.parquet")["logits"].to_numpy())
            for trial in (row["trial_id"], row["parent_retrain"])
        )
        np.testing.assert_allclose(mine, its, atol=1e-4)
    gaps = with_gaps(prepare(own))
    assert (gaps.loc[gaps["method"] == "downdate", "gap_mean"] == 0).all()


def test_a_class_that_was_forgotten_in_closed_form_is_never_answered(finished):
    _, rows, _ = finished
    own = rows[(rows["method"] == "downdate") & (rows["unlearning"] == "class")]
    assert own["forget_accuracy"].tolist() == own["test_accuracy_forgotten_classes"].tolist() == [0.0]


def test_early_checkpoints_leave_the_original_and_retrain_as_they_are(finished, comparable):
    _, rows, folder = finished
    both = rows[(rows["training"] != "closed_form_head") & rows["method"].isin(["original", "retrain"])]
    differ = {"trial_id", "recipe", "training", "parent_original", "parent_retrain"}
    columns = [name for name in comparable(folder).columns if name not in differ]
    standard, early = (own[columns].reset_index(drop=True) for own in _in_one_order(both))
    pd.testing.assert_frame_equal(standard, early)
    store = open_store(folder)
    first, second = (load_weights(store, own["trial_id"].iloc[0]) for own in _in_one_order(both[both.stage == "train"]))
    assert all(torch.equal(first[name], value) for name, value in second.items())


def _in_one_order(rows):
    for title in ("standard", "early_checkpoints"):
        yield rows[rows["training"] == title].sort_values(["stage", "unlearning", "method"])


def test_what_is_kept_lies_beside_the_original_and_its_seconds_in_the_row(finished):
    _, rows, folder = finished
    trained = rows[rows["stage"] == "train"].set_index("training")
    assert trained.loc["standard", "preparation_seconds"] == 0.0
    for title, names in (("closed_form_head", {"gram", "counts"}), ("early_checkpoints", {"losses", "utterances"})):
        kept = load_artifacts(open_store(folder), trained.loc[title, "trial_id"])
        assert names <= set(kept)
        assert trained.loc[title, "preparation_seconds"] > 0
    assert rows.loc[rows["stage"] != "train", "preparation_seconds"].isna().all()
    assert rows["setup_seconds"].notna().all()


def test_budgets_are_shares_of_the_retraining_of_the_same_kind(finished):
    _, rows, _ = finished
    row = rows[(rows["method"] == "downdate") & (rows["unlearning"] == "sample")].iloc[0]
    assert row["budget_samples"] == pytest.approx(row["num_retain"] / 3)
    assert row["samples"] == pytest.approx((row["num_forget"] + row["num_validation"]) / 3)


def test_rows_know_their_training(finished):
    _, rows, _ = finished
    for _, row in rows.iterrows():
        kind = json.loads(row["recipe"]).get("training_kind")
        assert row["training"] == (kind["name"] if kind else "standard")
