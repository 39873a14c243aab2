"""SuperLoss: a closed-form curriculum that weighs each example by its loss (Castells et al., NeurIPS 2020).

L(l_i, σ_i) = (l_i − τ) σ_i + λ (log σ_i)², minimized by σ* = exp(−W(½ max(−2/e, (l_i − τ)/λ))), W the principal
branch of Lambert's function. Without a gradient through σ*, dL/dθ = σ* · dl/dθ, so applying it to a method is a
re-weighting.
arXiv 2506.00848 §5.4 takes τ as the moving average of the loss.

`tau: mubench` and the preset `MUBENCH` are what CLU-UML/MU-Bench runs: λ = 10, and τ = Σ l / Σ σ over the batches
before (the first batch: its mean), one for D_f and D_r together, so that τ is no average of losses.
Differs: there W is read from a table of 31 points, and with KL losses σ is taken for each (utterance, class); both are
an utterance's own here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from methods.engine.setting_rules import added_later
from methods.engine.transfer import sent

TAU_RULES = ("moving_average", "global", "fixed", "mubench")


@dataclass(frozen=True, kw_only=True)
class SuperLoss:
    """The settings of `superloss:` in a sweep."""

    strength: float = 1.0  # λ of SuperLoss; larger is flatter
    tau: Literal["moving_average", "global", "fixed", "mubench"] = "moving_average"  # fixed: log C
    momentum: float = 0.9  # of the moving average, per batch
    over: Literal["forget", "all"] = "forget"  # whose losses are re-weighted
    shuffled: bool = added_later(False)  # the control: weights drawn from those that were given of late

    def __post_init__(self) -> None:
        if self.strength <= 0:
            raise ValueError(f"superloss.strength must be above 0, got {self.strength}")
        if self.tau not in TAU_RULES:
            raise ValueError(f"superloss.tau must be one of {', '.join(TAU_RULES)}, got {self.tau!r}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"superloss.momentum must be in [0, 1), got {self.momentum}")
        if self.over not in ("forget", "all"):
            raise ValueError(f"superloss.over must be forget or all, got {self.over!r}")


POOL = 64  # weights of one set that the shuffled control draws from
MUBENCH = SuperLoss(strength=10.0, tau="mubench", over="all")


def lambert_w(x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the principal branch of W, where W e^W = x, for x ≥ −1/e, by Halley's iteration in float64."""
    x = x.double()
    # Series at the branch point −1/e, and log1p elsewhere: both close enough for Halley to settle within eight rounds.
    p = torch.sqrt(torch.clamp(2 * (math.e * x + 1), min=0))
    w = torch.where(x < 0, -1 + p - p**2 / 3 + 11 * p**3 / 72, torch.log1p(torch.clamp(x, min=0)))
    for _ in range(8):
        e = torch.exp(w)
        f = w * e - x
        slope = e * (w + 1) - (w + 2) * f / (2 * w + 2)
        w = torch.where(f.abs() < 1e-15, w, w - f / torch.where(slope.abs() < 1e-12, torch.ones_like(slope), slope))
    return w


def superloss_weight(loss: Float[Tensor, " n"], tau: float | Float[Tensor, ""], strength: float) -> Float[Tensor, " n"]:
    """Return σ* in (0, e]: above 1 for easy examples (l < τ), below 1 for hard ones; detached."""
    x = 0.5 * torch.clamp((loss.detach().double() - tau) / strength, min=-2 / math.e)
    return torch.exp(-lambert_w(x)).to(loss.dtype)


@dataclass
class SuperLossWeights:
    """The running τ of one trial: one for D_f and one for D_r, or one for both under `tau: mubench`."""

    settings: SuperLoss
    num_classes: int
    generator: torch.Generator | None = None  # of the shuffled control
    _tau: dict[bool, Tensor] = field(default_factory=dict)  # on the device: nothing here waits for it
    _seen: dict[bool, int] = field(default_factory=dict)
    _pool: dict[bool, Tensor] = field(default_factory=dict)  # the last weights of each set, of the shuffled control
    _sums: tuple[Tensor, Tensor] | None = None  # Σ l and Σ σ of the batches before, for `tau: mubench`

    def weights(self, loss: Float[Tensor, " batch"], is_forget: Bool[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Update τ, as the reference code does first, and return σ of each example; 1 where SuperLoss does not apply.

        `is_forget` is on the host.
        """
        weights = torch.ones_like(loss)
        for forget, chosen in self._sets(is_forget):
            places = sent(chosen.nonzero().flatten(), loss.device)
            if len(places):
                weights[places] = self._dealt(self._weights_of(loss.detach()[places], forget), forget)
        return weights

    def _sets(self, is_forget: Tensor) -> list[tuple[bool, Tensor]]:
        """Return the groups that share a τ: D_f, and D_r if it is weighted too."""
        if self.settings.tau == "mubench":
            return [(True, is_forget | (self.settings.over == "all"))]
        return [(True, is_forget), (False, ~is_forget)] if self.settings.over == "all" else [(True, is_forget)]

    def _weights_of(self, loss: Tensor, forget: bool) -> Tensor:
        if self.settings.tau == "mubench":
            return self._mubench_weights(loss)
        return superloss_weight(loss, self._next_tau(loss, forget), self.settings.strength)

    def _dealt(self, weights: Tensor, forget: bool) -> Tensor:
        """Return the weights; in the control, draw from the last `POOL` weights of that set.

        D_f has few utterances in a batch, and among those alone many would keep their own weight."""
        if not self.settings.shuffled:
            return weights
        pool = torch.cat([self._pool.get(forget, weights[:0]), weights])[-max(POOL, len(weights)) :]
        self._pool[forget] = pool
        return pool[sent(torch.randperm(len(pool), generator=self.generator)[: len(weights)], pool.device)]

    def _mubench_weights(self, loss: Tensor) -> Tensor:
        tau = self._sums[0] / self._sums[1] if self._sums else loss.mean().double()
        weights = superloss_weight(loss, tau, self.settings.strength)
        losses, total = self._sums or (0.0, 0.0)
        self._sums = losses + loss.sum().double(), total + weights.sum().double()
        return weights

    def _next_tau(self, loss: Tensor, forget: bool) -> float | Tensor:
        if self.settings.tau == "fixed":
            return math.log(self.num_classes)
        mean, count = loss.mean().double(), len(loss)
        seen = self._seen.get(forget, 0)
        if seen == 0:
            tau = mean
        elif self.settings.tau == "moving_average":
            tau = self.settings.momentum * self._tau[forget] + (1 - self.settings.momentum) * mean
        else:
            tau = (self._tau[forget] * seen + mean * count) / (seen + count)
        self._seen[forget], self._tau[forget] = seen + count, tau
        return tau
