from __future__ import annotations

from typing import get_args

from orchestrator.plan.stages import STAGES, Stage


def test_every_stage_word_has_a_policy():
    assert set(STAGES) == set(get_args(Stage))


def test_a_search_trial_leaves_nothing_but_its_row():
    for policy in STAGES.values():
        assert not (policy.is_tuning and (policy.keeps_model or policy.keeps_outputs or policy.runs_probes))


def test_the_stages_that_are_searched_are_those_with_an_objective():
    assert {stage for stage, p in STAGES.items() if p.is_tuning} == {
        stage for stage, p in STAGES.items() if p.objective != "none"
    }
