"""Gradients of each utterance's own loss, for a whole batch at once: their squares, and their products with a vector.

Source: Goodfellow, 2015 (arXiv 1510.01799): a linear layer's gradient for one example is the product of what the layer
read and of the gradient of what it returned; Rochette et al., 2019 (arXiv 1912.06015): convolutions, by unfolding.
Differs: squares are summed in blocks, so that the gradients of a batch never exist at once.

Linear layers, convolutions (weight normalization included) and the usual norms are covered. The first batch is checked
against autograd; a network that has weights elsewhere, such as a recurrent one, is processed utterance by utterance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, autograd, nn

from methods.base import Batch, Classifier
from methods.engine.layer_gradients import LayerGradient, layer_gradient

Gradients = dict[str, Tensor]
"""By parameter name, in the order of the model's parameters."""

Values = Callable[[Classifier, Batch], tuple[Float[Tensor, "batch values"], Float[Tensor, "batch values"]]]
"""-> values whose gradients are wanted, K an utterance, and the weights (≥ 0) of their squares."""

CHUNK = 32  # utterances at once
CLOSE = {False: 1e-2, True: 2e-1}  # relative error of a covered network's squares; without and with autocast


def gradients_of(
    value: Float[Tensor, ""], weights: dict[str, nn.Parameter], *, retain_graph: bool = False
) -> Gradients:
    """Return ∂value/∂θ, zero for weights that `value` does not depend on."""
    found = autograd.grad(value, list(weights.values()), allow_unused=True, retain_graph=retain_graph)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(weights.items(), found, strict=True)}


@dataclass
class PerUtterance:
    """The gradients of each utterance of a batch with respect to `weights`, parameters of `model` by name."""

    model: Classifier
    weights: dict[str, nn.Parameter]
    aside: Callable[[], AbstractContextManager[None]] = nullcontext  # around the check, which the sums do not need
    covered: bool | None = None  # whether layers tell all; None before the first batch
    _listener: Callable[[LayerGradient], None] | None = field(default=None, repr=False)

    def add_squares(self, total: Gradients, batch: Batch, values: Values) -> None:
        """Add Σ_b Σ_k weight_bk (∂value_bk/∂θ)² to `total`, in place."""
        if self._is_covered(batch, values):
            with self._listening() as outputs:
                found, shares = values(self.model, batch)
                for k in range(found.shape[1]):
                    self._backward(found[:, k], outputs, _Adding(total, shares[:, k].detach()))
            return
        for part in batch.parts(1):
            found, shares = values(self.model, part)
            for value, share in zip(found[0], shares[0].tolist(), strict=True):
                for name, gradient in gradients_of(value, self.weights, retain_graph=True).items():
                    total[name].addcmul_(gradient, gradient, value=share)

    def add_products(self, total: Gradients, vector: Gradients, batch: Batch, values: Values) -> None:
        """Add Σ_b (∇_b · vector) ∇_b to `total`, in place, ∇_b the gradient of an utterance's first value."""
        if self._is_covered(batch, values):
            layers: list[LayerGradient] = []
            with self._listening() as outputs:
                found, _ = values(self.model, batch)
                self._backward(found[:, 0], outputs, layers.append)
            products = torch.stack([layer.products(vector) for layer in layers]).sum(dim=0)
            for layer in layers:
                layer.add_weighted(total, products)
            return
        for part in batch.parts(1):
            gradients = gradients_of(values(self.model, part)[0][0, 0], self.weights)
            along = torch.stack([(gradients[name] * vector[name]).sum() for name in gradients]).sum()
            for name, gradient in gradients.items():
                total[name] += along * gradient

    def _is_covered(self, batch: Batch, values: Values) -> bool:
        """Return whether the squares of the utterance with the largest value equal autograd's; checked once."""
        if self.covered is None:
            total = {name: torch.zeros_like(p) for name, p in self.weights.items()}
            with self.aside(), self._listening() as outputs:
                found = values(self.model, batch)[0][:, 0]
                chosen = torch.zeros_like(found).index_fill_(0, found.argmax(), 1.0)
                expected = gradients_of((chosen * found).sum(), self.weights, retain_graph=True)
                self._backward(found, outputs, _Adding(total, chosen))
            close = CLOSE[torch.is_autocast_enabled(batch.features.device.type)]
            errors = torch.stack([(total[name] - g.square()).norm() for name, g in expected.items()])
            norms = torch.stack([g.square().norm() for g in expected.values()])
            noise = 1e-8 * norms.norm()  # of gradients that are zero but for rounding
            self.covered = bool((errors <= close * norms + noise).all())
        return self.covered

    def _backward(
        self, values: Float[Tensor, " batch"], outputs: list[Tensor], listener: Callable[[LayerGradient], None]
    ) -> None:
        if not outputs:
            return
        self._listener = listener
        try:
            autograd.grad(values.sum(), outputs, allow_unused=True, retain_graph=True)
        finally:
            self._listener = None

    @contextmanager
    def _listening(self) -> Iterator[list[Tensor]]:
        """Within the context, layers pass their gradients to the listener; yield the outputs of layers that ran."""
        outputs: list[Tensor] = []
        names = {id(p): name for name, p in self.weights.items()}

        def listen(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not (inputs and isinstance(output, Tensor) and output.requires_grad):
                return
            read = inputs[0].detach()

            def tell(gradient: Tensor) -> None:
                if self._listener is not None and (found := layer_gradient(layer, read, gradient, names)) is not None:
                    self._listener(found)

            outputs.append(output)
            output.register_hook(tell)  # type: ignore[no-untyped-call]

        hooks = [layer.register_forward_hook(listen) for layer in _owners(self.model, names)]
        try:
            yield outputs
        finally:
            for hook in hooks:
                hook.remove()


@dataclass(frozen=True)
class _Adding:
    """A listener that adds up squares."""

    total: Gradients
    shares: Float[Tensor, " batch"]

    def __call__(self, layer: LayerGradient) -> None:
        layer.add_squares(self.total, self.shares)


def _owners(model: Classifier, names: dict[int, str]) -> list[nn.Module]:
    """Return the layers that own one of the weights, directly or through a parametrization."""
    assert isinstance(model, nn.Module)
    inner = {id(part) for m in model.modules() if nn.utils.parametrize.is_parametrized(m) for part in m.modules()}
    inner -= {id(m) for m in model.modules() if nn.utils.parametrize.is_parametrized(m)}
    found = []
    for module in model.modules():
        own = module.parameters() if nn.utils.parametrize.is_parametrized(module) else module.parameters(recurse=False)
        if id(module) not in inner and any(id(p) in names for p in own):
            found.append(module)
    return found
