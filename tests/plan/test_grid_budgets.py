"""Several budgets in one sweep: every method runs with each, references run once, and a lock may have one of each."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from small_sweep import ids, sequence, sweep

from orchestrator.plan.grid import build_grid
from orchestrator.plan.tuned_settings import Choice, Lock, write_lock

SHARES = [0.05, 0.2, 1.0]


def budgets(grid, method):
    return [spec.budget["fraction"] for spec in grid.trials if spec.stage == "unlearn" and spec.method.name == method]


def test_every_method_runs_with_each_budget_and_references_once():
    made = {"unlearning": [{"kind": "class"}], "seeds": [0]}
    grid = build_grid(sweep(time_budget={"fraction": SHARES}, **made))
    assert budgets(grid, "scrub") == SHARES
    stages = [(spec.stage, spec.method.name) for spec in grid.trials if spec.method.name != "scrub"]
    assert len(stages) == len(set(stages)) == 3
    one = ids(sweep(time_budget={"fraction": 0.2}, **made))
    assert set(one) < {spec.trial_id for spec in grid.trials}


def test_each_budget_has_its_own_sequence():
    step = {"kind": "sample", "forget_ratio": 0.02}
    grid = build_grid(sequence(step, step, seeds=[0], methods=["scrub"], time_budget={"fraction": SHARES}))
    of_id = {spec.trial_id: spec for spec in grid.trials}
    later = [spec for spec in grid.trials if "step" in spec.parents]
    assert [spec.budget for spec in later] == [of_id[spec.parents["step"]].budget for spec in later]
    assert len(later) == len(SHARES)


@pytest.mark.parametrize("wrong", [[], [0.1, 0.1], [0.0], -1])
def test_a_list_of_budgets_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError, match="fraction"):
        sweep(time_budget={"fraction": wrong})


def test_a_choice_for_a_budget_goes_before_one_for_all(tmp_path):
    def choice(rate, budget):
        return Choice("espeak_keywords", "logmel_cnn", "class", "scrub", False, {"learning_rate": rate}, budget=budget)

    write_lock(tmp_path / "l.yaml", Lock("rewind", 5, (1000,), (choice(0.1, None), choice(0.2, 0.05))))
    made = sweep(unlearning=[{"kind": "class"}], seeds=[0], lock=str(tmp_path / "l.yaml"))
    grid = build_grid(made.model_copy(update={"time_budget": sweep(time_budget={"fraction": SHARES}).time_budget}))
    rates = [spec.method.settings["learning_rate"] for spec in grid.trials if spec.method.name == "scrub"]
    assert rates == [0.2, 0.1, 0.1]
