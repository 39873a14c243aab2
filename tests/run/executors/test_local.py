"""The whole path on a small corpus: plan, run, rows, resume, failures; one process, no Ray."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep
from orchestrator.results.curves import read_curve
from orchestrator.results.store import open_store


def of_plan(rows, loaded):
    """Select the rows of the trials that a sweep plans."""
    return rows[rows["trial_id"].isin([spec.trial_id for spec in plan_sweep(loaded).grid.trials])]


def test_every_planned_trial_has_one_row_that_is_done(finished):
    loaded, results, dispatcher = finished
    rows = read_rows(results)
    assert sorted(rows["trial_id"]) == sorted(spec.trial_id for spec in plan_sweep(loaded).grid.trials)
    assert set(rows["status"]) == {"done"}
    assert dispatcher.over


def test_rows_are_filled(finished):
    rows = read_rows(finished[1])
    unlearned = rows[rows["unlearning"] != "none"]
    assert unlearned[unlearned["unlearning"] == "sample"]["mia_auc"].notna().all()
    for column in ("forget_accuracy", "retain_macro_f1", "test_loss", "test_largest_prediction_share", "mia_nonmember"):
        assert unlearned[column].notna().all(), column
    assert (rows["samples"] > 0).sum() == len(rows) - 2  # the two lines of Original do nothing
    assert set(rows["mia_reference"].dropna()) == {"holdout"}


def test_original_lines_repeat_the_originals_scores(finished):
    rows = read_rows(finished[1])
    trained = rows[rows["stage"] == "train"].iloc[0]
    for _, line in rows[(rows["method"] == "original") & (rows["stage"] == "unlearn")].iterrows():
        assert line["test_accuracy"] == trained["test_accuracy"]
        assert line["validation_loss"] == pytest.approx(trained["validation_loss"], rel=1e-6)


def test_the_originals_outputs_are_never_made_again(small_sweep, cache_dir, tmp_path, monkeypatch):
    from orchestrator.run.evaluation import answers

    calls = []
    real = answers.predict
    monkeypatch.setattr(answers, "predict", lambda *args: calls.append(1) or real(*args))
    loaded = load_sweep(small_sweep, ["unlearning=[{kind: sample, forget_ratio: [0.1, 0.2]}]", "methods=[original]"])
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert len(read_rows(tmp_path / "r")) == 3
    assert len(calls) == 1


def test_all_methods_forget_the_same_utterances(finished):
    store = open_store(finished[1])
    rows = store.rows()
    for _, group in rows[rows["unlearning"] != "none"].groupby("unlearning"):
        forgotten = set()
        for trial_id in group["trial_id"]:
            outputs = pd.read_parquet(finished[1] / "outputs" / f"{trial_id}.parquet")
            forgotten.add(tuple(sorted(outputs[outputs["part"] == "forget"]["utterance_id"])))
        assert len(forgotten) == 1


def test_class_unlearning_forgets_the_class_and_scores_it_apart(finished):
    rows = read_rows(finished[1])
    row = rows[(rows["unlearning"] == "class") & (rows["method"] == "retrain")].iloc[0]
    assert row["forget_classes"] == "go"
    assert row["test_accuracy_forgotten_classes"] == 0.0
    assert row["test_accuracy_kept_classes"] > 0.0


def test_stored_outputs_give_the_rows_accuracies(finished):
    rows = read_rows(finished[1])
    row = rows[rows["method"] == "scrub"].iloc[0]
    outputs = pd.read_parquet(finished[1] / "outputs" / f"{row['trial_id']}.parquet")
    logits = np.stack(outputs["logits"].to_numpy())
    correct = logits.argmax(axis=1) == outputs["label"]
    for part in ("forget", "test", "validation", "holdout"):
        assert correct[outputs["part"] == part].mean() == pytest.approx(row[f"{part}_accuracy"])


def test_a_second_run_has_nothing_to_do(finished, cache_dir):
    loaded, results, _ = finished
    before = {p.name: p.stat().st_mtime_ns for p in (results / "rows").iterdir()}
    dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert dispatcher.num_already_done == len(before)
    assert {p.name: p.stat().st_mtime_ns for p in (results / "rows").iterdir()} == before


def test_the_budget_holds_and_is_recorded(small_sweep, cache_dir, begun):
    tight = load_sweep(small_sweep, ["time_budget={fraction: 0.2, unit: samples}"])
    run_sweep(tight, begun, executor="local", cache_dir=cache_dir)
    rows = of_plan(read_rows(begun), tight).set_index("method")
    scrub = rows.loc["scrub"]
    assert scrub["stop_reason"] == "budget"
    assert scrub["budget_source"] == "retrain schedule"
    assert scrub["budget_samples"] == pytest.approx(0.2 * 2 * rows.loc["retrain", "num_retain"])
    assert scrub["budget_samples"] <= scrub["samples"] < scrub["budget_samples"] + 32 * 4 / 3


def test_an_epoch_that_the_budget_cuts_off_has_not_ended(small_sweep, cache_dir, begun):
    changes = ["time_budget={fraction: [0.2, 0.7], unit: samples}", "methods=[{name: fine_tune, epochs: 3}]"]
    tight = load_sweep(small_sweep, changes)  # of the two epochs of a retraining
    run_sweep(tight, begun, executor="local", cache_dir=cache_dir)
    rows = of_plan(read_rows(begun), tight).query("method == 'fine_tune'").sort_values("budget_fraction")
    assert rows["stop_reason"].tolist() == ["budget", "budget"]
    assert rows["epochs_ended"].tolist() == [0, 1]
    assert (rows["steps"] > 0).all()
    ends = [read_curve(open_store(begun), trial_id)[-1] for trial_id in rows["trial_id"]]
    assert [(end["point"], end["epoch"]) for end in ends] == [("end", 0), ("end", 1)]


def test_a_seconds_budget_comes_from_retrains_charge(small_sweep, cache_dir, begun):
    loaded = load_sweep(small_sweep, ["time_budget={fraction: 0.5, unit: seconds}"])
    run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
    rows = of_plan(read_rows(begun), loaded).set_index("method")
    assert rows.loc["scrub", "budget_seconds"] == pytest.approx(0.5 * rows.loc["retrain", "optimization_seconds"])
    assert rows.loc["scrub", "budget_source"] == "retrain seconds"


def test_without_retrain_the_seconds_come_from_the_original(small_sweep, cache_dir, begun):
    loaded = load_sweep(small_sweep, ["time_budget={fraction: 0.5, unit: seconds}", "methods=[grad_ascent]"])
    run_sweep(loaded, begun, executor="local", cache_dir=cache_dir)
    rows = of_plan(read_rows(begun), loaded).set_index("method")
    expected = 0.5 * rows.loc["original", "optimization_seconds"] * (1 - rows.loc["grad_ascent", "forget_ratio"])
    assert rows.loc["grad_ascent", "budget_seconds"] == pytest.approx(expected)
    assert rows.loc["grad_ascent", "budget_source"] == "original seconds"


def test_a_study_tunes_the_original_and_the_winner_trains_it(small_sweep, cache_dir, tmp_path):
    overrides = ["methods=[original]", "training.study={trials: 3, learning_rate: [1.0e-4, 1.0e-2], epochs: [1, 2]}"]
    run_sweep(load_sweep(small_sweep, overrides), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r")
    searched = rows[rows["stage"] == "study"]
    best = searched.sort_values(["objective", "study_trial"]).iloc[0]
    assert len(searched) == 3
    assert json.loads(rows[rows["stage"] == "train"].iloc[0]["settings"]) == json.loads(best["settings"])


def test_kept_models_are_written_whole(small_sweep, cache_dir, tmp_path):
    overrides = ["keep_models=final", "methods=[original, retrain, grad_ascent]"]
    run_sweep(load_sweep(small_sweep, overrides), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r")
    kept = {folder.name for folder in (tmp_path / "r" / "unlearned").iterdir()}
    lines = rows[(rows["stage"] != "unlearn") | (rows["method"] != "original")]  # that line is the original itself
    assert set(lines["stage"]) == {"train", "retrain", "unlearn"}
    assert kept == set(lines["trial_id"])
    assert all((tmp_path / "r" / "unlearned" / name / "model.safetensors").is_file() for name in kept)
