"""The cells that are timed: Whisper tiny on real digits and the nano families on synthetic keywords.

`UNLEARN_MODELS` and `UNLEARN_DATA` name folders with `whisper-tiny` and `fsdd`, as for `sweeps/fsdd.yaml`. Without them
Whisper tiny has random weights, or reads synthetic keywords; the arithmetic is the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.results.store import open_store
from orchestrator.run.setup.checkpoints import save_logits, save_weights
from orchestrator.run.setup.context import WorkerContext
from orchestrator.run.setup.problem import predict

METHODS = ("random_label", "salun", "scrub", "bad_teacher")
KEYWORDS = {"name": "espeak_keywords", "clips": 1200, "speakers": 24, "voice_spread": 0.5, "snr_db": [10.0, 30.0]}
SAMPLE = {"kind": "sample", "forget_ratio": 0.05}
NANO_FAMILIES = ("whisper_nano", "wav2vec2_nano", "hubert_nano")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A task and backbones, as a sweep names them."""

    title: str
    task: Mapping[str, Any]
    backbones: Sequence[Mapping[str, Any]]
    training: Mapping[str, Any]
    unlearning: Sequence[Mapping[str, Any]] = (SAMPLE, {"kind": "class"})
    seeds: Sequence[int] = (0,)

    def sweep(self, methods: Sequence[Any] = METHODS) -> dict[str, Any]:
        """With a budget that stops nobody."""
        return {
            "name": "bench",
            "tasks": [dict(self.task)],
            "backbones": [dict(backbone) for backbone in self.backbones],
            "unlearning": [dict(request) for request in self.unlearning],
            "methods": list(methods),
            "seeds": list(self.seeds),
            "training": dict(self.training),
            "time_budget": {"fraction": 10.0, "unit": "samples"},
            "curves": {"points": 0},  # which the other side does not draw either
        }

    def trials(self, methods: Sequence[Any] = METHODS) -> list[TrialSpec]:
        return build_grid(Sweep.model_validate(self.sweep(methods))).trials

    @property
    def folder(self) -> str:
        """A name for files."""
        return "-".join(str(backbone["name"]) for backbone in self.backbones)

    def context(self, folder: Path, cache: Path | None = None) -> WorkerContext:
        """With corpora and features in `cache`, or below `folder` too."""
        return WorkerContext(open_store(folder / "results"), cache or folder / "cache")


def nano(*families: str) -> Cell:
    return Cell(
        title=f"{', '.join(families)} on eSpeak keywords",
        task=KEYWORDS,
        backbones=[{"name": family} for family in families],
        training={"learning_rate": 2e-3, "epochs": 8, "batch_size": 32},
    )


def whisper_tiny(folder: Path, seconds: float | None = None, takes: int = 15) -> Cell:
    """`folder` has random weights where real ones are not available; `seconds` is the length of every clip.

    Of each digit and speaker, `takes` of 50 are used; the first five are the test set.
    """
    digits, task = _recordings(), KEYWORDS
    training: dict[str, Any] = {"learning_rate": 1e-4, "epochs": 3, "batch_size": 32}
    if digits:
        task = {
            "name": "audio_folder",
            "as": "fsdd_digits",
            "root": str(digits),
            "pattern": r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)",
            "label_from": "digit",
            "where": {"take": list(range(takes))},
            "test_where": {"take": list(range(5))},
        }
    if digits or seconds:
        training.update(crop="first", clip_seconds=seconds or 0.64)
    checkpoint, weights = checkpoint_of_tiny(folder)
    return Cell(
        title=f"Whisper tiny ({weights}) on {'FSDD digits' if digits else 'eSpeak keywords'}",
        task=task,
        backbones=[{"name": "whisper_tiny", "checkpoint": checkpoint}],
        training=training,
    )


def untrained_original(context: WorkerContext, spec: TrialSpec) -> None:
    """Stand in for the original of an unlearning trial: it is as large and as slow as a trained one."""
    original = spec.parents["original"]
    if context.store.files.exists(f"logits/{original}.safetensors"):
        return
    corpus = context.corpus(spec.task)
    model = context.model(spec, len(corpus.classes))
    save_weights(context.store, original, model.state_dict())
    logits = predict(model, context.features(spec), len(corpus), context.device, context.scratch)
    save_logits(context.store, original, logits, 0.0)


def _recordings() -> Path | None:
    folder = Path(os.environ.get("UNLEARN_DATA", "data")) / "fsdd" / "recordings"
    return folder.absolute() if folder.is_dir() else None


@cache
def checkpoint_of_tiny(folder: Path) -> tuple[str, str]:
    """Whisper tiny's encoder as a local folder, and whether its weights are `pretrained` or `random`."""
    real = Path(os.environ.get("UNLEARN_MODELS", "models")) / "whisper-tiny"
    if (real / "model.safetensors").exists():
        return str(real.absolute()), "pretrained"
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForAudioClassification

    config = WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, decoder_layers=1
    )
    target = folder / "whisper-tiny-random"
    WhisperForAudioClassification(config).save_pretrained(target)
    WhisperFeatureExtractor().save_pretrained(target)
    return str(target), "random"
