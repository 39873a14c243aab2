"""MSG: reinitialize the weights with the smallest gradients, then fine-tune on D_r, the other weights slowly.

Source: "Masked Small Gradients" of the NeurIPS 2023 unlearning challenge (second place; Triantafillou et al., 2024,
arXiv 2406.09073), best with CT in Cadet et al., "Deep Unlearn" (arXiv 2410.01276): gradients of CE on a part of D_r as
large as D_f and of −CE on D_f are added up; in each convolutional and linear layer the 30 % with the smallest sum are
drawn anew (Kaiming); fine-tuning on D_r for 5 epochs, gradients of all others × 0.1.
Differs: the reference code (xcadet/deepunlearn) draws anew in Conv2d layers only, of which speech encoders have few
or none; here in linear and one-dimensional convolutional layers too, the head among them. It draws for ReLU by
fan_out; here by fan_in, which keeps the size of what comes out of a linear layer. There only the kept weights of
these layers are slowed and all others (biases, norms, linear layers) take whole steps; here all are slowed. Its
gradients are sums of batch means; here sums over utterances, so that batch sizes do not matter. The step is scaled,
not the gradient, whose scale AdamW does not feel; a constant rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from methods.base import Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.gradients import kth_smallest
from methods.engine.losses import cross_entropy
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def smallest(gradient: Float[Tensor, "*weight"], share: float) -> Bool[Tensor, "*weight"]:
    """Return a mask of the `share` of entries with the smallest magnitude; ties at the threshold are included."""
    count = round(share * gradient.numel())
    if count == 0:
        return torch.zeros_like(gradient, dtype=torch.bool)
    return gradient.abs() <= kth_smallest(gradient.abs().flatten(), count)


def layer_weights(model: Classifier) -> dict[str, nn.Parameter]:
    """Return the trainable weights of linear and convolutional layers, by parameter name."""
    return {
        f"{name}.weight": cast(nn.Parameter, layer.weight)
        for name, layer in cast(nn.Module, model).named_modules()
        if isinstance(layer, LAYERS) and "weight" in layer._parameters and layer.weight.requires_grad
    }


@dataclass(frozen=True, kw_only=True)
class Msg(Method):
    """Reinitialization by gradient, then fine-tuning."""

    label: ClassVar[str] = "MSG"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""
    takes_adapters: ClassVar[bool] = False
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "reinitialized_share": [0.03, 0.1, 0.3],
        "epochs": [1, 3, 5],
    }

    learning_rate: Rate = "auto"  # of the weights drawn anew
    rate_share: float = 0.5  # of the original's own rate, while learning_rate is auto
    epochs: int = 5  # epochs over D_r
    batch_size: int = 64
    reinitialized_share: float = 0.3  # of each layer's weights
    other_step: float = 0.1  # of the step, for all other weights
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.reinitialized_share <= 1:
            raise ValueError(f"reinitialized_share must be in [0, 1], got {self.reinitialized_share}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Reinitialize weights, then yield one pass over D_r."""
        fresh = self.reinitialize(problem)
        before: dict[str, Tensor] = {}

        def remember(model: Classifier) -> None:
            before.update({name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad})

        def slow_down(model: Classifier, optimizer: torch.optim.Optimizer) -> None:
            with torch.no_grad():
                for name, p in model.named_parameters():
                    if p.requires_grad:
                        slow = before[name] + self.other_step * (p - before[name])
                        p.copy_(torch.where(fresh[name], p, slow) if name in fresh else slow)

        yield Pass(
            name="fine-tune",
            over=problem.retain.drawn_anew(self.retain_share),
            loss=cross_entropy,
            learning_rate=self.rate(problem),
            batch_size=self.batch_size,
            epochs=self.epochs,
            schedule=self.rate_schedule,
            before_step=remember,
            after_step=slow_down,
        )

    def reinitialize(self, problem: UnlearningProblem) -> dict[str, Tensor]:
        """Reinitialize the chosen weights; return masks of them, by parameter name."""
        weights = layer_weights(problem.model)
        like_forget = problem.retain.sample(len(problem.forget), problem.generator)
        pull = {name: torch.zeros_like(p) for name, p in weights.items()}
        problem.model.eval()
        for utterances, sign in ((like_forget, 1.0), (problem.forget, -1.0)):
            for batch in problem.iterate(utterances, self.batch_size, backward=True, summed=True):
                loss = sign * cross_entropy(problem.model, batch).sum()
                for total, gradient in zip(
                    pull.values(), torch.autograd.grad(loss, list(weights.values()), allow_unused=True), strict=True
                ):
                    if gradient is not None:
                        total += gradient
        masks = {name: smallest(total, self.reinitialized_share) for name, total in pull.items()}
        with torch.no_grad():
            for name, p in weights.items():
                drawn = nn.init.kaiming_normal_(torch.empty(p.shape), generator=problem.generator)
                p.copy_(torch.where(masks[name], drawn.to(p), p))
        return masks
