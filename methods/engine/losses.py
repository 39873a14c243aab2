"""Per-example losses: under the target and by distillation, in nats, never negative, no reduction."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Classifier, UnlearningProblem, UtteranceSet
from methods.engine.answers import logits_of, mean_over_steps, target_loss

SCORING_BATCH = 256


def cross_entropy(model: Classifier, batch: Batch) -> Float[Tensor, " batch"]:
    """Return −log p_y of each utterance under its label, or a transcript's, as `target_loss` has it."""
    return target_loss(model, logits_of(model, batch), batch.labels)


def label_loss(logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Return −log p_y of each row."""
    return functional.cross_entropy(logits, labels, reduction="none")


def distillation_loss(
    teacher_logits: Float[Tensor, "batch *steps classes"],
    student_logits: Float[Tensor, "batch *steps classes"],
    temperature: float = 1.0,
) -> Float[Tensor, " batch"]:
    """Return T² · KL(softmax(teacher / T) ‖ softmax(student / T)) of each utterance (Hinton et al. 2015).

    A recognizer's is the mean over the utterance's steps.
    """
    teacher = functional.log_softmax(teacher_logits / temperature, dim=-1)
    student = functional.log_softmax(student_logits / temperature, dim=-1)
    divergence = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)
    return mean_over_steps(divergence, teacher_logits) * temperature**2


def original_losses(problem: UnlearningProblem, utterances: UtteranceSet) -> Float[Tensor, " n"]:
    """Return f's loss on each utterance of a set, in the set's order, on the CPU.

    Charged through f's logits, which are cached for classifiers.

    Raises:
        BudgetSpent: when the budget is spent between two batches.
    """
    found = []
    for batch in utterances.batches(min(SCORING_BATCH, problem.micro_batch or SCORING_BATCH)):
        found.append(target_loss(problem.model, problem.original_logits(batch), batch.labels).cpu())
        problem.budget.check()
    return torch.cat(found) if found else torch.zeros(0)
