"""What `unlearn plan` says of time and storage."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator.plan.cost import Estimate, estimate, kind_of, preparation_seconds, trial_seconds
from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_schema import Sweep


def trials(**changes) -> list[TrialSpec]:
    values = {
        "name": "t",
        "tasks": [{"name": "espeak_keywords", "clips": 1200}],
        "backbones": ["whisper_nano"],
        "unlearning": [{"kind": "class"}],
        "methods": ["original", "retrain", "scrub"],
        "seeds": [0, 1],
        "training": {"epochs": 5},
    }
    return build_grid(Sweep.model_validate({**values, **changes})).trials


def row(spec: TrialSpec, seconds: float, **changes) -> dict:
    return {
        "trial_id": "of another seed", "status": "done", "stage": spec.stage, "task": spec.task.title,
        "backbone": spec.backbone.title, "training": "standard", "method": spec.method_name, "total_seconds": seconds,
        **changes,
    }  # fmt: skip


def scrub(specs: list[TrialSpec]) -> TrialSpec:
    return next(spec for spec in specs if spec.method_name == "scrub")


# Medians of 8 to 36 finished trials of each kind, docs/results/data: one core, two trials at once.
MEASURED = {"train": 13.1, "retrain": 11.1}


def test_a_small_network_is_estimated_within_a_factor_of_two():
    of_stage = {spec.stage: trial_seconds(spec) for spec in trials(training={"epochs": 6})}
    for stage, seconds in MEASURED.items():
        assert seconds / 2 < of_stage[stage] < 2 * seconds


def test_whisper_tiny_is_estimated_within_a_factor_of_two():
    bench_step, clips = 1.067, 32  # seconds of a training step of 32 clips of 1 s, docs/results/bench.md
    specs = trials(backbones=["whisper_tiny"], training={"epochs": 10})
    train = next(spec for spec in specs if spec.stage == "train")
    measured = bench_step / clips * 0.7 * 1200 * 10
    assert measured / 2 < trial_seconds(train) < 2 * measured


def test_finished_trials_of_the_same_kind_replace_the_estimate():
    specs = trials(seeds=[0])
    fast = estimate(specs, pd.DataFrame([row(spec, 1.0) for spec in specs]))
    slow = estimate(specs, pd.DataFrame([row(spec, 1000.0) for spec in specs]))
    assert slow.seconds - fast.seconds == pytest.approx(999.0 * len(specs))
    assert slow.measured_share == 1.0
    assert "100% of it measured" in slow.sentence()


def test_a_failed_trial_or_one_of_another_method_measures_nothing():
    specs = trials(seeds=[0])
    other = [row(scrub(specs), 1000.0, status="failed"), row(scrub(specs), 1000.0, method="salun")]
    assert estimate(specs, pd.DataFrame(other)) == estimate(specs, None)


def test_trials_with_a_row_cost_nothing():
    specs = trials()
    rows = pd.DataFrame([row(spec, 1.0, trial_id=spec.trial_id) for spec in specs])
    assert estimate(specs, rows) == Estimate(0, 0.0, 1, 0.0, 0.0, 0.0)
    assert estimate(specs, rows).sentence() == "0 trials to run"


def test_more_cores_save_time_until_the_longest_chain_of_trials_is_left():
    specs = trials(seeds=[0, 1, 2, 3])
    one, four, many = (estimate(specs, None, cores=cores).seconds for cores in (1, 4, 1000))
    assert four < one / 2
    chain = max(
        trial_seconds(spec) + sum(trial_seconds(s) for s in specs if s.trial_id in spec.parents.values())
        for spec in specs
    )
    assert many == pytest.approx(estimate([], None).seconds + 10.0 + chain)


def test_corpora_and_features_that_are_missing_take_time_once():
    specs = trials()
    nothing = preparation_seconds(specs, lambda task: True, lambda spec: True)
    corpora = preparation_seconds(specs, lambda task: False, lambda spec: True)
    both = preparation_seconds(specs, lambda task: False, lambda spec: False)
    assert nothing == 0 < corpora < both
    assert preparation_seconds([*specs, *specs], lambda task: False, lambda spec: False) == both


def test_kinds_differ_by_method_and_not_by_seed():
    kinds = {kind_of(spec) for spec in trials()}
    assert len(kinds) == 4  # the original's training; Original, Retrain and SCRUB


def test_the_sentence_says_the_duration_the_cores_and_what_is_guessed():
    found = Estimate(102, 290.0, 2, 130.0, 9.5e6, 0.0)
    assert found.sentence() == (
        "102 trials to run: about 5 minutes on 2 cores (estimate), or 2 minutes on one GPU (a guess); 9.5 MB of results"
    )
    assert (
        Estimate(1, 30.0, 1, 20.0, 4e4, 0.5)
        .sentence("refused")
        .startswith("1 trial refused: about 30 seconds on 1 core (estimate, 50% of it measured)")
    )


def test_a_method_that_takes_a_share_of_the_retain_set_is_estimated_at_less():
    whole, part = (
        trial_seconds(scrub(trials(methods=[{"name": "scrub", "epochs": 3, "retain_share": share}])))
        for share in (1.0, 0.2)
    )
    assert part < 0.6 * whole
