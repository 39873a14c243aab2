"""Lock files fill in settings that the sweep leaves open."""

from __future__ import annotations

from small_sweep import sequence, sweep

from orchestrator.plan.grid import build_grid
from orchestrator.plan.tuned_settings import EVERY, Choice, Lock, read_lock, write_lock

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


def test_a_choice_for_two_classes_is_none_for_one_and_one_without_a_size_is_for_all(tmp_path):
    def choice(rate, **of):
        return Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": rate}, **of)

    def rates(*choices):
        write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), choices))
        assert read_lock(tmp_path / "l.yaml").choices == choices
        requests = [{"kind": "class"}, {"kind": "class", "num_classes": 2}, {"kind": "class", "classes": ["go", "no"]}]
        made = sweep(methods=["scrub"], seeds=[0], unlearning=requests, lock=str(tmp_path / "l.yaml"))
        found = [s for s in build_grid(made).trials if s.stage == "unlearn"]
        return [s.method.settings["learning_rate"] for s in found], [s.lock for s in found]

    of_two, others = choice(0.2, size={"num_classes": 2}), "rewind (not for requests of this size)"
    assert rates(of_two, choice(0.1)) == ([0.1, 0.2, 0.2], ["rewind"] * 3)
    assert rates(choice(0.1)) == ([0.1, 0.1, 0.1], ["rewind", others, others])
    assert rates(choice(0.3, size={"num_classes": 3}))[1] == [""] * 3


def test_two_variants_of_superloss_have_choices_of_their_own(tmp_path):
    def choice(strength, rate):
        given = {"superloss.strength": strength}
        return Choice("espeak_keywords", "logmel_cnn", "class", "scrub", True, {"learning_rate": rate}, given=given)

    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), (choice(1.0, 0.1), choice(10.0, 0.2))))
    methods = [{"name": "scrub", "superloss": {"strength": [10.0, 1.0]}}]
    made = sweep(methods=methods, seeds=[0], unlearning=[{"kind": "class"}], lock=str(tmp_path / "l.yaml"))
    found = [s for s in build_grid(made).trials if s.stage == "unlearn"]
    assert [(s.superloss["strength"], s.method.settings["learning_rate"]) for s in found] == [(10.0, 0.2), (1.0, 0.1)]
