"""The network that wav2vec 2.0 and HuBERT share: waveform, convolutional feature encoder, transformer, classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from backbones.base import SpeechClassifier
from backbones.heads import Readout, linear_layers, valid_frames
from backbones.spec_augment import time_masks


def normalize(
    waveforms: Float[Tensor, "batch samples"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch samples"]:
    """Zero mean and unit variance over the real samples of each utterance; padding becomes 0.

    Equals `Wav2Vec2FeatureExtractor` on each utterance alone, before padding. (With padding and without an attention
    mask that extractor takes its statistics over the padding too.)
    """
    real = valid_frames(lengths, waveforms.shape[1])
    count = lengths[:, None].to(waveforms.dtype)
    centered = (waveforms - (waveforms * real).sum(dim=1, keepdim=True) / count) * real
    return centered / torch.sqrt((centered**2).sum(dim=1, keepdim=True) / count + 1e-7)


class FeatureEncoder(nn.Module):
    """The convolutions: (B, S) waveform to (B, T, C) frames."""

    def __init__(self, convolutions: nn.ModuleList) -> None:
        super().__init__()
        self.conv_layers = convolutions

    def forward(self, waveforms: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch time channels"]:
        """As transformers does, without its gradient with respect to the waveform."""
        frames = waveforms[:, None]
        for layer in self.conv_layers:
            frames = layer(frames)
        return frames.transpose(1, 2)


def num_frames(lengths: Int[Tensor, " batch"], config: Any) -> Int[Tensor, " batch"]:
    """Frames that the convolutions make of `lengths` samples: one each 20 ms, from 25 ms on, in the usual ones."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
    return lengths


def fewest_samples(config: Any) -> int:
    """Samples that make one frame: the receptive field of the convolutions, 400 in the usual ones."""
    samples = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


class Stem(nn.Module):
    """Frames to the transformer's width, SpecAugment, and positions by convolution."""

    def __init__(self, base: Any, *, spec_augment: bool) -> None:
        super().__init__()
        self.config = base.config
        self.feature_projection = base.feature_projection
        self.pos_conv_embed = base.encoder.pos_conv_embed
        self.layer_norm = nn.Identity() if base.config.do_stable_layer_norm else base.encoder.layer_norm
        self.dropout = base.encoder.dropout
        self.masked_spec_embed = base.masked_spec_embed if spec_augment else None

    def forward(
        self, frames: Float[Tensor, "batch time channels"], valid: Bool[Tensor, "batch time"] | None
    ) -> Float[Tensor, "batch time width"]:
        """`valid` is None where every frame counts."""
        projected = self.feature_projection(frames)
        hidden: Tensor = (
            projected[0] if isinstance(projected, tuple) else projected
        )  # wav2vec 2.0 keeps the unprojected
        if self.masked_spec_embed is not None and self.training:
            hidden = torch.where(self._masks(hidden, valid)[..., None], self.masked_spec_embed.to(hidden.dtype), hidden)
        if valid is not None:
            hidden = hidden * valid[..., None]
        positioned: Tensor = self.dropout(self.layer_norm(hidden + self.pos_conv_embed(hidden)))
        return positioned

    def _masks(self, hidden: Tensor, valid: Tensor | None) -> Tensor:
        batch, frames, _ = hidden.shape
        lengths = torch.full((batch,), frames, device=hidden.device) if valid is None else valid.sum(dim=1)
        config = self.config
        return time_masks(
            lengths, frames, share=config.mask_time_prob, span=config.mask_time_length,
            min_spans=config.mask_time_min_masks,
        )  # fmt: skip


def encoded_frames(
    model: Any, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch steps width"], Bool[Tensor, "batch steps"] | None]:
    """Return the frames after the last transformer layer of a model, and which are valid; None where all count."""
    if model.feature_extractor is not None:
        features, lengths = model.feature_extractor(features), num_frames(lengths, model.config)
    valid = valid_frames(lengths, features.shape[1]) if model.masks_padding else None
    attended = None if valid is None else valid[:, None, None, :]
    frames: Tensor = model.stem(features, valid)
    for layer in model.layers:
        frames = layer(frames, attention_mask=attended)
    return frames, valid


class WaveformClassifier(SpeechClassifier):
    """Equals `Wav2Vec2ForSequenceClassification` and `HubertForSequenceClassification`; LayerDrop is off.

    Models whose convolutions have layer norm were pretrained with an attention mask and get one; those with group norm
    were not, and see the padding as silence: their mean is over all frames.
    """

    def __init__(
        self, base: Any, projector: nn.Linear, head: nn.Linear, *, train_feature_encoder: bool, spec_augment: bool
    ) -> None:
        super().__init__()
        self.config = base.config
        self.feature_extractor = FeatureEncoder(base.feature_extractor.conv_layers) if train_feature_encoder else None
        self.stem = Stem(base, spec_augment=spec_augment)
        self.layers = base.encoder.layers
        self.readout = Readout(projector, norm=base.encoder.layer_norm if base.config.do_stable_layer_norm else None)
        self.head = head
        self.adapter_targets = linear_layers(self, ("stem.feature_projection", "layers.", "readout.projector"))
        self.masks_padding = base.config.feat_extract_norm == "layer"

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Convolutions where they are trained, stem with positions, transformer layers, projection, classifier."""
        convolutions = [] if self.feature_extractor is None else [self.feature_extractor]
        return [*convolutions, self.stem, *self.layers, self.readout, self.head]

    def embed(
        self, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch projected"]:
        """`features` are frames (B, T, C), or waveforms (B, S) where the convolutions are trained."""
        vectors: Tensor = self.readout(*encoded_frames(self, features, lengths))
        return vectors
