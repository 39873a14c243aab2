"""Lock files fill in settings that the sweep leaves open."""

from __future__ import annotations

from small_sweep import sequence, sweep

from orchestrator.plan.grid import build_grid
from orchestrator.plan.tuned_settings import EVERY, Choice, Lock, write_lock

SMALL_STEP = {"kind": "sample", "forget_ratio": 0.02}


def test_a_lock_fills_in_settings_that_the_sweep_leaves_open(tmp_path):
    choice = Choice("espeak_keywords", "logmel_cnn", "sample", "scrub", False, {"learning_rate": 0.123, "epochs": 4})
    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), (choice,)))
    grid = build_grid(sweep(methods=["retrain", {"name": "scrub", "epochs": 2}], lock=str(tmp_path / "l.yaml")))
    for spec in grid.trials:
        if spec.method.name == "scrub":
            locked = spec.forget.name == "sample"
            assert (spec.method.settings["learning_rate"] == 0.123) is locked
            assert spec.method.settings["epochs"] == (2)
            assert spec.lock == ("rewind" if locked else "")


def test_a_choice_for_every_backbone_serves_where_there_is_none_of_its_own(tmp_path):
    def choice(backbone, rate):
        return Choice("espeak_keywords", backbone, "sample", "scrub", False, {"learning_rate": rate})

    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), (choice(EVERY, 0.1), choice("logmel_gru", 0.2))))
    grid = build_grid(sweep(backbones=["logmel_cnn", "logmel_gru"], lock=str(tmp_path / "l.yaml")))
    rates = {
        spec.backbone.name: spec.method.settings["learning_rate"]
        for spec in grid.trials
        if spec.method.name == "scrub" and spec.forget.name == "sample"
    }
    assert rates == {"logmel_cnn": 0.1, "logmel_gru": 0.2}


def test_a_lock_serves_every_curriculum_and_keeps_adapters_and_the_choice_of_the_epoch_apart(tmp_path):
    choices = (
        Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": 0.1}),
        Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": 0.2}, lora=True),
        Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": 0.3}, best_epoch=True),
    )
    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), choices))
    entries = [{"name": "scrub"}, {"name": "scrub", "curriculum": True}, {"name": "scrub", "lora": True}]
    entries.append({"name": "scrub", "best_epoch": True})
    made = sweep(methods=entries, seeds=[0], unlearning=[{"kind": "class"}], lock=str(tmp_path / "l.yaml"))
    rates = [s.method.settings["learning_rate"] for s in build_grid(made).trials if s.stage == "unlearn"]
    assert rates == [0.1, 0.1, 0.2, 0.3]


def test_a_step_takes_the_settings_that_were_chosen_for_its_kind(tmp_path):
    choice = Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": 0.123})
    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), (choice,)))
    grid = build_grid(sequence(SMALL_STEP, {"kind": "class"}, seeds=[0], lock=str(tmp_path / "l.yaml")))
    rates = [s.method.settings["learning_rate"] for s in grid.trials if s.method.name == "scrub"]
    assert rates[0] != 0.123
    assert rates[1] == 0.123
