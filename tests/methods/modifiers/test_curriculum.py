from __future__ import annotations

import pytest
import torch

from methods.engine.losses import original_losses
from methods.modifiers.curriculum import ForgetCurriculum, spread, with_curriculum
from methods.random_label import RandomLabel


def iterated(utterances, seed=0, batch_size=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([batch.utterances for batch in utterances.batches(batch_size, generator)]).tolist()


def by_loss(problem):
    losses = original_losses(problem, problem.forget)
    return problem.forget.utterances[losses.argsort()].tolist()


@pytest.mark.parametrize(("order", "step"), [("easy_first", 1), ("hard_first", -1)])
def test_the_forget_set_is_ordered_by_the_originals_loss(kit, order, step):
    problem = kit.make_problem()
    arranged = with_curriculum(problem, ForgetCurriculum(order=order))
    assert iterated(arranged.forget) == by_loss(problem)[::step]


def test_in_a_union_the_retain_set_keeps_its_places(kit):
    problem = kit.make_problem()
    plain = iterated(problem.forget + problem.retain)
    forget = set(problem.forget.utterances.tolist())
    for arranged in (
        with_curriculum(problem, ForgetCurriculum()).forget + problem.retain,
        problem.retain + with_curriculum(problem, ForgetCurriculum()).forget,
    ):
        found = iterated(arranged)
        assert [u for u in found if u in forget] == by_loss(problem)
        assert len(found) == 16
    found = iterated(with_curriculum(problem, ForgetCurriculum()).forget + problem.retain)
    assert [u if u not in forget else None for u in found] == [u if u not in forget else None for u in plain]


def test_the_random_control_changes_no_other_draws(kit):
    state = kit.make_problem().generator.get_state()
    problem = kit.make_problem()
    arranged = with_curriculum(problem, ForgetCurriculum(order="random"))
    assert torch.equal(arranged.generator.get_state(), state)


def test_random_order_is_the_same_in_every_epoch_and_the_control_pays_for_the_scores_too(kit):
    charged = []
    for order in ("random", "easy_first"):
        problem = kit.make_problem(forget=20)
        teacher = problem.teacher_logits

        def charging(batch, problem=problem, teacher=teacher):
            problem.budget.charge(seconds=0.0, samples=len(batch) / 3)
            return teacher(batch)

        problem.teacher_logits = charging
        arranged = with_curriculum(problem, ForgetCurriculum(order=order))
        charged.append(problem.budget.samples)
        assert iterated(arranged.forget, seed=1) == iterated(arranged.forget, seed=2)
        assert (iterated(arranged.forget) == by_loss(problem)) is (order == "easy_first")
    assert charged[0] == charged[1] == pytest.approx(20 / 3)


def test_pacing_begins_with_a_share_and_takes_more_each_epoch(kit):
    problem = kit.make_problem(forget=8)
    ranked = by_loss(problem)
    arranged = with_curriculum(problem, ForgetCurriculum(start_share=0.25, share_step=0.5))
    assert [iterated(arranged.forget) for _ in range(4)] == [ranked[:2], ranked[:6], ranked, ranked]


def test_a_short_epoch_of_a_union_has_the_whole_retain_set_and_the_forget_set_to_its_end(kit):
    problem = kit.make_problem(forget=8, retain=40)
    over = with_curriculum(problem, ForgetCurriculum(start_share=0.5)).forget + problem.retain
    found = iterated(over)
    assert [u for u in found if u < 8] == by_loss(problem)[:4]
    assert sorted(u for u in found if u >= 8) == problem.retain.utterances.tolist()
    assert spread(8, 4).tolist() == [0, 2, 4, 6]


def test_an_epoch_for_scores_keeps_its_order(kit):
    arranged = with_curriculum(kit.make_problem(), ForgetCurriculum(start_share=0.5))
    assert torch.cat([b.utterances for b in arranged.forget.batches(4)]).tolist() == list(range(6))


def test_a_part_of_the_forget_set_is_iterated_in_its_order(kit):
    problem = kit.make_problem(forget=8)
    arranged = with_curriculum(problem, ForgetCurriculum())
    part = arranged.restricted_to(arranged.forget.select(torch.arange(8) % 2 == 0), problem.retain)
    assert iterated(part.forget) == [u for u in by_loss(problem) if u % 2 == 0]


def test_a_run_follows_it_and_stops_on_a_budget_that_the_scores_use_up(kit):
    seen: list[int] = []

    class Watched(RandomLabel):
        def passes(self, problem):
            for current in super().passes(problem):

                def loss(model, batch, inner=current.loss):
                    seen.extend(batch.utterances[batch.is_forget].tolist())
                    return inner(model, batch)

                yield kit.replace(current, loss=loss)

    problem = kit.make_problem()
    kit.run(Watched(batch_size=4), problem, forget_curriculum=ForgetCurriculum(order="hard_first"))
    assert seen == by_loss(problem)[::-1]
    problem = kit.make_problem(limit=1.0)
    problem.budget.charge(samples=1.0)
    outcome, _ = kit.run(RandomLabel(), problem, forget_curriculum=ForgetCurriculum())
    assert (outcome.stop_reason, outcome.steps) == ("budget", 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"order": "sideways"}, "curriculum.order must be one of easy_first, hard_first, random, got 'sideways'"),
        ({"start_share": 0.0}, r"curriculum.start_share must be in \(0, 1\], got 0.0"),
        ({"share_step": 2.0}, r"curriculum.share_step must be in \(0, 1\], got 2.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ForgetCurriculum(**wrong)
