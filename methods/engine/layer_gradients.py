"""A layer's gradient for each utterance, from its input and the gradient of its output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

BLOCK_BYTES = 2**28  # of a GPU: gradients of a batch that exist at once


class LayerGradient(ABC):
    """The gradients of one layer's weights for each of B utterances; totals and vectors are by parameter name."""

    @abstractmethod
    def add_squares(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Add Σ_b share_b ∇_b² in place; shares are 0 or more."""

    @abstractmethod
    def products(self, vector: dict[str, Tensor]) -> Float[Tensor, " batch"]:
        """Return ∇_b · vector of each utterance."""

    @abstractmethod
    def add_weighted(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Add Σ_b share_b ∇_b in place."""


@dataclass(frozen=True)
class Several(LayerGradient):
    """The gradients of a layer with several weights."""

    parts: list[LayerGradient]

    def add_squares(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Add those of each weight."""
        for part in self.parts:
            part.add_squares(total, shares)

    def products(self, vector: dict[str, Tensor]) -> Float[Tensor, " batch"]:
        """Return the sum over the weights."""
        return torch.stack([part.products(vector) for part in self.parts]).sum(dim=0)

    def add_weighted(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Add those of each weight."""
        for part in self.parts:
            part.add_weighted(total, shares)


@dataclass(frozen=True)
class Vectors(LayerGradient):
    """The gradients of a bias or a norm's scale, small enough to exist for each utterance."""

    name: str
    gradients: Float[Tensor, "batch width"]

    def add_squares(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Compute it from the gradients themselves."""
        total[self.name] += (shares.to(self.gradients) @ self.gradients.square()).view_as(total[self.name])

    def products(self, vector: dict[str, Tensor]) -> Float[Tensor, " batch"]:
        """Compute it from the gradients themselves."""
        return self.gradients @ vector[self.name].flatten()

    def add_weighted(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Compute it from the gradients themselves."""
        total[self.name] += (shares.to(self.gradients) @ self.gradients).view_as(total[self.name])


@dataclass(frozen=True)
class Matrices(LayerGradient):
    """The gradients of a weight matrix: ∇_b = given_bᵀ read_b, summed over time; one matrix per convolution group."""

    name: str
    read: Float[Tensor, "groups batch time inputs"]
    given: Float[Tensor, "groups batch time outputs"]

    def add_squares(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Add squares: without gradients for a single time step, one by one on a CPU, in blocks of rows on a GPU.

        A CPU is fastest if each gradient overwrites the previous one, which stays in the cache.
        """
        given = self.given * shares.to(self.given).sqrt()[:, None, None]
        into = total[self.name].view(len(given), given.shape[-1], -1)
        for g, (read, gave) in enumerate(zip(self.read, given, strict=True)):
            if read.shape[1] == 1:
                into[g] += gave[:, 0].square().T @ read[:, 0].square()
                continue
            if read.device.type == "cpu":
                alone = torch.empty_like(into[g])
                for reads, gives in zip(read, gave, strict=True):
                    torch.mm(gives.T, reads, out=alone)
                    into[g].addcmul_(alone, alone)
                continue
            rows = max(1, BLOCK_BYTES // (read.shape[0] * read.shape[2] * read.element_size()))
            for at in range(0, gave.shape[2], rows):
                block = torch.bmm(gave[:, :, at : at + rows].transpose(1, 2), read)
                into[g, at : at + rows] += block.square_().sum(dim=0)

    def products(self, vector: dict[str, Tensor]) -> Float[Tensor, " batch"]:
        """Return Σ_t given_bt · (V read_bt), without computing a gradient."""
        rows = vector[self.name].reshape(len(self.given), self.given.shape[-1], -1)
        return torch.einsum("gbto,gbto->b", self.given, self.read @ rows.transpose(1, 2)[:, None])

    def add_weighted(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Add one product over utterances and time."""
        given = (self.given * shares.to(self.given)[:, None, None]).flatten(1, 2)
        total[self.name] += (given.transpose(1, 2) @ self.read.flatten(1, 2)).view_as(total[self.name])


@dataclass(frozen=True)
class Parametrized(LayerGradient):
    """The gradients of weights from which a matrix is computed (weight normalization)."""

    matrices: Matrices  # under the name ""
    module: nn.Module  # gives the matrix of the originals
    originals: dict[str, nn.Parameter]  # by parameter name

    def add_squares(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Add squares utterance by utterance, from one backward of the network."""
        for share, gradients in zip(shares, self._each(), strict=True):
            for name, gradient in gradients.items():
                total[name].addcmul_(gradient, gradient * share)

    def products(self, vector: dict[str, Tensor]) -> Float[Tensor, " batch"]:
        """Return products utterance by utterance: PyTorch's weight normalization has no forward derivative."""
        return torch.stack(
            [torch.stack([(g * vector[name]).sum() for name, g in each.items()]).sum() for each in self._each()]
        )

    def add_weighted(self, total: dict[str, Tensor], shares: Float[Tensor, " batch"]) -> None:
        """Add the weighted sum, with one backward."""
        for name, gradient in self._back(self._made(), self.matrices, shares).items():
            total[name] += gradient

    def _each(self) -> Iterator[dict[str, Tensor]]:
        made, (read, given) = self._made(), (self.matrices.read, self.matrices.given)
        for b in range(read.shape[1]):
            yield self._back(made, Matrices("", read[:, b : b + 1], given[:, b : b + 1]), read.new_ones(1))

    def _made(self) -> Tensor:
        with torch.enable_grad():
            value: Tensor = self.module()
        return value

    def _back(self, made: Tensor, matrices: Matrices, shares: Tensor) -> dict[str, Tensor]:
        into = {"": torch.zeros_like(made)}
        matrices.add_weighted(into, shares)
        found = torch.autograd.grad(made, list(self.originals.values()), into[""], retain_graph=True)
        return dict(zip(self.originals, found, strict=True))


def layer_gradient(layer: nn.Module, read: Tensor, given: Tensor, names: dict[int, str]) -> LayerGradient | None:
    """Return the gradients of a layer's weights that `names` has by id; None if the layer is not covered.

    `read` is the layer's input and `given` the gradient of its output, both (B, ...).
    """
    for kinds, make in RULES:
        if isinstance(layer, kinds):
            dtype = next(layer.parameters()).dtype
            parts = make(layer, read.to(dtype), given.to(dtype), names)
            return Several(parts) if parts else None
    return None


def _linear(layer: Any, read: Tensor, given: Tensor, names: dict[int, str]) -> list[LayerGradient]:
    read, given = (t.reshape(len(t), -1, t.shape[-1]) for t in (read, given))
    return [*_matrix(layer, read[None], given[None], names), *_bias(layer, given, names)]


def _convolution(layer: Any, read: Tensor, given: Tensor, names: dict[int, str]) -> list[LayerGradient]:
    """Treat a convolution as a linear layer over windows. One dimension counts as two, the first of size 1."""
    if layer.padding_mode != "zeros":
        return []
    flat = read.ndim == 3
    kernel, stride, dilation = (
        (1, *v) if flat else tuple(v) for v in (layer.kernel_size, layer.stride, layer.dilation)
    )
    if layer.padding == "same":
        both = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        padding = [side for total in reversed(both) for side in (total // 2, total - total // 2)]
    else:
        each = (0, 0) if layer.padding == "valid" else (0, *layer.padding) if flat else tuple(layer.padding)
        padding = [side for size in reversed(each) for side in (size, size)]
    padded = functional.pad(read[:, :, None] if flat else read, padding)
    windows = _windows(padded, given.shape[2:] if not flat else (1, given.shape[2]), kernel, stride, dilation)
    given = given.flatten(2)
    reads, gives = (t.reshape(len(t), layer.groups, -1, t.shape[2]).permute(1, 0, 3, 2) for t in (windows, given))
    return [*_matrix(layer, reads, gives, names), *_bias(layer, given.transpose(1, 2), names)]


def _windows(
    padded: Float[Tensor, "batch channels height width"],
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Float[Tensor, "batch inputs time"]:
    """Return the input of each position of a convolution, as `functional.unfold` does in three times the time."""
    batch, channels, up, along = padded.stride()
    view = padded.as_strided(
        (*padded.shape[:2], *kernel, *size),
        (batch, channels, up * dilation[0], along * dilation[1], up * stride[0], along * stride[1]),
    )
    return view.reshape(len(padded), -1, size[0] * size[1])


def _layer_norm(layer: Any, read: Tensor, given: Tensor, names: dict[int, str]) -> list[LayerGradient]:
    normal = functional.layer_norm(read, layer.normalized_shape, eps=layer.eps)
    width = layer.weight.numel()
    return _scale(layer, normal.reshape(len(normal), -1, width), given.reshape(len(given), -1, width), names)


def _group_norm(layer: Any, read: Tensor, given: Tensor, names: dict[int, str]) -> list[LayerGradient]:
    normal = functional.group_norm(read, layer.num_groups, eps=layer.eps)
    return _scale(layer, normal.flatten(2).transpose(1, 2), given.flatten(2).transpose(1, 2), names)


def _batch_norm(layer: Any, read: Tensor, given: Tensor, names: dict[int, str]) -> list[LayerGradient]:
    """Cover batch norm in eval mode only: otherwise an utterance's output depends on the others."""
    if layer.training or layer.running_mean is None:
        return []
    normal = functional.batch_norm(read, layer.running_mean, layer.running_var, eps=layer.eps)
    normal, given = (t.reshape(*t.shape[:2], -1) for t in (normal, given))
    return _scale(layer, normal.transpose(1, 2), given.transpose(1, 2), names)


def _scale(layer: Any, normal: Tensor, given: Tensor, names: dict[int, str]) -> list[LayerGradient]:
    name = names.get(id(layer.weight))
    scale: list[LayerGradient] = [] if name is None else [Vectors(name, (normal * given).sum(dim=1))]
    return [*scale, *_bias(layer, given, names)]


def _bias(layer: Any, given: Float[Tensor, "batch time width"], names: dict[int, str]) -> list[LayerGradient]:
    name = None if layer.bias is None else names.get(id(layer.bias))
    return [] if name is None else [Vectors(name, given.sum(dim=1))]


def _matrix(layer: Any, read: Tensor, given: Tensor, names: dict[int, str]) -> list[LayerGradient]:
    if parametrize.is_parametrized(layer, "weight"):
        found = layer.parametrizations["weight"]
        originals = {names[id(p)]: p for p in found.parameters() if id(p) in names}
        return [Parametrized(Matrices("", read, given), found, originals)] if originals else []
    name = names.get(id(layer.weight))
    return [] if name is None else [Matrices(name, read, given)]


RULES: tuple[tuple[Any, Callable[..., list[LayerGradient]]], ...] = (
    (nn.Linear, _linear),
    ((nn.Conv1d, nn.Conv2d), _convolution),
    (nn.LayerNorm, _layer_norm),
    (nn.GroupNorm, _group_norm),
    ((nn.BatchNorm1d, nn.BatchNorm2d), _batch_norm),
)
