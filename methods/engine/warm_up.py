"""A discarded step before the clock starts, so that loading and compiling a GPU's kernels is not charged."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from methods.engine.answers import logits_of, target_loss

if TYPE_CHECKING:
    from methods.engine.batches import Batch, Classifier


def same_draws_again(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Restore torch's random states on exit, so that later code repeats the draws made inside."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def warm_up(model: Classifier, part: Batch, *, backward: bool) -> None:
    """Run the loss forward, and backward to every trainable weight if requested; discard the result.

    Gradients, buffers and random states stay unchanged.
    """
    module = cast(nn.Module, model)
    moving = [p for p in module.parameters() if p.requires_grad] if backward else []
    buffers = [(b, b.detach().clone()) for b in module.buffers()]
    with same_draws_again(part.features.device), torch.set_grad_enabled(bool(moving)):
        loss = target_loss(model, logits_of(model, part), part.labels).mean()
        if moving:
            torch.autograd.grad(loss, moving, allow_unused=True)
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
