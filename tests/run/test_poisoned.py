"""A backdoor from sweep to table: success of the attack for every line, and the cost of poison that is not known."""

from __future__ import annotations

from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep, write_report

KEYS = [
    "tasks=[{name: espeak_keywords, clips: 160, speakers: 12, poison: {share: 0.2, target: stop, level_db: 0}}]",
    "unlearning=[{kind: poisoned, known_share: [1.0, 0.5]}]",
    "methods=[original, retrain, {name: grad_ascent, learning_rate: 1.0e-3}]",
]


def test_every_line_says_how_often_the_trigger_works(small_sweep, tmp_path, cache_dir) -> None:
    run_sweep(load_sweep(small_sweep, KEYS), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r")
    assert set(rows["status"]) == {"done"}
    assert (rows["num_triggered"] > 0).all()
    assert (rows["attack_success"] + rows["triggered_accuracy"] <= 1).all()
    part = rows["known_share"].eq(0.5)
    assert (rows.loc[part, "num_unknown"] > 0).all()
    assert rows.loc[part, "num_forget"].lt(rows.loc[rows["stage"].ne("train") & ~part, "num_forget"].max()).all()
    text = write_report(tmp_path / "r", tmp_path / "report")[0].read_text(encoding="utf-8")
    assert "Unlearning of poisoned utterances" in text
    assert "Attack success" in text


def test_a_task_without_poison_has_nothing_to_forget(small_sweep) -> None:
    grid = plan_sweep(load_sweep(small_sweep, ["unlearning=[{kind: poisoned}]"])).grid
    assert [refusal.reason for refusal in grid.refused] == [
        "the task has no poisoned recordings; set its poison: {share: 0.05, target: CLASS}"
    ]
