"""Modifiers and presets of methods: what they add to the grid and to recipes."""

from __future__ import annotations

import pytest
from small_sweep import sweep, unlearning_specs

from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec


def test_a_modifier_that_is_off_is_not_in_the_recipe():
    (plain,) = unlearning_specs({"name": "scrub"})
    assert not {"curriculum", "lora", "best_epoch"} & set(plain.recipe())
    off = unlearning_specs({"name": "scrub", "curriculum": False, "lora": None, "preset": "faithful"})
    assert [spec.trial_id for spec in off] == [plain.trial_id]
    for modifier in ("curriculum", "lora", "best_epoch"):
        (applied,) = unlearning_specs({"name": "scrub", modifier: True})
        assert applied.trial_id != plain.trial_id
        assert applied.recipe()[modifier] == dict(getattr(applied, modifier))
        assert {k: v for k, v in applied.recipe().items() if k != modifier} == plain.recipe()


def test_lists_inside_a_modifier_are_swept():
    specs = unlearning_specs(
        {"name": "scrub", "superloss": {"strength": [0.25, 1.0, 10.0], "tau": ["fixed", "global", "moving_average"]}}
    )
    assert len({(spec.superloss["strength"], spec.superloss["tau"]) for spec in specs}) == 9
    specs = unlearning_specs({"name": "scrub", "epochs": [1, 2], "curriculum": {"order": ["easy_first", "random"]}})
    assert len({(spec.method.settings["epochs"], spec.curriculum["order"]) for spec in specs}) == 4
    assert len({spec.trial_id for spec in specs}) == 4


def test_superloss_has_the_mubench_preset():
    (spec,) = unlearning_specs({"name": "scrub", "superloss": {"preset": "mubench"}})
    assert spec.superloss == {"strength": 10.0, "tau": "mubench", "momentum": 0.9, "over": "all"}
    (control,) = unlearning_specs({"name": "scrub", "superloss": {"preset": "mubench", "shuffled": True}})
    assert control.superloss == {**spec.superloss, "shuffled": True}
    (faithful,) = unlearning_specs({"name": "scrub", "superloss": {"preset": "faithful"}})
    assert [faithful.trial_id] == [spec.trial_id for spec in unlearning_specs({"name": "scrub", "superloss": True})]


@pytest.mark.parametrize("name", ["grad_ascent", "random_label", "bad_teacher", "scrub", "salun"])
def test_the_papers_methods_have_the_mubench_preset(name):
    (spec,) = unlearning_specs({"name": name, "preset": "mubench"})
    assert spec.method.name == f"{name}_mubench"


@pytest.mark.parametrize("name", ["bad_teacher", "scrub"])
def test_methods_whose_words_in_the_paper_differ_have_the_paper_preset(name):
    (spec,) = unlearning_specs({"name": name, "preset": "paper"})
    assert spec.method.name == f"{name}_paper"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"name": "unsir", "preset": "mubench"},
            "no such preset of unsir: got 'mubench', allowed: faithful; mubench for .*; paper for bad_teacher, scrub$",
        ),
        ({"name": "scrub", "preset": "fast"}, "no such preset of scrub: got 'fast'"),
        ({"name": "scrub", "superloss": {"preset": "fast"}}, "superloss.preset is not known: got 'fast', allowed"),
        ({"name": "scrub", "curriculum": {"sort": 1}}, "unknown setting of curriculum: got 'sort', allowed: order"),
        ({"name": "scrub", "lora": {"rank": 0}}, "lora.rank must be 1 or more, got 0"),
        ({"name": "scrub", "lora": {"rank": "big"}}, "lora has a setting of the wrong type: got .*big"),
        (
            {"name": "ssd", "superloss": True},
            "ssd edits weights in one step, so it takes no modifier: got superloss; remove",
        ),
        (
            {"name": "downdate", "lora": {}},
            "downdate edits weights in one step, so it takes no modifier: got lora; remove",
        ),
        ({"name": "retrain", "lora": True}, "retrain takes no curriculum, no lora and no best_epoch"),
        ({"name": "noisy_rewind", "best_epoch": True}, "noisy_rewind edits weights after its last epoch"),
        ({"name": "eu_k", "lora": True}, "eu_k restores or reinit.*: got lora, allowed on: .*scrub"),
        ({"name": "msg", "lora": {}}, "msg restores or reinitializes weights, .*: got lora, allowed on: .*scrub"),
        ({"name": "rum", "medium": ["salun", "eu_k"], "lora": True}, "eu_k restores .*: got lora, allowed"),
    ],
)
def test_a_wrong_modifier_or_preset_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        unlearning_specs(entry)


def test_methods_that_adapters_would_break_run_without_them_and_others_with_them():
    assert len(unlearning_specs({"name": "eu_k", "lora": False}, "msg", {"name": "rum", "medium": "eu_k"})) == 3
    assert [bool(spec.lora) for spec in unlearning_specs({"name": "rum", "lora": True}, "cf_k")] == [True, False]


def test_the_sweeps_selection_is_that_of_every_method_that_trains_and_does_not_say_otherwise():
    entries = [{"name": "scrub"}, {"name": "salun", "best_epoch": False}, {"name": "ssd"}, {"name": "scrub_mubench"}]
    made = sweep(methods=[*entries, "original", "retrain"], seeds=[0], selection="best_epoch")
    found = {spec.method_name: spec.best_epoch for spec in build_grid(made).trials}
    assert [name for name, best in found.items() if best] == ["scrub", "scrub_mubench"]
    assert found["scrub"] == {"rule": "rewind"}
    (own,) = unlearning_specs({"name": "scrub", "best_epoch": True})
    assert own.best_epoch == found["scrub"]


def test_both_ways_to_choose_the_epoch_are_two_lines_of_a_grid():
    first, second = unlearning_specs({"name": "scrub"}, {"name": "scrub", "best_epoch": True})
    assert first.trial_id != second.trial_id
    assert TrialSpec.from_dict(second.to_dict()).trial_id == second.trial_id
