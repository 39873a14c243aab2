"""Early checkpoints: the standard original, with intermediate weights and the losses of each utterance."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from methods.retrain import Retrain
from methods.trainings.early_checkpoints import EarlyCheckpoints, checkpoint
from orchestrator import plugins


def test_the_original_of_early_checkpoints_is_the_standard_one_bit_for_bit(kit):
    ends = []
    for kind in (Retrain(), EarlyCheckpoints()):
        problem = kit.training_problem()
        kit.run(kind, problem)
        ends.append(kit.weights(problem.model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_checkpoint_holds_the_weights_of_its_step(kit):
    """10 utterances in batches of 4, twice: the half is step 3, the end of the first epoch."""
    problem, seen = kit.training_problem(), []
    (current,) = EarlyCheckpoints(keep_at=(0.5,)).passes(problem)

    def watched(model, optimizer):
        current.after_step(model, optimizer)
        seen.append(copy.deepcopy(model.state_dict()))

    class Once(Retrain):
        def passes(self, problem):
            yield replace(current, after_step=watched)

    kit.run(Once(), problem)
    kept = checkpoint(problem.artifacts_to_store, 0.5)
    assert len(seen) == 6
    assert all(torch.equal(kept[name], value) for name, value in seen[2].items())


def test_every_utterance_has_a_loss_in_every_epoch_and_training_lowers_it(kit):
    problem = kit.training_problem()
    problem.training = replace(problem.training, epochs=12, learning_rate=3e-2)
    kit.run(EarlyCheckpoints(), problem)
    losses = problem.artifacts_to_store["losses"]
    assert losses.shape == (12, 10)
    assert bool(torch.isfinite(losses).all())
    assert problem.artifacts_to_store["utterances"].tolist() == sorted(problem.retain.utterances.tolist())
    assert losses[-1].mean() < losses[0].mean()


def test_a_training_that_goes_on_after_its_process_died_keeps_the_same(kit):
    class Kept:
        state = None

        def load(self):
            return copy.deepcopy(self.state)

        def save(self, state):
            self.state = copy.deepcopy(state)

    whole, store = kit.training_problem(), Kept()
    kit.run(EarlyCheckpoints(), whole, epochs=store)
    interrupted, store, saves = kit.training_problem(), Kept(), []

    class Dies(Kept):
        def save(self, state):
            store.save(state)
            saves.append(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kit.run(EarlyCheckpoints(), interrupted, epochs=Dies())
    again = kit.training_problem()
    kit.run(EarlyCheckpoints(), again, epochs=store)
    assert saves == [1]
    assert again.artifacts_to_store.keys() == whole.artifacts_to_store.keys()
    assert all(torch.equal(again.artifacts_to_store[name], value) for name, value in whole.artifacts_to_store.items())


@pytest.mark.parametrize("shares", [[], [0.0], [0.5, 1.0]])
def test_shares_outside_the_schedule_are_refused(shares):
    with pytest.raises(ValueError, match="keep_at must be shares strictly between 0 and 1"):
        plugins.load("trainings", "early_checkpoints", keep_at=shares)
