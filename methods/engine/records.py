"""The settings, progress and outcome of one run of a method by the shared loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol


class Diverged(Exception):
    """A loss, a gradient or a weight is NaN or infinite: a result, not an error."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run at the end of an epoch of a pass, or where the budget cut it off."""

    pass_name: str
    epoch: int  # from 0
    epochs: int  # of the pass
    steps: int
    loss: float  # mean over the epoch of the batch losses
    budget_used: float  # 0-1; 0 without a budget
    accuracy: float | None = None  # on D_v, if the pass keeps its best epoch
    whole: bool = True  # False: the budget cut the epoch off


@dataclass
class Outcome:
    """What the loop has done so far; updated while it runs."""

    steps: int = 0
    stop_reason: Literal["finished", "budget"] = "finished"
    parameters: int = 0  # number of weights that are trained


class EpochStore(Protocol):
    """A store of a training's last finished epoch, from which another process can resume."""

    def load(self) -> dict[str, Any] | None:
        """Return the newest state, or None."""

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state atomically."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """Settings of the loop, equal for all methods of a sweep."""

    clip_norm: float = 1.0  # of the gradient, over all trained weights
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: autocast; weights and optimizer state stay fp32
    micro_batch: int | None = None  # utterances per forward; the gradients of a batch are added up
    compile: bool = False  # torch.compile, with static shapes
