from __future__ import annotations

from collections.abc import Callable

import pytest

from backbones.cost import transformer_shape
from backbones.hubert import VARIANTS as HUBERT
from backbones.wav2vec2 import Wav2Vec2
from backbones.whisper import Whisper


def test_whisper_at_thirty_seconds_costs_as_much_as_counted() -> None:
    full = Whisper(checkpoint="openai/whisper-tiny", whisper_frames="full").train_gflop(1.0)
    assert full == pytest.approx(112, rel=0.05)  # 3 × 37.2, counted by torch on transformers' own model


def test_the_largest_hubert_costs_as_much_as_counted() -> None:
    assert HUBERT["hubert_xlarge"]().train_gflop(1.0) == pytest.approx(288, rel=0.05)


def test_trained_convolutions_cost_extra() -> None:
    frozen, trained = (
        Wav2Vec2(checkpoint="facebook/wav2vec2-base", freeze_feature_encoder=frozen).train_gflop(1.0)
        for frozen in (True, False)
    )
    assert trained - frozen == pytest.approx(3 * 4.9, rel=0.05)


def test_shapes_of_local_checkpoints_are_read_from_their_configuration(tiny_folder: Callable[[str], str]) -> None:
    assert transformer_shape(tiny_folder("whisper")) == (32, 2, 48)
    assert transformer_shape(tiny_folder("hubert-layer")) == (32, 2, 48)
