"""DAMP: project each layer's weights off the directions that D_f's classes have and D_r's classes do not; no training.

Source: Hatami, Aalishah and Monosov, "Class unlearning via depth-aware removal of forget-specific directions", 2026
(arXiv 2604.15166; no code found): in the input space of each operator, the mean vector of each forgotten class, less
its projection on the span of the retained classes' mean vectors; these residuals are orthonormalized to Q, and
W ← W (I − α Q Qᵀ), biases unchanged. α grows with the depth and with how well a linear probe separates D_f from D_r
there. All is measured once, on f.
Differs: the method is from summaries of the paper, which do not give α; here α = strength · (2a − 1)⁺ · (b / B), b the
number of the layer's block of B, a the balanced accuracy of the probe. The probe is the plane halfway between the means
of every second utterance of D_f and of D_r, tested on the others (of D_r on as many as of D_f). The vectors are means
over time, padding included. Linear layers and ungrouped convolutions (per tap) are edited, recurrent ones are not. For
samples the classes are those of D_f's labels; where no probe separates D_f from D_r, as with random samples, or one of
them has a single utterance, which leaves none to test on, nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from methods.base import Classifier, Method, Pass, SearchSpace, UnlearningProblem, UtteranceSet

BATCH = 32
SAME = 1e-4  # of a mean vector's length: what is left of it below is rounding


@dataclass
class LayerInputs:
    """What one layer reads, one vector per utterance, summed over classes and over the utterances that make a probe."""

    layer: Any  # linear or convolution
    depth: float  # of its block, in (0, 1]
    by_class: dict[bool, Tensor] = field(default_factory=dict)  # of D_f (True) and D_r: (C, width)
    halves: dict[bool, Tensor] = field(default_factory=dict)  # the sum over every second utterance: (width,)
    right: dict[bool, Tensor] = field(default_factory=dict)  # of the others, the share on its own side of the plane

    def vectors(self, read: Tensor) -> Float[Tensor, "batch width"]:
        """Return the mean over time of what the layer read."""
        last = isinstance(self.layer, nn.Linear)  # channels are last, or second
        found = read.reshape(len(read), -1, read.shape[-1]).mean(dim=1) if last else read.flatten(2).mean(dim=2)
        return found.to(torch.promote_types(found.dtype, torch.float32))


def editable(model: Classifier) -> list[LayerInputs]:
    """Return the trainable linear layers and ungrouped convolutions, each with the depth of its block."""
    blocks = list(model.blocks)
    return [
        LayerInputs(layer, (number + 1) / len(blocks))
        for number, block in enumerate(blocks)
        for layer in block.modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv1d | nn.Conv2d) and layer.groups == 1)
        if "weight" in layer._parameters and layer.weight.requires_grad
    ]


@contextmanager
def _reading(layers: list[LayerInputs], tell: Any) -> Iterator[None]:
    """Within the context, `tell` is called with each layer and the vectors that it reads."""

    def hook(inputs: LayerInputs) -> Any:
        return lambda layer, read: tell(inputs, inputs.vectors(read[0].detach()))

    hooks = [inputs.layer.register_forward_pre_hook(hook(inputs)) for inputs in layers]
    try:
        yield
    finally:
        for h in hooks:
            h.remove()


def forget_directions(
    forget: Float[Tensor, "classes width"], retain: Float[Tensor, "others width"]
) -> Float[Tensor, "width directions"]:
    """Return an orthonormal basis of what the rows of `forget` have beyond the span of the rows of `retain`."""
    span = _basis(retain.T, retain.norm(dim=1).max() if len(retain) else retain.new_zeros(()))
    return _basis(forget.T - span @ (span.T @ forget.T), forget.norm(dim=1).max())


def _basis(columns: Float[Tensor, "width n"], size: Tensor) -> Float[Tensor, "width rank"]:
    """Return an orthonormal basis of the columns' span; directions below `SAME` of `size` are rounding."""
    if not columns.shape[1]:
        return columns
    left, values, _ = torch.linalg.svd(columns.double(), full_matrices=False)
    kept: Tensor = left[:, values > SAME * size.double()]
    return kept.to(columns.dtype)


def project(layer: Any, directions: Float[Tensor, "width k"], alpha: float) -> None:
    """W ← W (I − α Q Qᵀ) over the layer's inputs, in place."""
    with torch.no_grad():
        rows = layer.weight.transpose(1, -1) if layer.weight.ndim > 2 else layer.weight
        directions = directions.to(rows)
        rows.sub_(alpha * (rows @ directions) @ directions.T)


@dataclass(frozen=True, kw_only=True)
class Damp(Method):
    """A forward over D, and one over D_f for the probes, then one edit; if the budget ends before, nothing changes."""

    label: ClassVar[str] = "DAMP"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "it removes the direction of a forgotten class"
    edits_weights: ClassVar[bool] = True
    takes_adapters: ClassVar[bool] = False
    search_space: ClassVar[SearchSpace] = {"strength": (0.1, 3.0)}

    strength: float = 1.0  # factor of α, which is at most 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength <= 0:
            raise ValueError(f"strength must be above 0, got {self.strength}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Edit the weights; yield no pass."""
        sizes = [len(s.utterances) for s in (problem.forget, problem.retain)]
        if min(sizes) < 2:
            problem.notes.append(
                "no layer was edited: the probe needs two utterances each of D_f and D_r, "
                f"got {sizes[0]} of D_f and {sizes[1]} of D_r"
            )
            return iter(())
        layers = editable(problem.model)
        problem.model.eval()
        for utterances in (problem.forget, problem.retain):
            self._sum_up(problem, utterances, layers)
        self._probe(problem, layers)
        sets = ((True, problem.forget), (False, problem.retain))
        counts = {side: s.labels.bincount(minlength=problem.num_classes).to(problem.device) for side, s in sets}
        for inputs in layers:
            separability = max(0.0, sum(map(float, inputs.right.values())) - 1)  # 2a − 1
            alpha = min(1.0, self.strength * separability * inputs.depth)
            if alpha > 0:
                means = {s: sums[counts[s] > 0] / counts[s][counts[s] > 0, None] for s, sums in inputs.by_class.items()}
                project(inputs.layer, forget_directions(means[True], means[False]), alpha)
        return iter(())

    def _sum_up(self, problem: UnlearningProblem, utterances: UtteranceSet, layers: list[LayerInputs]) -> None:
        """Add up the vectors of each class, and of every second utterance."""
        side, at = bool(utterances.is_forget.any()), 0
        for batch in problem.iterate(utterances, BATCH, backward=False):
            rows = functional.one_hot(batch.labels, problem.num_classes).T
            second = torch.arange(at, at + len(batch), device=batch.features.device) % 2 == 0

            def add(inputs: LayerInputs, vectors: Tensor, rows: Tensor = rows, second: Tensor = second) -> None:
                sums, half = rows.to(vectors) @ vectors, second.to(vectors) @ vectors
                inputs.by_class[side] = inputs.by_class.get(side, torch.zeros_like(sums)) + sums
                inputs.halves[side] = inputs.halves.get(side, torch.zeros_like(half)) + half

            with _reading(layers, add), torch.no_grad():
                problem.model(batch.features, batch.lengths)
            at += len(batch)

    def _probe(self, problem: UnlearningProblem, layers: list[LayerInputs]) -> None:
        """Test the plane halfway between the two means on utterances that it was not made of."""
        sets = {True: problem.forget, False: problem.retain}
        counts = {side: -(-len(s.utterances) // 2) for side, s in sets.items()}
        others = {side: s.select(torch.arange(len(s.utterances)) % 2 == 1) for side, s in sets.items()}
        others[False] = others[False].sample(len(others[True].utterances), problem.generator)
        for side, tested in others.items():

            def judge(inputs: LayerInputs, vectors: Tensor, side: bool = side, n: int = len(tested.utterances)) -> None:
                own, other = (inputs.halves[s] / counts[s] for s in (side, not side))
                right = ((vectors - (own + other) / 2) @ (own - other) > 0).sum() / n
                inputs.right[side] = inputs.right.get(side, torch.zeros_like(right)) + right

            for batch in problem.iterate(tested, BATCH, backward=False):
                with _reading(layers, judge), torch.no_grad():
                    problem.model(batch.features, batch.lengths)
