from __future__ import annotations

import pytest
import torch

from methods.engine.losses import label_loss
from methods.fine_tune import FineTune
from methods.l1_sparse import L1Sparse, decayed


def test_takes_the_step_of_the_penalized_loss_by_hand(kit):
    problem, model = kit.make_problem(), kit.TwoLayers()
    batch = next(problem.retain.batches(64))
    task_loss = label_loss(model(batch.features, batch.lengths), batch.labels).mean()
    subgradient = sum((0.3 * p.detach().sign() * p).sum() for p in model.parameters())  # ∂(0.3·‖θ‖₁) = 0.3·sign θ
    expected = kit.adamw_first_step(model, task_loss + subgradient, 1e-3)
    kit.run(L1Sparse(learning_rate=1e-3, epochs=1, batch_size=64, l1_penalty=0.3), problem)
    for name, value in kit.weights(problem.model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-7, atol=1e-10)


def test_the_penalty_falls_linearly_and_ends_before_the_last_epochs():
    assert [decayed(0.4, epoch, 4) for epoch in range(6)] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0, 0.0])


def test_each_epoch_has_its_penalty_and_iterates_over_the_retain_set(kit):
    problem = kit.make_problem()
    passes = list(L1Sparse(epochs=5, l1_penalty=0.4, epochs_without_penalty=1).passes(problem))
    assert [p.l1_penalty for p in passes] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0])
    assert all(p.over is problem.retain and p.optimizer == "keep" for p in passes)


def test_without_a_penalty_it_is_fine_tuning(kit):
    ends = []
    for method in (L1Sparse(l1_penalty=0.0, learning_rate=1e-2), FineTune(learning_rate=1e-2)):
        problem = kit.make_problem()
        kit.run(method, problem)
        ends.append(kit.weights(problem.model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_larger_penalty_leaves_smaller_weights(kit):
    sizes = []
    for penalty in (0.0, 0.01, 1.0):
        problem = kit.make_problem()
        kit.run(L1Sparse(l1_penalty=penalty, learning_rate=1e-2, epochs=10, batch_size=5), problem)
        sizes.append(sum(float(p.abs().sum()) for p in kit.weights(problem.model).values()))
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l1_penalty": -1.0}, "l1_penalty must be 0 or more, got -1.0"),
        ({"epochs": 2, "epochs_without_penalty": 3}, r"must be between 0 and epochs \(2\), got 3"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        L1Sparse(**settings)
