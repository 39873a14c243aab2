"""SalUn: run RandLabel on only the weights that matter most to D_f.

Source: Fan et al., ICLR 2024: the mask keeps the `saliency_share` of weights with the largest |Σ ∇CE(D_f)|, globally.
Differs: the threshold is a k-th value, not a full sort; masked weights and their optimizer state are restored after
each step, so that neither momentum nor weight decay can move them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.gradients import kth_smallest, summed_gradient, trainable
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later
from methods.random_label import RandomLabel


def saliency_mask(gradients: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return masks of the `share` of all entries with the largest magnitude; ties at the threshold are excluded."""
    magnitudes = torch.cat([g.flatten() for g in gradients.values()]).abs_()
    dropped = len(magnitudes) - round(share * len(magnitudes))
    if dropped == 0:
        return {name: torch.ones_like(g, dtype=torch.bool) for name, g in gradients.items()}
    if magnitudes.device.type == "cpu":  # kthvalue would copy them all, with a place of eight bytes for each
        magnitudes.numpy().partition(dropped - 1)
        threshold = magnitudes[dropped - 1].clone()
    else:
        threshold = kth_smallest(magnitudes, dropped)
    del magnitudes
    return {name: g.abs() > threshold for name, g in gradients.items()}


@dataclass(frozen=True, kw_only=True)
class SalUn(Method):
    """RandLabel under a saliency mask."""

    label: ClassVar[str] = "SalUn"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "retain_weight": (0.1, 10.0),
        "epochs": [1, 2, 3],
        "saliency_share": [0.3, 0.5, 0.7],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.3  # of the original's own rate, while learning_rate is auto
    epochs: int = 1  # epochs over D_f ∪ D_r
    batch_size: int = 32
    retain_weight: float = 1.0  # λ
    saliency_share: float = 0.5  # of all trainable weights that may move
    redraw: bool = True  # new wrong labels each epoch, as the paper's code does
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.saliency_share <= 1:
            raise ValueError(f"saliency_share must be in (0, 1], got {self.saliency_share}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield RandLabel's passes with the mask around each step."""
        masks = saliency_mask(summed_gradient(problem, problem.forget, self.batch_size), self.saliency_share)
        start = {name: p.detach()[~masks[name]] for name, p in trainable(problem.model).items()}  # what may not move

        def mask_gradients(model: Classifier) -> None:
            for name, p in model.named_parameters():
                if name in masks and p.grad is not None:
                    p.grad *= masks[name]

        def restore_masked(model: Classifier, optimizer: torch.optim.Optimizer) -> None:
            with torch.no_grad():
                for name, p in model.named_parameters():
                    if name in masks:
                        p.masked_scatter_(~masks[name], start[name])
                        for moment in optimizer.state.get(p, {}).values():
                            if torch.is_tensor(moment) and moment.shape == p.shape:
                                moment *= masks[name]

        relabel = RandomLabel(
            learning_rate=self.rate(problem),
            epochs=self.epochs,
            batch_size=self.batch_size,
            retain_weight=self.retain_weight,
            redraw=self.redraw,
            retain_share=self.retain_share,
            rate_schedule=self.rate_schedule,
        )
        for current in relabel.passes(problem):
            yield replace(current, before_step=mask_gradients, after_step=restore_masked)
