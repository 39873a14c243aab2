"""What is laid over a method reaches the trial and its row."""

from __future__ import annotations

import json

from orchestrator import load_sweep, read_rows, run_sweep

METHODS = (
    "methods=[{name: random_label, learning_rate: 1.0e-3}, "
    "{name: random_label, learning_rate: 1.0e-3, curriculum: {order: [easy_first, hard_first], start_share: 0.5}}, "
    "{name: random_label, learning_rate: 1.0e-3, lora: {rank: 2}}, "
    "{name: random_label, learning_rate: 2.0e-3, epochs: 2, best_epoch: true}, "
    "{name: scrub, preset: mubench, epochs: 2, superloss: {preset: mubench}}]"
)


def test_a_row_says_what_was_laid_over_and_the_outcome_depends_on_it(small_sweep, cache_dir, tmp_path):
    run_sweep(load_sweep(small_sweep, [METHODS]), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r")
    unlearned = rows[rows["stage"] == "unlearn"]
    assert set(unlearned["status"]) == {"done"}
    labeled = unlearned[unlearned["method"] == "random_label"]
    orders = [json.loads(text)["order"] if text else "" for text in labeled["curriculum"]]
    assert sorted(orders) == ["", "", "", "easy_first", "hard_first"]
    assert [json.loads(text) for text in labeled["lora"] if text] == [{"rank": 2, "alpha": 16.0, "dropout": 0.0}]
    assert labeled["forget_loss"].nunique() == 5
    assert labeled.loc[labeled["lora"] != "", "parameters"].max() < labeled["parameters"].max()
    (chosen,) = labeled[labeled["best_epoch"] != ""].to_dict("records")
    assert json.loads(chosen["best_epoch"]) == {"rule": "rewind"}
    assert (chosen["stop_reason"], chosen["epochs_ended"]) == ("budget", 1)  # the scores are charged
    assert chosen["note"] == "best_epoch kept epoch 1 of 1 (relabel 1)"
    (scrub,) = unlearned[unlearned["method"] == "scrub_mubench"].to_dict("records")
    assert scrub["method_label"] == "SCRUB (MU-Bench code)"
    assert json.loads(scrub["superloss"])["tau"] == "mubench"
