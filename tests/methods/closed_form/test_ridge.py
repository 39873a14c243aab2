"""What is subtracted from the sums was never in the solution."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from methods.closed_form.ridge import ABSENT, RidgeFit, RidgeSums
from methods.downdate import Downdate
from methods.trainings.closed_form_head import ClosedFormHead


def drawn(n: int, width: int = 6, classes: int = 3, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, width, generator=generator, dtype=torch.float64) * torch.arange(1, width + 1) + 3.0
    return x, torch.arange(n) % classes


def sums_of(x, y, classes: int = 3) -> RidgeSums:
    labels = functional.one_hot(y, classes).double()
    return RidgeSums(labels.sum(dim=0), x.T @ labels, x.T @ x)


def everything(problem, kit):
    """The problem of the original: all utterances are kept, none is to be forgotten."""
    none = torch.zeros(len(problem.forget), dtype=torch.bool)
    kept = problem.forget + problem.retain
    problem.retain = kit.replace(kept, is_forget=torch.zeros(len(kept), dtype=torch.bool))
    problem.forget = problem.forget.select(none)
    return problem


def trained(kit, **sizes):
    problem = everything(kit.make_problem(**sizes), kit)
    problem.artifacts_to_store = {}
    kit.run(ClosedFormHead(), problem)
    return problem


def downdated(kit, change=lambda problem: None, **sizes):
    """An unlearning problem after `downdate`, and the same after the kind's Retrain."""
    original = trained(kit, **sizes)
    ends = []
    for method in (Downdate(), ClosedFormHead()):
        problem = kit.make_problem(**sizes)
        problem.model.load_state_dict(original.model.state_dict())
        change(problem)
        if isinstance(method, Downdate):
            problem.original_artifacts = original.artifacts_to_store
        kit.run(method, problem)
        ends.append(problem)
    return ends


def test_the_solution_is_that_of_the_normal_equations_on_standardized_features():
    x, y = drawn(40)
    weight, bias = RidgeFit.of(sums_of(x, y)).head(0.3)
    scaled = (x - x.mean(dim=0)) / torch.sqrt(x.var(dim=0, correction=0) + 1e-6 * x.var(dim=0, correction=0).mean())
    labels = functional.one_hot(y, 3).double()
    expected = torch.linalg.solve(
        scaled.T @ scaled / 40 + 0.3 * torch.eye(6, dtype=torch.float64), scaled.T @ (labels - labels.mean(dim=0)) / 40
    )
    torch.testing.assert_close(x @ weight + bias, scaled @ expected + labels.mean(dim=0), rtol=1e-8, atol=1e-8)


def test_outputs_of_any_input_add_up_to_one_so_that_an_absent_class_never_wins():
    x, y = drawn(30)
    y = y % 2  # class 2 has no utterance
    weight, bias = RidgeFit.of(sums_of(x, y)).head(1e-3)
    anywhere = 100 * drawn(50, seed=1)[0]
    torch.testing.assert_close((anywhere @ weight + bias).sum(dim=1), torch.ones(50, dtype=torch.float64))
    assert ABSENT < 0 < float((anywhere @ weight + bias).max(dim=1).values.min())


def test_a_feature_that_is_dead_without_the_forget_set_does_no_harm():
    x, y = drawn(40)
    x[10:, 2] = 0.0
    left = sums_of(x, y).plus(sums_of(x[:10], y[:10]), sign=-1.0)
    after, refit = (RidgeFit.of(sums).head(1e-3) for sums in (left, sums_of(x[10:], y[10:])))
    torch.testing.assert_close(x[10:] @ after[0] + after[1], x[10:] @ refit[0] + refit[1], rtol=1e-6, atol=1e-6)


def test_downdate_equals_retrain_in_its_logits(kit):
    after, retrained = downdated(kit)
    for utterances in (after.forget, after.retain, after.validation):
        (batch,) = utterances.batches(64)
        mine, its = (p.model(batch.features, batch.lengths) for p in (after, retrained))
        torch.testing.assert_close(mine, its, rtol=1e-8, atol=1e-8)


def test_downdate_moves_the_head_alone_and_is_charged_a_forward_over_d_f_and_d_v(kit):
    after, retrained = downdated(kit)
    assert torch.equal(after.model.body.weight, kit.TwoLayers(3).body.weight)  # where training began
    assert after.budget.samples == pytest.approx((6 + 8) / 3)  # Retrain's choice on D_v is not charged, a method's is
    assert retrained.budget.samples == pytest.approx(10 / 3) == ClosedFormHead().schedule_samples(after.training, 10)


def test_a_forgotten_class_is_never_answered(kit):
    def forget_class_1(problem):
        union, kept = problem.forget + problem.retain, problem.validation
        problem.forget, problem.retain = (union.select((union.labels == 1) == wanted) for wanted in (True, False))
        problem.validation, problem.forgotten_classes = kept.select(kept.labels != 1), (1,)

    after, retrained = downdated(kit, forget_class_1)
    assert kit.score(after.model, after.forget).accuracy == 0.0
    assert kit.score(after.model, after.retain).accuracy > 0.0
    for name, value in kit.weights(after.model).items():
        torch.testing.assert_close(value, kit.weights(retrained.model)[name], rtol=1e-8, atol=1e-8)


def test_the_choice_of_the_regularization_forgets_too(kit):
    """λ and temperature come from D_v and the sums that are left: nothing of the original's head stays."""
    original = trained(kit)
    ends = []
    for shift in (0.0, 5.0):
        problem = kit.make_problem()
        problem.model.load_state_dict(original.model.state_dict())
        with torch.no_grad():
            problem.model.head.weight += shift
        problem.original_artifacts = original.artifacts_to_store
        kit.run(Downdate(), problem)
        ends.append(kit.weights(problem.model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("features", [0, 50])
def test_random_features_are_the_same_in_every_model_and_keep_each_weight_once(kit, features):
    kind, made = ClosedFormHead(features=features), []
    for _ in range(2):
        torch.rand(3)
        made.append(kind.classifier(kit.TwoLayers(), 3))
    assert kind.changes_classifier == (features > 0)
    assert made[0].head.in_features == (features or 5)
    (batch,) = kit.make_problem().retain.batches(64)
    assert torch.equal(*(model.embed(batch.features, batch.lengths) for model in made))
    held = [p for block in made[0].blocks for p in block.parameters()]
    assert len(held) == len({id(p) for p in held}) == len(list(made[0].parameters()))


def test_downdate_is_exact_over_random_features_too(kit):
    def widened(problem):
        build, kind = problem.build_model, ClosedFormHead(features=50)
        problem.model = kind.classifier(problem.model, 3)
        problem.build_model = lambda weights: kind.classifier(build(weights), 3)
        return problem

    original = everything(widened(kit.make_problem()), kit)
    original.artifacts_to_store = {}
    kit.run(ClosedFormHead(), original)
    after, retrained = widened(kit.make_problem()), widened(kit.make_problem())
    after.model.load_state_dict(original.model.state_dict())
    after.original_artifacts = original.artifacts_to_store
    kit.run(Downdate(), after)
    kit.run(ClosedFormHead(), retrained)
    (batch,) = after.validation.batches(64)
    mine, its = (p.model(batch.features, batch.lengths) for p in (after, retrained))
    torch.testing.assert_close(mine, its, rtol=1e-7, atol=1e-7)


def test_without_validation_utterances_there_is_a_head_all_the_same(kit):
    problem = trained(kit, validation=0)
    assert kit.score(problem.model, problem.retain).accuracy > 1 / 3


def test_downdate_without_sums_says_what_it_needs(kit):
    with pytest.raises(ValueError, match="needs an original of training kind closed_form_head"):
        kit.run(Downdate(), kit.make_problem())
