"""The deviations of CLU-UML/MU-Bench and its predecessor that several `mubench` presets share, each in one function.

Source: CLU-UML/MU-Bench and chengjiali/MU-Bench (read, not run): one recipe for all methods in audio/unlearn, 5 epochs
of AdamW from 5e-5 with 10 % warm-up and linear decay, batch 32.
Differs in all presets: the last weights count, where that code keeps the epoch that is best by a score on D_v and D_f;
the crop of 1 s and the frozen convolutions are settings of the sweep and the backbone.
"""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.base import UnlearningProblem

Corruption = Literal["shift", "mirror"]


class Schedule(TypedDict):
    """The schedule of every pass."""

    schedule: Literal["linear"]
    warmup_share: float


SCHEDULE: Schedule = {"schedule": "linear", "warmup_share": 0.1}


def raw_logit_kl(
    target_logits: Float[Tensor, "batch classes"], input_logits: Float[Tensor, "batch classes"]
) -> Float[Tensor, " batch"]:
    """Return Σ_c t_c (log t_c − s_c) over classes with t_c > 0: `KLDivLoss` with logits for (log-)probabilities.

    It is not a divergence: it can be negative, has no lower bound, and is not minimal at s = t. Negative targets count
    as 0, as in PyTorch when that code was written; later releases make them NaN, which would end every run at once.
    """
    positive = target_logits.clamp(min=0)
    return (torch.xlogy(positive, positive) - positive * input_logits).sum(dim=-1)


def corrupted_labels(problem: UnlearningProblem, corruption: Corruption) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Return rows of D_f, ascending, and that code's "random" labels, which map each label to one wrong label.

    `shift`: (y + 1) mod the number of labels that D_r has (CLU-UML). `mirror`: C − 1 − y (the predecessor, which ran
    audio).

    Raises:
        ValueError: `mirror` with an odd number of classes and an utterance of the middle one, which maps to itself.
    """
    order = problem.forget.utterances.argsort()
    rows, labels = problem.forget.utterances[order], problem.forget.labels[order]
    if corruption == "shift":
        return rows, (labels + 1) % len(torch.unique(problem.retain.labels))
    mirrored = problem.num_classes - 1 - labels
    if bool((mirrored == labels).any()):
        raise ValueError(
            f"corruption: mirror maps the middle class of {problem.num_classes} classes to itself; "
            "use an even number of classes, or corruption: shift"
        )
    return rows, mirrored
