"""Gradients of each utterance's own loss, of every kind of backbone, against one utterance after the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from backbones.hubert import Hubert
from backbones.logmel import LogMelCnn, LogMelGru
from backbones.wav2vec2 import Wav2Vec2
from backbones.whisper import Whisper
from methods.base import Batch
from methods.engine.gradients import trainable
from methods.engine.losses import cross_entropy
from methods.engine.per_utterance import PerUtterance

CASES = {
    "whisper": lambda tiny: Whisper(checkpoint=tiny("whisper")),
    "wav2vec2-group": lambda tiny: Wav2Vec2(checkpoint=tiny("wav2vec2-group")),
    "hubert-layer": lambda tiny: Hubert(checkpoint=tiny("hubert-layer")),
    "wav2vec2-group, convolutions": lambda tiny: Wav2Vec2(
        checkpoint=tiny("wav2vec2-group"), freeze_feature_encoder=False
    ),
    "hubert-layer, convolutions": lambda tiny: Hubert(checkpoint=tiny("hubert-layer"), freeze_feature_encoder=False),
    "logmel_cnn": lambda tiny: LogMelCnn(widths=(12, 16), projection=8),
    "logmel_gru": lambda tiny: LogMelGru(width=8, projection=8),
}


class Picture(nn.Module):
    """Two-dimensional convolutions in groups, batch norm, and a stride, as networks of images have them."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
        self.norm, self.head = nn.BatchNorm2d(6), nn.Linear(6, 3)
        self.norm.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr, operator]

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(self.convolution(features)).tanh().mean(dim=(2, 3)))
        return logits


def batch_of(features: torch.Tensor, lengths: torch.Tensor) -> Batch:
    rows = torch.arange(len(features))
    return Batch(features.double(), lengths, rows % 3, torch.zeros(len(rows), dtype=torch.bool), rows)


@pytest.fixture(params=[*CASES, "picture"])
def network(request: pytest.FixtureRequest, tiny_folder: Any) -> tuple[Any, Batch]:
    torch.manual_seed(3)
    if request.param == "picture":
        return Picture().double().eval(), batch_of(torch.randn(5, 2, 9, 7), torch.ones(5))
    backbone, lengths = CASES[request.param](tiny_folder), torch.tensor([3200, 2000, 2500])
    clips = torch.randn(3, 3200) * (torch.arange(3200) < lengths[:, None])
    model = backbone.build(3)
    nn.init.normal_(model.head.weight, std=0.5)
    return model.double().eval(), batch_of(*backbone.frontend(torch.device("cpu"))(clips, lengths))


def two_values(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    logits = model(batch.features, batch.lengths)
    return logits.log_softmax(dim=-1)[:, :2], logits.detach().softmax(dim=-1)[:, :2]


def losses(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    found = cross_entropy(model, batch)[:, None]
    return found, torch.ones_like(found)


def zeros(weights: dict[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: torch.zeros_like(p) for name, p in weights.items()}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    largest = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():  # the bias of a key is zero but for rounding
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12 * largest, msg=name)


def test_squares_and_products_equal_those_of_one_utterance_after_the_other(network: Any) -> None:
    model, batch = network
    weights = trainable(model)
    vector = {name: torch.randn_like(p) for name, p in weights.items()}
    at_once, one_by_one = PerUtterance(model, weights), PerUtterance(model, weights, covered=False)
    for values in (losses, two_values):
        found, expected = zeros(weights), zeros(weights)
        at_once.add_squares(found, batch, values)
        one_by_one.add_squares(expected, batch, values)
        assert_equal(found, expected)
    found, expected = zeros(weights), zeros(weights)
    at_once.add_products(found, vector, batch, losses)
    one_by_one.add_products(expected, vector, batch, losses)
    assert_equal(found, expected)
    recurrent = any(isinstance(module, nn.GRU) for module in model.modules())
    assert at_once.covered == (not recurrent)


def test_only_the_wanted_weights_get_sums() -> None:
    torch.manual_seed(0)
    model: Any = Picture().double().eval()
    batch = batch_of(torch.randn(5, 2, 9, 7), torch.ones(5))
    weights = dict(list(trainable(model).items())[-2:])  # the head's
    found, expected = zeros(weights), zeros(weights)
    PerUtterance(model, weights).add_squares(found, batch, losses)
    PerUtterance(model, weights, covered=False).add_squares(expected, batch, losses)
    assert_equal(found, expected)


class Shared(nn.Module):
    """One layer twice: no layer tells its whole gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.layer(self.layer(features).tanh()))
        return logits


class Loose(Shared):
    """A weight outside all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(4))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.layer(features + self.positions).tanh())
        return logits


@pytest.mark.parametrize("kind", [Shared, Loose])
def test_a_network_that_layers_do_not_tell_all_of_goes_utterance_by_utterance(kind: type[Shared]) -> None:
    torch.manual_seed(0)
    model: Any = kind().double().eval()
    weights, batch = trainable(model), batch_of(torch.randn(5, 4), torch.ones(5))
    at_once, found, expected = PerUtterance(model, weights), zeros(weights), zeros(weights)
    at_once.add_squares(found, batch, losses)
    PerUtterance(model, weights, covered=False).add_squares(expected, batch, losses)
    assert at_once.covered is False
    assert_equal(found, expected)
