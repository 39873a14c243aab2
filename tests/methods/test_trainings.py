"""Kinds of training: one suite over every kind found, and what each keeps."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from methods.base import Scores, TrainingRecipe
from methods.retrain import Retrain
from methods.rewind import Rewind
from methods.trainings.early_checkpoints import EarlyCheckpoints, checkpoint
from orchestrator import plugins

KINDS = plugins.names("trainings")


def keeping(kit):
    problem = kit.make_problem()
    problem.artifacts_to_store = {}
    return problem


def test_the_kinds_are_found_and_are_no_methods():
    assert {"standard", "closed_form_head", "early_checkpoints"} <= set(KINDS)
    assert not set(KINDS) & set(plugins.names("methods"))


@pytest.mark.parametrize("name", KINDS)
def test_what_is_kept_does_not_change_the_model_and_repeats_bit_for_bit(kit, name):
    kind = plugins.load("trainings", name)
    assert isinstance(kind, TrainingRecipe)
    ends = []
    for problem in (keeping(kit), keeping(kit), kit.make_problem()):
        torch.manual_seed(0)
        kit.run(kind, problem)
        ends.append((kit.weights(problem.model), problem.artifacts_to_store))
    for weights, _ in ends[1:]:
        assert all(torch.equal(ends[0][0][key], weights[key]) for key in weights)
    assert ends[0][1].keys() == ends[1][1].keys()
    assert all(torch.equal(ends[0][1][key], ends[1][1][key]) for key in ends[0][1])


@pytest.mark.parametrize("name", KINDS)
def test_a_schedule_is_charged_the_samples_that_it_says(kit, name):
    problem, kind = kit.make_problem(), plugins.load("trainings", name)
    kit.run(kind, problem)
    assert problem.budget.samples == pytest.approx(kind.schedule_samples(problem.training, len(problem.retain)))


def test_the_original_of_early_checkpoints_is_the_standard_one_bit_for_bit(kit):
    ends = []
    for kind in (Retrain(), EarlyCheckpoints()):
        problem = keeping(kit)
        kit.run(kind, problem)
        ends.append(kit.weights(problem.model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_checkpoint_holds_the_weights_of_its_step(kit):
    """10 utterances in batches of 4, twice: the half is step 3, the end of the first epoch."""
    problem, seen = keeping(kit), []
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


@pytest.mark.parametrize("keep_epoch", ["best", "last"])
def test_training_ends_with_the_requested_epoch(kit, monkeypatch, keep_epoch):
    """D_v says that the first of two epochs is best."""
    problem, seen, scores = keeping(kit), [], iter([Scores(accuracy=1.0, loss=0.0), Scores(accuracy=0.5, loss=0.0)])
    problem.training = replace(problem.training, keep_epoch=keep_epoch)
    monkeypatch.setattr("methods.engine.pass_runner.PassRunner._scores", lambda runner: next(scores))

    class Watched(Retrain):
        def passes(self, problem):
            for current in super().passes(problem):
                yield replace(current, after_step=lambda model, _: seen.append(kit.weights(model)))

    kit.run(Watched(), problem)
    first, last = seen[2], seen[5]
    assert any(not torch.equal(first[name], last[name]) for name in first)
    wanted, ends = {"best": first, "last": last}[keep_epoch], kit.weights(problem.model)
    assert all(torch.equal(ends[name], wanted[name]) for name in wanted)


def test_every_utterance_has_a_loss_in_every_epoch_and_training_lowers_it(kit):
    problem = keeping(kit)
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

    whole, store = keeping(kit), Kept()
    kit.run(EarlyCheckpoints(), whole, epochs=store)
    interrupted, store, saves = keeping(kit), Kept(), []

    class Dies(Kept):
        def save(self, state):
            store.save(state)
            saves.append(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kit.run(EarlyCheckpoints(), interrupted, epochs=Dies())
    again = keeping(kit)
    kit.run(EarlyCheckpoints(), again, epochs=store)
    assert saves == [1]
    assert again.artifacts_to_store.keys() == whole.artifacts_to_store.keys()
    assert all(torch.equal(again.artifacts_to_store[name], value) for name, value in whole.artifacts_to_store.items())


def test_rewind_starts_from_the_checkpoint_and_trains_for_what_is_left_of_the_schedule(kit):
    trained = keeping(kit)
    kit.run(EarlyCheckpoints(), trained)
    problem = kit.make_problem()
    problem.original_artifacts = trained.artifacts_to_store
    current = next(Rewind(share=0.6).passes(problem))
    kept = checkpoint(trained.artifacts_to_store, 0.6)
    assert all(torch.equal(value, kept[name]) for name, value in problem.model.state_dict().items())
    assert (current.over, current.epochs) == (problem.retain, 1)
    assert current.learning_rate == pytest.approx(1e-2 * 0.4 / 0.9)  # linear after a tenth of warm-up


def test_rewind_compresses_the_rest_of_the_schedule_into_the_budget(kit):
    trained = keeping(kit)
    kit.run(EarlyCheckpoints(), trained)

    def epochs(limit):
        problem = kit.make_problem(limit=limit)
        problem.original_artifacts, problem.training = trained.artifacts_to_store, replace(problem.training, epochs=10)
        return next(Rewind(share=0.2).passes(problem)).epochs

    assert (epochs(None), epochs(102.0), epochs(38.0), epochs(1.0)) == (8, 8, 3, 1)  # 10 + 8/3 an epoch


def test_a_share_that_was_not_kept_is_refused_in_the_plan_and_at_the_latest_when_it_is_read():
    assert "keep_at (0.2, 0.6), got 0.4" in Rewind(share=0.4).reason_unsupported(
        "early_checkpoints", {"keep_at": (0.2, 0.6)}
    )
    assert Rewind(share=0.4).reason_unsupported("early_checkpoints", {"keep_at": (0.2, 0.4)}) == ""
    assert "early_checkpoints" in Rewind().reason_unsupported("standard", {})
    with pytest.raises(ValueError, match=r"\(0\.2.*\), got 0\.4"):
        checkpoint({"at/0.2/head": torch.zeros(1)}, 0.4)


@pytest.mark.parametrize("shares", [[], [0.0], [0.5, 1.0]])
def test_shares_outside_the_schedule_are_refused(shares):
    with pytest.raises(ValueError, match="keep_at must be shares strictly between 0 and 1"):
        plugins.load("trainings", "early_checkpoints", keep_at=shares)
