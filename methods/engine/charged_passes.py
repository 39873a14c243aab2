"""Charge every forward and backward of a model to a budget, no matter who runs it, by hooks on its blocks.

The rule (docs/budget.md), in thirds of a sample for each utterance: a forward is one; a backward is one for the way
back through the blocks, from the head to the first block with a weight that may move, and one for the gradients of the
weights that may move. The two of a backward are in proportion to the weights concerned.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from methods.engine.budget import BudgetMeter


@dataclass
class _Forward:
    """One forward and the backwards through its outputs; those seen at the head and below it are the same."""

    utterances: int
    charged: int = 0
    seen: dict[str, int] = field(default_factory=dict)


class PassCounter:
    """A counter of one model's forwards and backwards. It does not keep the model alive."""

    def __init__(self, model: nn.Module, budget: BudgetMeter) -> None:
        """Count the trainable weights of each block."""
        self.model, self.budget = weakref.ref(model), budget
        self.sizes = [sum(p.numel() for p in block.parameters() if p.requires_grad) for block in _blocks(model)]
        self.current = _Forward(0)

    def goes_in(self, utterances: int) -> None:
        """Count a forward that begins."""
        self.current = _Forward(utterances)
        self.budget.count(utterances)

    def comes_out(self, output: Any, place: str) -> None:
        """Register the output of the head, or of the block before, at which a backward begins."""
        if isinstance(output, Tensor) and output.requires_grad:
            forward = self.current
            output.register_hook(lambda _: self._goes_back(forward, place))  # type: ignore[no-untyped-call]

    def _goes_back(self, forward: _Forward, place: str) -> None:
        forward.seen[place] = forward.seen.get(place, 0) + 1
        if forward.seen[place] > forward.charged:
            forward.charged += 1
            self.budget.count(forward.utterances * self.backward_thirds())

    def backward_thirds(self) -> float:
        """Return the thirds of a sample that a backward costs per utterance: 2 if all weights are trained."""
        model, everything = self.model(), sum(self.sizes)
        if model is None or not everything:
            return 2.0
        moving = [sum(p.numel() for p in block.parameters() if p.requires_grad) for block in _blocks(model)]
        first = next((at for at, count in enumerate(moving) if count), 0)
        return sum(self.sizes[first:]) / everything + min(1.0, sum(moving) / everything)


def charge_passes(model: Any, budget: BudgetMeter) -> None:
    """Charge the forwards and backwards of `model` and its copies from now on; a second call has no effect.

    A forward is seen at the first block, a backward at the head and at what the head reads, so that one through
    `embed` counts too. Inside a compiled model nothing is seen: see `charge_compiled_passes`.
    """
    if not isinstance(model, nn.Module) or model in budget.hooks:
        return
    found, blocks = PassCounter(model, budget), _blocks(model)

    def goes_in(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and not torch.compiler.is_compiling():
            found.goes_in(len(inputs[0]))

    def comes_out(place: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: Any) -> None:
            if not torch.compiler.is_compiling():
                found.comes_out(output, place)

        return hook

    hooks = [blocks[0].register_forward_pre_hook(goes_in), blocks[-1].register_forward_hook(comes_out("head"))]
    if len(blocks) > 1:
        hooks.append(blocks[-2].register_forward_hook(comes_out("below the head")))
    budget.hooks[model] = hooks


def charge_compiled_passes(compiled: Any, model: Any, budget: BudgetMeter) -> None:
    """Charge the forwards and backwards of the compiled form of a model."""
    found = PassCounter(model, budget)
    compiled.register_forward_pre_hook(lambda _module, inputs: found.goes_in(len(inputs[0])))
    compiled.register_forward_hook(lambda _module, _inputs, output: found.comes_out(output, "head"))


def stop_charging(budget: BudgetMeter) -> None:
    """Stop charging: remove the hooks from all models."""
    for hooks in list(budget.hooks.values()):
        for hook in hooks:
            hook.remove()
    budget.hooks.clear()


def _blocks(model: nn.Module) -> Sequence[nn.Module]:
    return cast(Sequence[nn.Module], getattr(model, "blocks", None) or [model])
