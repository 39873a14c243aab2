"""Tiny random checkpoints of every architecture, saved as Hugging Face folders, and two clips to hear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

WHISPER = {
    "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 48, "encoder_layerdrop": 0.5,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "vocab_size": 8, "pad_token_id": 0,
    "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0, "max_source_positions": 100,
    "classifier_proj_size": 24,
}  # fmt: skip
WAVEFORM = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 24, "layerdrop": 0.5,
    "hidden_dropout": 0.0, "activation_dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip
GROUP = {**WAVEFORM, "feat_extract_norm": "group", "do_stable_layer_norm": False}
LAYER = {**WAVEFORM, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "whisper": ("Whisper", WHISPER),
    "wav2vec2-group": ("Wav2Vec2", GROUP),
    "wav2vec2-layer": ("Wav2Vec2", LAYER),
    "hubert-group": ("Hubert", GROUP),
    "hubert-layer": ("Hubert", LAYER),
}

TinyFolder = Callable[[str], str]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> TinyFolder:
    """Name out of `TINY` -> folder with the encoder and a head that nobody should use."""
    root = tmp_path_factory.mktemp("tiny")

    def make(name: str) -> str:
        import transformers

        folder = root / name
        if not folder.exists():
            family, settings = TINY[name]
            config = getattr(transformers, f"{family}Config")(**settings)
            torch.manual_seed(7)
            base = getattr(transformers, f"{family}Model")(config)
            for parameter in base.parameters():  # as if trained: no zero biases, no unit scales
                parameter.data += 0.02 * torch.randn_like(parameter)
            base.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture(scope="session")
def recognizer_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny random Whisper with a decoder of characters, whose weights are large enough for outputs to differ."""
    import transformers

    from backbones.whisper_text import character_spelling, generation_settings

    folder = tmp_path_factory.mktemp("recognizer")
    spelling = character_spelling()
    config = transformers.WhisperConfig(
        **{**WHISPER, "vocab_size": 30, "decoder_layers": 2, "decoder_start_token_id": 1, "init_std": 0.5},
        suppress_tokens=None, begin_suppress_tokens=None, max_target_positions=60, decoder_layerdrop=0.5,
    )  # fmt: skip
    torch.manual_seed(3)
    network = transformers.WhisperForConditionalGeneration(config)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    network.generation_config = generation_settings(
        replace(spelling, never=(5, 9), never_first=(0, 2), positions=60), config
    )
    network.save_pretrained(folder)
    spelling.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def clips() -> tuple[torch.Tensor, torch.Tensor]:
    """(3, 16000) waveforms, zero-padded, and their lengths in samples."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([16_000, 9_000, 4_321])
    waveforms = 0.1 * torch.randn(3, 16_000, generator=generator).cumsum(dim=1).sin() + 0.02
    return waveforms * (torch.arange(16_000) < lengths[:, None]), lengths


@pytest.fixture
def models_folder() -> Path:
    """Where pretrained checkpoints lie as folders."""
    import os

    folder = os.environ.get("UNLEARN_MODELS")
    if not folder:
        pytest.skip("UNLEARN_MODELS names no folder with pretrained whisper-tiny and whisper-base")
    return Path(folder)
