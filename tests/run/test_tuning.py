from __future__ import annotations

import pytest

from orchestrator import load_sweep, tune_sweep
from orchestrator.plan.grid import build_grid
from orchestrator.plan.sweep_file import read_sweep, shipped_sweeps
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.run.tuning import SPACES, _searches, space_of


def sweep_of(path, *overrides):
    return load_sweep(path, overrides).sweep


def test_what_the_sweep_spells_out_is_not_searched(small_sweep):
    assert set(space_of("scrub", sweep_of(small_sweep))) == set(SPACES["scrub"]) - {"epochs", "max_epochs"}
    assert set(space_of("salun", sweep_of(small_sweep))) == set(SPACES["salun"])
    assert "rate_share" not in space_of("grad_ascent", sweep_of(small_sweep))  # its rate is spelled out


def test_two_decimals_are_bounds_and_all_else_are_choices(small_sweep):
    spaces = "tuning.spaces={salun: {learning_rate: [1.0e-5, 1.0e-3], epochs: [1, 2], saliency_share: [0.3, 0.5, 0.7]}}"
    assert space_of("salun", sweep_of(small_sweep, spaces)) == {
        "learning_rate": (1e-5, 1e-3),
        "epochs": [1, 2],
        "saliency_share": [0.3, 0.5, 0.7],
    }


@pytest.mark.parametrize("name", shipped_sweeps())
def test_what_a_shipped_sweep_searches_holds_the_defaults_and_is_in_its_lock(name):
    sweep, _ = read_sweep(shipped_sweeps()[name])
    trials = [spec for spec in build_grid(sweep).trials if spec.stage == "unlearn"]
    searched = [spec for spec in trials if space_of(spec.method.name, sweep)]
    assert {bool(spec.lock) for spec in searched} <= {bool(sweep.lock)}


def test_a_space_for_a_setting_that_the_method_has_not_is_refused(small_sweep):
    for wrong, said in (
        ("rate_share: [1.0e-6, 1.0e-5]", r"rate_share must hold the method's default.* without 0\.\d"),
        ("rate_share: [0.5, 0.1]", r"rate_share: two fractions are bounds, the lower one first; got \[0\.5, 0\.1\]"),
        ("epochs: [7, 9]", r"epochs must hold the method's default.* got \[7, 9\]"),
    ):
        with pytest.raises(SweepError, match=rf"tuning.spaces.salun.{said}"):
            space_of("salun", sweep_of(small_sweep, f"tuning.spaces={{salun: {{{wrong}}}}}"))
    both = "tuning.spaces={salun: {learning_rate: [1.0e-6, 1.0e-5], rate_share: [0.1, 1.0]}}"
    with pytest.raises(SweepError, match=r"got learning_rate and rate_share; give one of them"):
        space_of("salun", sweep_of(small_sweep, both))
    with pytest.raises(SweepError, match=r"tuning.spaces.scrub: got learning_rat, allowed: learning_rate"):
        space_of("scrub", sweep_of(small_sweep, "tuning.spaces={scrub: {learning_rat: [0.1, 0.2]}}"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("methods=[original, retrain]", "nothing to tune"),
        ("methods=[original, scrub]", "needs retrain among the methods"),
        ("tuning.backbone=whisper_nano", "none of the sweep's backbones"),
    ],
)
def test_a_search_that_cannot_work_is_refused_before_anything_runs(small_sweep, tmp_path, override, message):
    with pytest.raises(SweepError, match=message):
        tune_sweep(load_sweep(small_sweep, [override]), tmp_path / "r", executor="local")
    assert not (tmp_path / "r").exists()


def test_a_request_whose_file_is_missing_is_refused_by_a_search_too(small_sweep, tmp_path):
    missing = f"unlearning=[{{kind: ids, ids_file: {tmp_path / 'none.txt'}}}]"
    with pytest.raises(SweepError, match=r"file of a forget set not found: got .*none.txt"):
        tune_sweep(load_sweep(small_sweep, [missing]), tmp_path / "r", executor="local")


def test_requests_of_one_kind_share_a_search_since_a_lock_knows_the_kind_only(small_sweep):
    classes = (
        "unlearning=[{kind: class, classes: [go]}, {kind: class, classes: [stop]}, {kind: sample, forget_ratio: 0.1}]"
    )
    sweep = sweep_of(small_sweep, classes)
    studies, _ = _searches(build_grid(sweep), sweep, 4, "gap_to_retrain")
    searched = [(study.trials[0].method.name, study.trials[0].request["kind"]) for study in studies.values()]
    assert len(searched) == len(set(searched))
    for study in studies.values():
        if study.trials[0].request["kind"] == "class":
            assert [spec.request["classes"] for spec in study.trials] == [("go",), ("stop",)] * 2


def test_a_search_may_make_unsirs_noise_cheap_enough_for_its_budget():
    """Its default of 40 steps uses up a fifth of what Retrain costs before the first pass begins."""
    assert min(SPACES["unsir"]["noise_steps"]) <= 5 < max(SPACES["unsir"]["noise_steps"])


def test_every_space_holds_settings_of_its_method_and_the_defaults_lie_inside(small_sweep):
    from orchestrator import plugins

    for name, space in SPACES.items():
        method = plugins.load("methods", name)
        for setting, values in space.items():
            default = getattr(method, setting)
            inside = values[0] <= default <= values[1] if isinstance(values, tuple) else default in values
            assert inside, (name, setting, default)
