"""What a backbone is: a frozen frontend, computed once per corpus, and a classifier that is trained.

Every utterance reaches the frontend as a clip of one fixed length (zero-padded at the end, or cropped), so features
have static shapes; `lengths` says how much of each is speech.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from backbones.cost import TrainBytes

SAMPLE_RATE_HZ = 16_000

Frontend = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(waveforms (B, S) float32 in [-1, 1], zero-padded; lengths (B,) in samples)
-> (features (B, T, ...) float32; lengths (B,) in frames)."""


class SpeechClassifier(nn.Module, ABC):
    """The trainable part. Logits of an utterance do not depend on its neighbors in the batch."""

    head: nn.Module
    adapter_targets: tuple[str, ...] = ()  # full names of the linear layers that LoRA may adapt
    masks_padding: bool = (
        False  # whether features beyond `lengths` are left out; if not, every frame of the clip counts
    )

    @property
    @abstractmethod
    def blocks(self) -> Sequence[nn.Module]:
        """Blocks from input to output, the head last; together they hold every parameter once."""

    @abstractmethod
    def embed(
        self, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """One vector an utterance: what the head reads."""

    def forward(
        self, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits."""
        logits: Tensor = self.head(self.embed(features, lengths))
        return logits


@dataclass(frozen=True, kw_only=True)
class Backbone(ABC):
    """A plug-in whose fields are its settings. A module in this package lists what it offers in `VARIANTS`."""

    label: ClassVar[str]  # family, as tables print it
    version: ClassVar[int]  # bumped when its features or logits change
    target: ClassVar[str] = "classes"  # what its models answer with; or "transcripts"

    @abstractmethod
    def weights_id(self) -> str:
        """What the pretrained weights are, without loading them: `hub-id@revision`, `sha256:…` of files, or `none`."""

    @abstractmethod
    def train_gflop(self, clip_seconds: float) -> float:
        """Billions of operations of one training step for one clip: an estimate, without loading."""

    def cpu_gflops(self) -> float:
        """Billions of operations per second that one CPU core does in a training step; 20 unless measured."""
        return 20.0

    def unfit(self, shortest: int, samples: int) -> str:
        """Why clips of `samples` samples, of which the shortest recording fills `shortest`, cannot be its input, or
        nothing. Reads the settings of a checkpoint, not its weights."""
        return ""

    def unspeakable(self, lengths: Int[Tensor, " n"], texts: Sequence[str]) -> Bool[Tensor, " n"]:
        """Which recordings of `lengths` samples are too short for the model to answer with their transcripts."""
        return torch.zeros(len(texts), dtype=torch.bool)

    @property
    def largest_wer(self) -> float:
        """Largest WER on D_t of an original that is reported, a fraction: what a weaker one forgot cannot be seen."""
        return 0.25

    @abstractmethod
    def train_bytes(self, clip_seconds: float) -> TrainBytes:
        """Memory of weights, and of what one clip keeps in a training step: an estimate, without loading."""

    @abstractmethod
    def frontend(self, device: torch.device) -> Frontend:
        """The frozen, deterministic part, on `device`."""

    @abstractmethod
    def build(self, num_classes: int, *, pretrained: bool = True) -> SpeechClassifier:
        """The trainable part with a new head (drawn from torch's global generator), on the CPU, in train mode.

        The head is drawn first, so one seed gives one head, whether the rest is pretrained or random. Where "meta" is
        torch's default device, weights are compared by name and shape and not read.
        """

    @abstractmethod
    def save_pretrained(
        self, model: SpeechClassifier, folder: Path, classes: Sequence[str], *, clip_samples: int
    ) -> None:
        """Write `model` to `folder` as safetensors with its settings, complete: the frozen frontend's weights too.

        `clip_samples` is the fixed length of the clips that the model was trained on. Hugging Face families load it
        with plain `AutoModelForAudioClassification.from_pretrained(folder)`.
        """
