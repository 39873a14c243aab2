"""Noisy rewind: rewind, add Gaussian noise to the weights, and print the (ε, δ) that follows, however useless it is.

Source: Mu and Klabjan, Rewind-to-Delete, NeurIPS 2025 (arXiv 2409.09778): for full-batch gradient descent at rates η on
a loss with gradients of at most G per utterance and L-Lipschitz gradients, two runs whose data differ in m of n
utterances until the checkpoint differ by Δ_{t+1} ≤ (1 + η L) Δ_t + 2 η m G / n until there, and by Δ_{t+1} ≤
(1 + η L) Δ_t from there; Gaussian noise on both makes them (ε, δ)-indistinguishable. As in the public code, G and L are
measured where they are not given, so they are lower bounds, and so is that ε.
Differs: this project trains with AdamW on batches, which that theorem does not cover; its bound is printed for
comparison. The guarantee that holds needs no assumption on the loss: step t of AdamW moves a weight by at most c_t η
(c_t ≤ 7.3, by the Cauchy–Schwarz inequality over its moments), so two trainings from the same start, f′'s and
Retrain's, differ by at most the sum of both reaches, whatever the data, the order and the dropout. It compares f′ with
Retrain after the same noise, and the checkpoint must remain secret. ε is exact for Gaussian noise (Balle and Wang, ICML
2018, arXiv 1805.06530); the paper's formula holds for ε < 1 only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from methods.base import Classifier, Method, Pass, Training, UnlearningProblem
from methods.engine.gradients import summed_gradient, trainable
from methods.engine.losses import cross_entropy
from methods.engine.per_utterance import gradients_of
from methods.engine.schedule import learning_rate_factor
from methods.rewind import Rewind
from methods.trainings.early_checkpoints import checkpoint

BETAS = (0.9, 0.999)  # of AdamW
MEASURED = 16  # utterances whose gradients give G and L
BATCH = 32
USEFUL = 10.0  # ε above which a guarantee says nothing in practice
LARGE = 100.0  # standard deviations
NO_NOISE = "no noise was added, because the budget ended before: nothing is guaranteed"


def rates(of: Training | Pass, utterances: int) -> list[float]:
    """Return the learning rate of each step of a training, or of a pass, over so many utterances."""
    per_epoch = -(-utterances // of.batch_size)
    steps, settings = per_epoch * of.epochs, (of.schedule, of.warmup_share)
    factors = [learning_rate_factor(at, steps, *settings, at // per_epoch, of.epochs) for at in range(steps)]
    return [of.learning_rate * factor for factor in factors]


def adamw_reach(rates: Iterable[float], weights: int, *, start: float = 0.0, weight_decay: float = 0.0) -> float:
    """Return the largest distance, in L2, that AdamW with new moments can move `weights` weights.

    `start` is the norm of the weights at the start, which matters under weight decay.
    """
    first, second = BETAS
    reach, powers, power = 0.0, 0.0, 1.0
    for step, rate in enumerate(rates, start=1):
        powers, power = powers + power, power * first**2 / second
        largest = (1 - first) / (1 - first**step) * math.sqrt((1 - second**step) / (1 - second) * powers)
        reach += rate * (largest * math.sqrt(weights) + weight_decay * (start + reach))
    return reach


def descent_distance(
    before: Iterable[float], after: Iterable[float], *, share: float, gradient: float, smoothness: float
) -> float:
    """Return the bound on the distance of two gradient descents, of which `share` of D differs before the rewind."""
    apart = 0.0
    for rate in before:
        apart = (1 + rate * smoothness) * apart + 2 * rate * share * gradient
    for rate in after:
        apart *= 1 + rate * smoothness
    return apart


def epsilon_of(ratio: float, delta: float) -> float:
    """Return the least ε of Gaussian noise at δ, for a distance of `ratio` standard deviations.

    Above `LARGE` an upper bound, of which the exact value falls short by less than a hundredth of a standard deviation.
    """
    if ratio > LARGE:
        return ratio**2 / 2 - ratio * float(torch.special.ndtri(torch.tensor(delta, dtype=torch.float64)))

    def spent(epsilon: float) -> float:
        at = torch.tensor([ratio / 2 - epsilon / ratio, -ratio / 2 - epsilon / ratio], dtype=torch.float64)
        first, second = torch.special.log_ndtr(at).tolist()
        return math.exp(first) - math.exp(epsilon + second)

    low, high = 0.0, ratio**2 / 2 + 40 * ratio
    for _ in range(100 if ratio else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > delta else (low, middle)
    return high


@dataclass(frozen=True, kw_only=True)
class NoisyRewind(Method):
    """Rewind's pass, then noise on the trainable weights; the guarantee is in the row's note."""

    label: ClassVar[str] = "Noisy rewind"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = ""
    requires_training: ClassVar[str] = "early_checkpoints"
    edits_last: ClassVar[bool] = True
    takes_adapters: ClassVar[bool] = False

    share: float = 0.4  # of the original's schedule that is kept: one of the training's `keep_at`
    noise: float = 1e-3  # σ, standard deviation, of each weight
    delta: float = 1e-5  # δ
    gradient_bound: float = 0.0  # G, norm of an utterance's gradient, nats; 0 measures it
    smoothness: float = 0.0  # L, of the gradient of the mean loss; 0 measures it

    def __post_init__(self) -> None:
        super().__post_init__()
        Rewind(share=self.share)
        if self.noise <= 0:
            raise ValueError(f"noise must be above 0, got {self.noise}")
        if not 0 < self.delta < 1:
            raise ValueError(f"delta must be strictly between 0 and 1, got {self.delta}")
        for name in ("gradient_bound", "smoothness"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")

    def reason_unsupported(self, kind: str, settings: Mapping[str, Any]) -> str:
        """Return why the training does not keep the weights that are needed, or an empty string."""
        return Rewind(share=self.share).reason_unsupported(kind, settings)

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Measure the constants that are not given, which is charged, yield Rewind's pass, and add the noise."""
        problem.notes.append(NO_NOISE)
        gradient, smoothness = self.constants(problem)
        (rewind,) = Rewind(share=self.share).passes(problem)

        def add_noise(model: Classifier) -> None:
            for p in trainable(model).values():
                with torch.no_grad():
                    p.add_(self.noise * torch.randn(p.shape, generator=problem.generator).to(p))
            problem.notes.remove(NO_NOISE)
            problem.notes.append(self.guarantee(problem, rewind, gradient, smoothness))

        yield replace(rewind, at_end=add_noise)

    def guarantee(self, problem: UnlearningProblem, rewind: Pass, gradient: float, smoothness: float) -> str:
        """Return what follows, with the assumption of each part."""
        assert problem.original_artifacts is not None
        training, retained = problem.training, len(problem.retain.utterances)
        utterances = len(problem.original_artifacts["utterances"])
        before = rates(training, utterances)
        before = before[: max(1, round(self.share * len(before)))]
        after, again = rates(rewind, retained), rates(training, retained)
        weights = sum(p.numel() for p in trainable(problem.model).values())
        decay = training.weight_decay
        start = _norm(trainable(problem.fresh_model()).values()) if decay else 0.0
        rewound = adamw_reach(before, weights, start=start, weight_decay=decay)
        rewound += adamw_reach(after, weights, start=start + rewound, weight_decay=decay)
        apart = rewound + adamw_reach(again, weights, start=start, weight_decay=decay)
        forgotten = 1 - retained / utterances
        descent = descent_distance(before, after, share=forgotten, gradient=gradient, smoothness=smoothness)
        sure, assumed = (epsilon_of(distance / self.noise, self.delta) for distance in (apart, descent))
        given = "as given" if self.gradient_bound and self.smoothness else "measured, so lower bounds"
        return (
            f"noise of {self.noise:g} on {weights:,} weights. Since AdamW's steps are bounded, for any loss: epsilon = "
            f"{sure:.3g} at delta = {self.delta:g}, against Retrain with the same noise"
            + (": no useful guarantee. " if sure > USEFUL else ". ")
            + f"Under the theorem of Rewind-to-Delete, which does not cover AdamW, with G = {gradient:.3g} and "
            f"L = {smoothness:.3g} ({given}): epsilon = {assumed:.3g}"
        )

    def constants(self, problem: UnlearningProblem) -> tuple[float, float]:
        """Return G and L, as given or as found at f's weights and at the checkpoint.

        G is the largest gradient of drawn utterances of D_f, L the change of the mean gradient of drawn utterances of
        D_r, divided by the distance. The model has f's weights afterwards, also if the budget ends before.
        """
        if (self.gradient_bound and self.smoothness) or problem.original_artifacts is None:
            return self.gradient_bound, self.smoothness
        forget, retain = (s.sample(MEASURED, problem.generator) for s in (problem.forget, problem.retain))
        here = {name: value.detach().cpu().clone() for name, value in problem.model.state_dict().items()}
        there = checkpoint(problem.original_artifacts, self.share)
        largest, means = 0.0, []
        problem.model.eval()
        try:
            for weights in (here, there):
                problem.model.load_state_dict(weights)
                for batch in problem.iterate(forget, 1, backward=True):
                    loss = cross_entropy(problem.model, batch).sum()
                    largest = max(largest, _norm(gradients_of(loss, trainable(problem.model)).values()))
                means.append({name: g.cpu() for name, g in summed_gradient(problem, retain, BATCH).items()})
        finally:
            problem.model.load_state_dict(here)
        apart = _norm(there[name] - here[name] for name in trainable(problem.model))
        change = _norm(means[1][name] - means[0][name] for name in means[0]) / len(retain.utterances)
        return self.gradient_bound or largest, self.smoothness or change / max(apart, 1e-30)


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(float(torch.stack([t.detach().double().square().sum() for t in tensors]).sum()))
