from __future__ import annotations

import pytest

from orchestrator import load_sweep, tune_sweep
from orchestrator.plan.grid import build_grid
from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.plan.sweep_file import read_sweep
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.run.search_spaces import space_of
from orchestrator.run.searches import searches_of


def sweep_of(path, *overrides):
    return load_sweep(path, overrides).sweep


@pytest.mark.parametrize("name", shipped_sweeps())
def test_what_a_shipped_sweep_searches_holds_the_defaults_and_is_in_its_lock(name):
    sweep, _ = read_sweep(shipped_sweeps()[name])
    trials = [spec for spec in build_grid(sweep).trials if spec.stage == "unlearn"]
    searched = [spec for spec in trials if space_of(spec.method.name, sweep)]
    assert {bool(spec.lock) for spec in searched} <= {bool(sweep.lock)}


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
    studies = searches_of(build_grid(sweep), sweep, 4, "gap_to_retrain").studies
    searched = [(study.trials[0].method.name, study.trials[0].request["kind"]) for study in studies.values()]
    assert len(searched) == len(set(searched))
    for study in studies.values():
        if study.trials[0].request["kind"] == "class":
            assert [spec.request["classes"] for spec in study.trials] == [("go",), ("stop",)] * 2


def test_a_search_of_the_schedule_begins_with_the_defaults_that_ids_leave_out(small_sweep):
    sweep = sweep_of(small_sweep, "tuning.schedule=searched")
    plain = searches_of(build_grid(sweep), sweep_of(small_sweep), 4, "gap_to_retrain").studies
    studies = searches_of(build_grid(sweep), sweep, 4, "gap_to_retrain").studies
    searches = [study for study in studies.values() if study.trials[0].method.name == "scrub"]
    assert searches
    for scrub in searches:
        assert "retain_share" not in scrub.trials[0].method.settings
        assert scrub.ask(0)["retain_share"] == 1.0
        assert scrub.ask(0)["rate_schedule"] == "constant"
    assert not set(plain) & set(studies)


def test_a_method_whose_epoch_is_chosen_is_searched_apart(small_sweep):
    methods = "methods=[retrain, {name: scrub}, {name: scrub, best_epoch: true}]"
    sweep = sweep_of(small_sweep, methods)
    studies = searches_of(build_grid(sweep), sweep, 4, "gap_to_retrain").studies
    assert sorted(bool(study.trials[0].best_epoch) for study in studies.values()) == [False, True]
