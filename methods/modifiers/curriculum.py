"""A curriculum over D_f: which utterances are forgotten first, by how hard the original finds them.

Source: Wu, Dyer & Neyshabur, "When do curricula work?", ICLR 2021 (arXiv 2012.03107): ordered learning with a pacing
function, easy first, hard first, and random order as the control that separates the effect of the order from that of
the pacing. Difficulty is the cross-entropy of the original, which is known before the first step.
Differs: the paper draws batches from the allowed part; here each epoch over D_f is sorted, D_r keeps its places, and
where `start_share` is below 1 the first epochs are shorter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.base import UnlearningProblem, UtteranceSet
from methods.engine.losses import original_losses

ORDERS = ("easy_first", "hard_first", "random")


@dataclass(frozen=True, kw_only=True)
class ForgetCurriculum:
    """The settings of `curriculum:` in a sweep."""

    order: Literal["easy_first", "hard_first", "random"] = "easy_first"
    start_share: float = 1.0  # of D_f, in its order, in the first epoch
    share_step: float = 0.25  # added in each later epoch, up to all of D_f

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"curriculum.order must be one of {', '.join(ORDERS)}, got {self.order!r}")
        for name in ("start_share", "share_step"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"curriculum.{name} must be in (0, 1], got {getattr(self, name)}")


def with_curriculum(problem: UnlearningProblem, settings: ForgetCurriculum) -> UnlearningProblem:
    """Return the same problem, with a D_f whose shuffled epochs follow the curriculum, alone or in a union with D_r.

    The losses of the original are charged, for the random order too: the control differs in nothing but the order.
    """
    losses = original_losses(problem, problem.forget)
    if settings.order == "random":
        losses = torch.rand(len(losses), generator=problem.control_generator())
    pacing = _Pacing(settings, problem.forget.utterances, -losses if settings.order == "hard_first" else losses)
    return replace(problem, forget=replace(problem.forget, reorder=pacing))


@dataclass
class _Pacing:
    """Orders epochs; counts those that contained D_f."""

    settings: ForgetCurriculum
    utterances: Int[Tensor, " n"]
    keys: Float[Tensor, " n"]  # smallest first
    epochs: int = 0

    def __call__(self, chosen: UtteranceSet, order: Int[Tensor, " m"]) -> Int[Tensor, " k"]:
        """Return the epoch's order; the places of D_f hold its utterances, sorted and cut to the epoch's share."""
        ranked = self._ranked(chosen)
        if not len(ranked):
            return order
        share = min(1.0, self.settings.start_share + self.epochs * self.settings.share_step)
        self.epochs += 1
        kept = max(1, round(share * len(ranked)))
        stays = ~chosen.is_forget[order]
        used = torch.nonzero(~stays).flatten()[spread(len(ranked), kept)]
        stays[used] = True
        arranged = order.clone()
        arranged[used] = ranked[:kept]
        return arranged[stays]

    def _ranked(self, chosen: UtteranceSet) -> Tensor:
        """Return the positions in `chosen` of utterances of D_f, in the order in which they are forgotten."""
        own = torch.nonzero(chosen.is_forget).flatten()
        by_row = self.utterances.argsort()
        at = torch.searchsorted(self.utterances[by_row], chosen.utterances[own])
        return own[self.keys[by_row][at].argsort(stable=True)]


def spread(count: int, kept: int) -> Int[Tensor, " kept"]:
    """Choose `kept` of `count` positions, evenly spaced, so that D_f is spread over a shortened epoch too."""
    return torch.arange(kept) * count // kept
