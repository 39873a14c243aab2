"""Low-rank adapters: a gradient method trains only them and the head; at the end they are merged into the weights.

Source: Hu et al., ICLR 2022 (arXiv 2106.09685): W + (α / r) B A with B = 0 at the start; implemented by peft.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import nn

from methods.base import Classifier


@dataclass(frozen=True, kw_only=True)
class Lora:
    """The settings of `lora:` in a sweep."""

    rank: int = 8  # r
    alpha: float = 16.0  # the adapters' product is scaled by α / r
    dropout: float = 0.0  # of what the adapters read, in training

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"lora.rank must be 1 or more, got {self.rank}")
        if self.alpha <= 0:
            raise ValueError(f"lora.alpha must be above 0, got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"lora.dropout must be in [0, 1), got {self.dropout}")


def add_adapters(model: Classifier, settings: Lora) -> frozenset[str]:
    """Add adapters to the layers that the classifier names, in place; only they and the head stay trainable.

    Logits are unchanged. The initial weights of A are drawn from torch's global generator. Returns the names of the
    weights that were trainable before, for `merge_adapters`.
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds to import

    if not model.adapter_targets:
        raise ValueError("lora needs a backbone whose adapter_targets name linear layers; got none")
    moved = frozenset(name for name, p in model.named_parameters() if p.requires_grad)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(model.adapter_targets),
    )
    inject_adapter_in_model(config, cast(nn.Module, model))
    model.head.requires_grad_(True)
    return moved


def merge_adapters(model: Classifier, moved: frozenset[str]) -> None:
    """Merge the adapters into their layers, in place; names and shapes are as before `add_adapters`.

    The weights that `add_adapters` returned are trainable again, for example in a relearning attack.
    """
    from peft.tuners.lora import LoraLayer

    module = cast(nn.Module, model)
    for name, layer in list(module.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(module.get_submodule(parent), child, layer.get_base_layer())
    for name, p in module.named_parameters():
        p.requires_grad_(name in moved)
