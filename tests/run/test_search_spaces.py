from __future__ import annotations

import pytest

from orchestrator import load_sweep, plugins
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.run.search_spaces import SCHEDULE_SPACE, space_of


def sweep_of(path, *overrides):
    return load_sweep(path, overrides).sweep


def own_space(method):
    return plugins.plugin_class("methods", method).search_space


def test_what_the_sweep_spells_out_is_not_searched(small_sweep):
    assert set(space_of("scrub", sweep_of(small_sweep))) == set(own_space("scrub")) - {"epochs", "max_epochs"}
    assert set(space_of("salun", sweep_of(small_sweep))) == set(own_space("salun"))
    assert "rate_share" not in space_of("grad_ascent", sweep_of(small_sweep))  # its rate is spelled out


def test_two_decimals_are_bounds_and_all_else_are_choices(small_sweep):
    spaces = "tuning.spaces={salun: {learning_rate: [1.0e-5, 1.0e-3], epochs: [1, 2], saliency_share: [0.3, 0.5, 0.7]}}"
    assert space_of("salun", sweep_of(small_sweep, spaces)) == {
        "learning_rate": (1e-5, 1e-3),
        "epochs": [1, 2],
        "saliency_share": [0.3, 0.5, 0.7],
    }


def test_a_space_for_a_setting_that_the_method_has_not_is_refused(small_sweep):
    for wrong, said in (
        ("rate_share: [1.0e-6, 1.0e-5]", r"rate_share must contain the method's default.* without 0\.\d"),
        ("rate_share: [0.5, 0.1]", r"rate_share has bounds in the wrong order: got \[0\.5, 0\.1\]"),
        ("epochs: [7, 9]", r"epochs must contain the method's default.* got \[7, 9\]"),
    ):
        with pytest.raises(SweepError, match=rf"tuning.spaces.salun.{said}"):
            space_of("salun", sweep_of(small_sweep, f"tuning.spaces={{salun: {{{wrong}}}}}"))
    both = "tuning.spaces={salun: {learning_rate: [1.0e-6, 1.0e-5], rate_share: [0.1, 1.0]}}"
    with pytest.raises(SweepError, match=r"got learning_rate and rate_share; remove one of them"):
        space_of("salun", sweep_of(small_sweep, both))
    with pytest.raises(
        SweepError, match=r"tuning.spaces.scrub names settings .* got learning_rat; choose from learning_rate"
    ):
        space_of("scrub", sweep_of(small_sweep, "tuning.spaces={scrub: {learning_rat: [0.1, 0.2]}}"))


def test_a_search_may_make_unsirs_noise_cheap_enough_for_its_budget():
    """Its default of 40 steps uses up a fifth of what Retrain costs before the first pass begins."""
    assert min(own_space("unsir")["noise_steps"]) <= 5 < max(own_space("unsir")["noise_steps"])


def test_every_space_contains_the_defaults_of_its_method():
    for name in plugins.names("methods"):
        method = plugins.load("methods", name)
        space = own_space(name)
        for setting, values in space.items():
            default = getattr(method, setting)
            inside = values[0] <= default <= values[1] if isinstance(values, tuple) else default in values
            assert inside, (name, setting, default)


def test_the_schedule_is_searched_for_every_method_that_has_it_only_if_the_sweep_says_so(small_sweep):
    on = sweep_of(small_sweep, "tuning.schedule=searched")
    assert not set(SCHEDULE_SPACE) & set(space_of("salun", sweep_of(small_sweep)))
    assert space_of("salun", on) == {
        **own_space("salun"), "retain_share": [0.2, 0.3, 0.5, 1.0], "rate_schedule": ["constant", "falling"],
    }  # fmt: skip
    assert space_of("unheard", on)["retain_share"] == space_of("salun", on)["retain_share"]
    assert space_of("lotus", on)["retain_drawn"] == ["once", "each_epoch"]
    assert "retain_share" not in space_of("npo", on)
    assert space_of("ssd", on) == own_space("ssd")
    assert space_of("retrain", on) == {}
    own = sweep_of(small_sweep, "tuning={schedule: searched, spaces: {salun: {retain_share: [0.3, 0.6, 1.0]}}}")
    assert space_of("salun", own) == {"retain_share": [0.3, 0.6, 1.0], "rate_schedule": ["constant", "falling"]}
