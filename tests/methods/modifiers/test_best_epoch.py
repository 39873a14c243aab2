from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch

from methods.base import Method, Pass, Scores
from methods.cf_k import CatastrophicForgetting
from methods.engine.losses import cross_entropy
from methods.fine_tune import FineTune
from methods.lotus import Lotus
from methods.modifiers.best_epoch import BestEpoch, BestWeights
from methods.modifiers.lora import Lora
from methods.random_label import RandomLabel
from methods.scrub import Scrub


def scripted(kit, accuracies, **limits):
    """A problem whose scores of D_f are given, epoch by epoch; it records the weights that were scored."""
    problem, seen, left = kit.make_problem(**limits), [], iter(accuracies)

    def score(model, utterances):
        model(*_inputs(utterances))
        if utterances.is_forget.any():
            seen.append({name: value.clone() for name, value in model.state_dict().items()})
            return Scores(next(left), 0.0)
        return Scores(1.0, 0.0)

    problem.score = score
    problem.forget = kit.replace(problem.forget, labels=torch.zeros_like(problem.forget.labels))
    problem.forgotten_classes = (0,)  # so that D_f should be at 0
    return problem, seen


def always_right(batch):
    return torch.nn.functional.one_hot(batch.labels, 3).double()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("method", "epochs"),
    [
        (FineTune(learning_rate=1e-2, epochs=4), 4),
        (Scrub(learning_rate=1e-2, epochs=2, max_epochs=2), 4),
        (CatastrophicForgetting(learning_rate=1e-2, epochs=4, last_blocks=1), 4),
        (RandomLabel(learning_rate=1e-2, epochs=4, retain_share=0.5), 4),
    ],
)
def test_the_weights_of_the_best_epoch_are_kept_the_first_of_equals(kit, method, epochs):
    problem, seen = scripted(kit, [0.9, 0.2, 0.2, 0.7])
    outcome, progress = kit.run(method, problem, best_epoch=BestEpoch())
    assert len(progress) == len(seen) == epochs
    assert same(seen[1], problem.model.state_dict())
    assert not same(seen[1], seen[3])
    assert outcome.stop_reason == "finished"
    assert problem.notes == [f"best_epoch kept epoch 2 of 4 ({progress[1].pass_name})"]


def test_the_path_of_the_weights_is_that_without_a_choice_and_the_scores_are_charged(kit):
    method = Lotus(learning_rate=1e-2, epochs=3)
    chosen, plain = kit.make_problem(), kit.make_problem()
    for problem in (chosen, plain):
        problem.forgotten_classes = (0, 1, 2)
        problem.score = lambda model, s: (kit.score(model, s), model(*_inputs(s)))[0]
    kit.run(method, plain)
    kit.run(method, chosen, best_epoch=BestEpoch())
    assert chosen.generator.get_state().equal(plain.generator.get_state())
    assert chosen.budget.samples > plain.budget.samples
    assert chosen.budget.evaluation_seconds == plain.budget.evaluation_seconds == 0


def _inputs(utterances):
    batch = next(utterances.batches(64))
    return batch.features, batch.lengths


def test_a_budget_that_ends_within_an_epoch_keeps_the_best_before_it(kit):
    cost = 10 + (6 + 8) / 3  # an epoch over D_r, and a forward over D_f and D_v
    problem, seen = scripted(kit, [0.9, 0.1, 0.5, 0.5], limit=2.2 * cost)
    outcome, _ = kit.run(FineTune(learning_rate=1e-2, epochs=4, batch_size=3), problem, best_epoch=BestEpoch())
    assert outcome.stop_reason == "budget"
    assert len(seen) == 2
    assert same(seen[1], problem.model.state_dict())
    assert problem.notes == ["best_epoch kept epoch 2 of 2 (fine-tune)"]


def test_without_a_whole_epoch_the_last_weights_are_kept(kit):
    problem, seen = scripted(kit, [0.9], limit=5.0)
    before = kit.weights(problem.model)
    kit.run(FineTune(learning_rate=1e-2, epochs=4, batch_size=3), problem, best_epoch=BestEpoch())
    assert not seen
    assert not problem.notes
    assert not same(before, kit.weights(problem.model))


def test_adapters_of_the_best_epoch_are_merged(kit):
    ends = []
    for epochs, accuracies in ((4, [0.9, 0.2, 0.5, 0.7]), (2, [0.9, 0.2])):
        torch.manual_seed(0)
        problem, _ = scripted(kit, accuracies)
        problem.model.float()
        problem.forget, problem.retain, problem.validation = (
            kit.replace(s, fetch=lambda rows, fetch=s.fetch: (fetch(rows)[0].float(), fetch(rows)[1]))
            for s in (problem.forget, problem.retain, problem.validation)
        )
        problem.teacher.float()
        method = FineTune(learning_rate=1e-2, epochs=epochs)
        kit.run(method, problem, best_epoch=BestEpoch(), lora=Lora(rank=2))
        ends.append(kit.weights(problem.model))
    assert list(ends[0]) == list(kit.weights(kit.TwoLayers()))
    assert same(*ends)


def test_mislabeled_utterances_should_be_right_as_seldom_as_wrong_labels_on_unseen_speech(kit):
    problem = kit.make_problem()
    kept = BestWeights(problem, mislabeled=True)
    kept.after_epoch("p")
    right = kit.score(problem.teacher, problem.validation).accuracy
    assert kept._aim.forget == pytest.approx((1 - right) / 2)


def test_a_class_that_an_earlier_request_forgot_is_no_reason_to_destroy_the_forget_set(kit):
    problem, seen = scripted(kit, [0.2, 0.5, 0.9, 0.0])
    problem.forget = kit.replace(problem.forget, labels=torch.ones_like(problem.forget.labels))
    problem.teacher_logits = always_right
    kit.run(FineTune(learning_rate=1e-2, epochs=4), problem, best_epoch=BestEpoch())
    assert same(seen[2], problem.model.state_dict())


def test_without_unseen_speech_of_the_forget_sets_classes_it_still_chooses_and_says_so(kit):
    problem, seen = scripted(kit, [0.5, 0.9, 0.9, 0.0])
    problem.forgotten_classes, problem.teacher_logits = (), always_right
    problem.validation = problem.validation.select(problem.validation.labels != 0)
    kit.run(FineTune(learning_rate=1e-2, epochs=4), problem, best_epoch=BestEpoch())
    assert same(seen[1], problem.model.state_dict())
    (note,) = problem.notes
    assert note == (
        "best_epoch kept epoch 2 of 4 (fine-tune), by the accuracy on all of D_v, which has no class of D_f"
    )


def test_it_keeps_one_copy_of_what_moves(kit):
    problem, _ = scripted(kit, [0.9, 0.5, 0.2])
    problem.model.body.requires_grad_(False)
    kept = BestWeights(problem)
    for _ in range(3):
        kept.after_epoch("p")
    assert set(kept._kept) == {"head.weight", "head.bias"}


def test_it_needs_a_validation_set_and_a_known_rule(kit):
    with pytest.raises(ValueError, match="best_epoch needs a D_v"):
        BestWeights(kit.make_problem(validation=0))
    with pytest.raises(ValueError, match=r"best_epoch\.rule must be rewind, got 'authors'"):
        BestEpoch(rule="authors")


@dataclass(frozen=True, kw_only=True)
class Nothing(Method):
    label, version = "nothing", 1

    def passes(self, problem) -> Iterator[Pass]:
        yield from ()


def test_a_method_without_an_epoch_changes_nothing_and_notes_nothing(kit):
    problem = kit.make_problem()
    kit.run(Nothing(), problem, best_epoch=BestEpoch())
    assert not problem.notes
    assert same(kit.weights(kit.TwoLayers()), kit.weights(problem.model))


def test_a_pass_that_keeps_its_own_best_epoch_may_be_chosen_from_too(kit):
    @dataclass(frozen=True, kw_only=True)
    class Keeps(Nothing):
        def passes(self, problem) -> Iterator[Pass]:
            yield Pass(name="p", over=problem.retain, loss=cross_entropy, learning_rate=1e-2, epochs=3, keep_best=True)

    problem, seen = scripted(kit, [0.9, 0.8, 0.1])
    kit.run(Keeps(), problem, best_epoch=BestEpoch())
    assert same(seen[2], problem.model.state_dict())
