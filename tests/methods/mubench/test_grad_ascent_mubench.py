"""The preset of GradAscent: the schedule of MU-Bench's code."""

from __future__ import annotations

import pytest

from methods.grad_ascent import GradAscent
from methods.mubench.grad_ascent_mubench import GradAscentMubench


def test_grad_ascent_warms_up_and_decays_at_the_training_rate(kit):
    problem = kit.make_problem(forget=8)
    rates = []

    class Watched(GradAscentMubench):
        def passes(self, problem):
            for current in super().passes(problem):
                yield kit.replace(
                    current, after_step=lambda model, optimizer: rates.append(optimizer.param_groups[0]["lr"])
                )

    kit.run(Watched(batch_size=4), problem)
    # 10 steps, the first of them warm-up, and then from 5e-5 down
    assert rates == pytest.approx([2.5e-5] + [5e-5 * (10 - step) / 9 for step in range(1, 10)])
    (only,), (faithful,) = (m.passes(problem) for m in (GradAscentMubench(), GradAscent()))
    assert (only.forget_sign, only.retain_weight, only.loss.__name__) == (-1.0, 0.0, faithful.loss.__name__)
