"""Random features of a frozen encoder, in which a linear head separates more classes than in the embedding.

Source: Zhuang et al., ACIL, NeurIPS 2022 (a random ReLU layer before a closed-form head); Rahimi and Recht, NIPS 2007.
Differs: the embedding is normalized first, utterance by utterance, so that no statistic of D is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from methods.base import Classifier

SEED = 0  # of the layer: every model of every trial has the same
SHIFT = 0.3  # standard deviation of b, where that of A norm(e) is 1


class RandomFeatures(nn.Module):
    """A classifier whose head reads ReLU(A norm(e) + b), e the embedding of another, A and b fixed and random."""

    head: nn.Module
    projection: Tensor
    shift: Tensor

    def __init__(self, encoder: Classifier, width: int, num_classes: int) -> None:
        super().__init__()
        assert isinstance(encoder.head, nn.Linear)
        inputs = encoder.head.in_features
        generator = torch.Generator().manual_seed(SEED)
        like = encoder.head.weight
        self.register_buffer("projection", (torch.randn(inputs, width, generator=generator) / inputs**0.5).to(like))
        self.register_buffer("shift", (SHIFT * torch.randn(width, generator=generator)).to(like))
        self.head = nn.Linear(width, num_classes).to(like)
        encoder.head = nn.Identity()  # so that each weight is held once
        self.encoder = cast(nn.Module, encoder)
        self.adapter_targets = tuple(f"encoder.{name}" for name in encoder.adapter_targets)
        self.masks_padding = getattr(encoder, "masks_padding", False)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The encoder's blocks, with the new head in place of its own."""
        return [*cast(Classifier, self.encoder).blocks[:-1], self.head]

    def embed(
        self, features: Float[Tensor, "batch ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Return the random features."""
        vectors = cast(Classifier, self.encoder).embed(features, lengths)
        normal = functional.layer_norm(vectors, vectors.shape[1:])
        return functional.relu(normal @ self.projection + self.shift)

    def forward(
        self, features: Float[Tensor, "batch ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Return logits."""
        logits: Tensor = self.head(self.embed(features, lengths))
        return logits
