"""Per-example losses: cross-entropy and distillation, in nats, never negative, no reduction."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Classifier, UnlearningProblem, UtteranceSet

SCORING_BATCH = 256


def cross_entropy(model: Classifier, batch: Batch) -> Float[Tensor, " batch"]:
    """Return −log p_y of each utterance under its label."""
    return label_loss(model(batch.features, batch.lengths), batch.labels)


def label_loss(logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Return −log p_y of each row."""
    return functional.cross_entropy(logits, labels, reduction="none")


def distillation_loss(
    teacher_logits: Float[Tensor, "batch classes"],
    student_logits: Float[Tensor, "batch classes"],
    temperature: float = 1.0,
) -> Float[Tensor, " batch"]:
    """Return T² · KL(softmax(teacher / T) ‖ softmax(student / T)) of each utterance (Hinton et al. 2015)."""
    teacher = functional.log_softmax(teacher_logits / temperature, dim=-1)
    student = functional.log_softmax(student_logits / temperature, dim=-1)
    divergence = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)
    return divergence * temperature**2


def original_losses(problem: UnlearningProblem, utterances: UtteranceSet) -> Float[Tensor, " n"]:
    """Return f's cross-entropy on each utterance of a set, in the set's order, on the CPU.

    Charged through the cached logits of f.

    Raises:
        BudgetSpent: when the budget is spent between two batches.
    """
    found = []
    for batch in utterances.batches(min(SCORING_BATCH, problem.micro_batch or SCORING_BATCH)):
        found.append(label_loss(problem.original_logits(batch), batch.labels).cpu())
        problem.budget.check()
    return torch.cat(found) if found else torch.zeros(0)
