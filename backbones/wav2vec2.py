"""wav2vec 2.0 (Baevski et al., 2020, arXiv 2006.11477) as a classifier of waveforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from backbones.base import SAMPLE_RATE_HZ, Backbone, Frontend, SpeechClassifier
from backbones.checkpoints import load_config, load_model, random_model, weights_id
from backbones.cost import (
    TrainBytes,
    convolutions_bytes,
    feature_encoder_bytes,
    feature_encoder_gflop,
    transformer_bytes,
    transformer_gflop,
    transformer_gflops,
    transformer_shape,
)
from backbones.export import transformers_names, with_classes, write_folder
from backbones.heads import new_linear
from backbones.waveform_encoder import FeatureEncoder, WaveformClassifier, fewest_samples, normalize, num_frames

FRAMES_HZ = 50  # of the usual convolutions
POSITION_KERNEL, POSITION_GROUPS = 128, 16  # of the convolution that tells positions


@dataclass(frozen=True, kw_only=True)
class Wav2Vec2(Backbone):
    """Features are the frames of the frozen convolutions, (B, T, 512), one each 20 ms.

    With `freeze_feature_encoder: false` they are the normalized waveform (B, S), lengths in samples, and the
    convolutions are trained as well.
    """

    label: ClassVar[str] = "wav2vec 2.0"
    version: ClassVar[int] = 2
    family: ClassVar[str] = "wav2vec2"  # transformers' model_type, and its attribute for the encoder
    architecture: ClassVar[str] = "Wav2Vec2ForSequenceClassification"

    checkpoint: str
    revision: str = "main"  # of the hub repository
    freeze_feature_encoder: bool = True
    spec_augment: bool = False  # mask_time_… of the checkpoint's configuration; hides 37 % of a 1-s clip

    def weights_id(self) -> str:
        """`hub-id@revision`, or a digest of local or packaged files."""
        return weights_id(self.checkpoint, self.revision)

    def train_gflop(self, clip_seconds: float) -> float:
        """The transformer, and the convolutions where they are trained."""
        frozen = self.freeze_feature_encoder
        convolutions = 0.0 if frozen else feature_encoder_gflop(self.checkpoint, clip_seconds, SAMPLE_RATE_HZ)
        return convolutions + transformer_gflop(transformer_shape(self.checkpoint), clip_seconds * FRAMES_HZ)

    def cpu_gflops(self) -> float:
        """What a transformer of this width reaches."""
        return transformer_gflops(transformer_shape(self.checkpoint))

    def train_bytes(self, clip_seconds: float) -> TrainBytes:
        """The transformer with its convolution over positions, and the convolutions; frozen ones keep nothing."""
        shape = transformer_shape(self.checkpoint)
        positions = clip_seconds * FRAMES_HZ
        of_positions = convolutions_bytes((shape[0],), (POSITION_KERNEL,), (1,), positions, shape[0] // POSITION_GROUPS)
        convolutions = feature_encoder_bytes(self.checkpoint, clip_seconds, SAMPLE_RATE_HZ)
        if self.freeze_feature_encoder:
            convolutions = TrainBytes(convolutions.weights, 0.0)
        return transformer_bytes(shape, positions) + of_positions + convolutions

    def unfit(self, shortest: int, samples: int) -> str:
        """A recording that makes no frame."""
        return self._too_short(min(shortest, samples), self._config())

    def _too_short(self, shortest: int, config: Any) -> str:
        fewest = fewest_samples(config)
        if shortest >= fewest:
            return ""
        return f"utterance too short for {self.label}: got {shortest} samples, allowed: {fewest} or more"

    def frontend(self, device: torch.device) -> Frontend:
        """Normalization, and the frozen convolutions; always the pretrained ones.

        The frontend raises ValueError on clips and utterances that are too short to make one frame.
        """
        config = self._config()
        encoder: FeatureEncoder | None = None
        if self.freeze_feature_encoder:
            convolutions = getattr(self._load(config), self.family).feature_extractor.conv_layers
            encoder = FeatureEncoder(convolutions).to(device).eval().requires_grad_(False)

        def extract(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
            if reason := self._too_short(int(lengths.min()), config):
                raise ValueError(reason)
            lengths = lengths.to(device)
            with torch.no_grad():
                normalized = normalize(waveforms.to(device), lengths)
                if encoder is None:
                    return normalized, lengths
                return encoder(normalized).contiguous(), num_frames(lengths, config)

        return extract

    def build(self, num_classes: int, *, pretrained: bool = True) -> WaveformClassifier:
        """The transformer and, where `freeze_feature_encoder` is off, the convolutions.

        Raises:
            ValueError: `spec_augment` with a checkpoint that has no mask embedding.
        """
        config = self._config()
        projector = new_linear(config.hidden_size, config.classifier_proj_size, config.initializer_range)
        head = new_linear(config.classifier_proj_size, num_classes, config.initializer_range)
        base = self._encoder(config, pretrained=pretrained)
        train_feature_encoder = not self.freeze_feature_encoder
        return WaveformClassifier(
            base, projector, head, train_feature_encoder=train_feature_encoder, spec_augment=self.spec_augment
        ).train()

    def save_pretrained(
        self, model: SpeechClassifier, folder: Path, classes: Sequence[str], *, clip_samples: int
    ) -> None:
        """The folder takes clips of any length; give it utterances normalized alone, then padded to `clip_samples`."""
        from transformers import Wav2Vec2FeatureExtractor

        config = with_classes(self._config(), classes)
        extractor = Wav2Vec2FeatureExtractor(
            do_normalize=True, return_attention_mask=config.feat_extract_norm == "layer"
        )
        weights = transformers_names(model.state_dict(), self._names())
        write_folder(self._load(config), extractor, weights, folder)

    def _names(self) -> dict[str, str]:
        base = f"{self.family}."
        return {
            "feature_extractor.": f"{base}feature_extractor.",
            "stem.feature_projection.": f"{base}feature_projection.",
            "stem.masked_spec_embed": f"{base}masked_spec_embed",
            "stem.": f"{base}encoder.",
            "layers.": f"{base}encoder.layers.",
            "readout.norm.": f"{base}encoder.layer_norm.",
            "readout.projector.": "projector.",
            "head.": "classifier.",
        }

    def _config(self) -> Any:
        config = load_config(self.checkpoint, self.revision, self.family)
        config.layerdrop = (
            0.0  # it draws from torch's generator and skips layers: no two methods would train one network
        )
        config.use_weighted_layer_sum = False
        return config

    def _encoder(self, config: Any, *, pretrained: bool) -> Any:
        model = self._load(config) if pretrained else random_model(self.architecture, config)
        base = getattr(model, self.family)
        if self.spec_augment and not hasattr(base, "masked_spec_embed"):
            raise ValueError(
                f"spec_augment needs a mask embedding: {self.checkpoint} has mask_time_prob {config.mask_time_prob}, "
                "allowed: above 0"
            )
        return base

    def _load(self, config: Any) -> Any:
        return load_model(self.architecture, self.checkpoint, self.revision, config)


VARIANTS: dict[str, Callable[..., Backbone]] = {
    "wav2vec2_base": partial(Wav2Vec2, checkpoint="facebook/wav2vec2-base"),
    "wav2vec2_large": partial(Wav2Vec2, checkpoint="facebook/wav2vec2-large"),
    "wav2vec2_nano": partial(Wav2Vec2, checkpoint="packaged:wav2vec2_nano"),
}
