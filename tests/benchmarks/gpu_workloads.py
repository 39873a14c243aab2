"""Full-size backbones with random weights and features, and problems that train them: what `gpu.py` measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from methods.base import Method, Pass, Scores, Training, UnlearningProblem, UtteranceSet
from methods.engine.budget import BudgetMeter
from methods.engine.losses import cross_entropy
from orchestrator import plugins

CLASSES = 35

WAVEFORM = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "whisper_base": (
        "Whisper",
        {
            "d_model": 512, "encoder_layers": 6, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048,
            "decoder_layers": 1, "decoder_attention_heads": 8, "decoder_ffn_dim": 2048,
        },
    ),
    "wav2vec2_base": ("Wav2Vec2", {}),
    "wav2vec2_large": (
        "Wav2Vec2",
        {
            "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
            **WAVEFORM,
        },
    ),
    "hubert_xlarge": (
        "Hubert",
        {
            "hidden_size": 1280, "num_hidden_layers": 48, "num_attention_heads": 16, "intermediate_size": 5120,
            **WAVEFORM,
        },
    ),
}  # fmt: skip
TINY = {
    "whisper_base": {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 64},
    "wav2vec2_base": {
        "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64,
        "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Steps(Method):
    """Plain training: `steps` batches of cross-entropy."""

    label = "steps"
    version = 1
    batch_size: int
    epochs: int

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass."""
        yield Pass(
            name="train", over=problem.retain, loss=cross_entropy, learning_rate=1e-5, batch_size=self.batch_size,
            epochs=self.epochs,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One backbone, with the settings under which it is timed."""

    name: str
    folder: str  # with its config.json
    clip_seconds: float = 1.0
    batch_size: int = 64
    batches: int = 20
    precision: str = "bf16"
    compile: bool = False

    def backbone(self) -> Any:
        """Return the plug-in, made from its configuration alone."""
        return plugins.load("backbones", self.name, checkpoint=self.folder)

    def features(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a few batches of random features of the right shape, and their lengths."""
        whisper = self.name.startswith("whisper")
        shape = (100, 80) if whisper else (50, 512)  # frames a second, channels
        frames = round(self.clip_seconds * shape[0]) - (0 if whisper else 1)
        count = 4 * self.batch_size
        return torch.randn(count, frames, shape[1], device=device), torch.full((count,), frames, device=device)


def write_config(name: str, folder: Path, *, tiny: bool) -> str:
    """Write the configuration of a published checkpoint, or a tiny one of its architecture, without weights."""
    import transformers

    family, settings = CONFIGS[name]
    config = getattr(transformers, f"{family}Config")(**{**settings, **(TINY[name] if tiny else {})})
    config.save_pretrained(folder / name)
    return str(folder / name)


def synchronizer(device: torch.device) -> Any:
    """Return a function that waits for the device."""
    return torch.cuda.synchronize if device.type == "cuda" else (lambda: None)


def problem_of(work: Workload, model: Any, device: torch.device) -> UnlearningProblem:
    """Return the model and random utterances in the form that a trial has them."""
    features, lengths = work.features(device)
    rows = torch.arange(len(features)).repeat(-(-work.batches // 4))[: work.batches * work.batch_size]

    def fetch(picked: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        picked = picked.to(device)
        return features.index_select(0, picked), lengths.index_select(0, picked)

    retain = UtteranceSet(rows, rows % CLASSES, torch.zeros(len(rows), dtype=torch.bool), fetch, device)
    nothing = retain.select(torch.zeros(len(rows), dtype=torch.bool))
    return UnlearningProblem(
        model=model, forget=nothing, retain=retain, validation=nothing, num_classes=CLASSES, forgotten_classes=(),
        training=Training(), budget=BudgetMeter(synchronize=synchronizer(device)),
        generator=torch.Generator().manual_seed(0),
        build_model=lambda weights: model, teacher_logits=lambda batch: batch.features,
        score=lambda model, utterances: Scores(accuracy=0.0, loss=0.0),
    )  # fmt: skip
