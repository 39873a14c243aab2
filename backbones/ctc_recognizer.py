"""The network of CTC recognizers: an encoder of waveforms and a head that answers each of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from backbones.base import SpeechClassifier
from backbones.ctc_text import BLANK, NO_TOKEN, best_path, character_tokens, fewest_steps
from backbones.heads import linear_layers, masked_mean, valid_frames
from backbones.waveform_encoder import FeatureEncoder, Stem, encoded_frames, num_frames

AT_ONCE = 256  # alternative transcripts of one recording
NO_STEP = -1e4  # logit of all but the blank in steps after an utterance's end, as methods know them


class CtcRecognizer(SpeechClassifier):
    """Equals `Wav2Vec2ForCTC` and `HubertForCTC` on an utterance's own steps; LayerDrop is off.

    Steps after its end are certain of the blank: they add nothing to a likelihood, a divergence or a text. Encoders
    with group norm read the padding of the clip as silence, as in the classifiers of this package.
    """

    target: ClassVar[str] = "transcripts"

    def __init__(self, base: Any, head: nn.Linear, *, train_feature_encoder: bool, spec_augment: bool) -> None:
        super().__init__()
        self.config = base.config
        self.feature_extractor = FeatureEncoder(base.feature_extractor.conv_layers) if train_feature_encoder else None
        self.stem = Stem(base, spec_augment=spec_augment)
        self.layers = base.encoder.layers
        self.norm = base.encoder.layer_norm if base.config.do_stable_layer_norm else None
        self.dropout = nn.Dropout(base.config.final_dropout)
        self.head = head
        self.adapter_targets = linear_layers(self, ("stem.feature_projection", "layers."))
        self.masks_padding = base.config.feat_extract_norm == "layer"

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Convolutions where they are trained, stem with positions, transformer layers, norm if any, head."""
        convolutions = [] if self.feature_extractor is None else [self.feature_extractor]
        return [*convolutions, self.stem, *self.layers, *([] if self.norm is None else [self.norm]), self.head]

    def steps(
        self, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch steps width"], Int[Tensor, " batch"]]:
        """Return what the head reads, and how many steps are each utterance's own."""
        frames, _ = encoded_frames(self, features, lengths)
        return frames if self.norm is None else self.norm(frames), self._own(lengths)

    def embed(
        self, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Return the mean over an utterance's own steps."""
        frames, own = self.steps(features, lengths)
        return masked_mean(frames, valid_frames(own, frames.shape[1]))

    def forward(
        self, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch steps characters"]:
        """Return logits of each step; `features` as `WaveformClassifier` takes them."""
        frames, own = self.steps(features, lengths)
        logits: Tensor = self.head(self.dropout(frames))
        certain = logits.new_full((logits.shape[-1],), NO_STEP)
        certain[BLANK] = 0.0
        return torch.where(valid_frames(own, frames.shape[1])[..., None], logits, certain)

    def answer(
        self,
        features: Float[Tensor, "batch time ..."],
        lengths: Int[Tensor, " batch"],
        targets: Int[Tensor, "batch longest"],
    ) -> Float[Tensor, "batch steps characters"]:
        """Return the same: the targets are not read."""
        logits: Tensor = self(features, lengths)
        return logits

    def target_loss(
        self, logits: Float[Tensor, "batch steps characters"], targets: Int[Tensor, "batch longest"]
    ) -> Float[Tensor, " batch"]:
        """Return −log p of each transcript, summed over its alignments, in nats per character.

        The transcript must fit its recording (`fits`), or the loss is a large number without a meaning. CUDA has no
        gradient of it that repeats bit for bit: with `deterministic: true` it is computed on the processor.
        """
        log_p = logits.float().log_softmax(dim=-1).transpose(0, 1)
        sizes = (targets != NO_TOKEN).sum(dim=1)
        steps = torch.full_like(sizes, logits.shape[1])
        given = (log_p, targets.clamp(min=0), steps, sizes)
        if log_p.is_cuda and log_p.requires_grad and torch.are_deterministic_algorithms_enabled():
            given = tuple(tensor.cpu() for tensor in given)  # type: ignore[assignment]
        losses = functional.ctc_loss(*given, blank=BLANK, reduction="none").to(log_p.device)
        return losses / sizes

    def fits(self, lengths: Int[Tensor, " batch"], targets: Int[Tensor, "batch longest"]) -> Bool[Tensor, " batch"]:
        """Return whether recordings of `lengths`, as in the features, have steps enough for their transcripts."""
        return self._own(lengths) >= fewest_steps(targets)

    def _own(self, lengths: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return lengths if self.feature_extractor is None else num_frames(lengths, self.config)

    @torch.no_grad()
    def judge(
        self,
        features: Float[Tensor, "batch time ..."],
        lengths: Int[Tensor, " batch"],
        targets: Int[Tensor, "batch longest"],
    ) -> tuple[Float[Tensor, " batch"], list[str]]:
        """Return the loss of each transcript and the text on the likeliest path."""
        logits = self(features, lengths)
        return self.target_loss(logits, targets), best_path(logits)

    @torch.no_grad()
    def alternative_losses(
        self,
        features: Float[Tensor, "1 time ..."],
        lengths: Int[Tensor, " 1"],
        targets: Int[Tensor, "alternatives longest"],
    ) -> Float[Tensor, " alternatives"]:
        """Return the loss of each of many transcripts of one recording, which is encoded once.

        It is infinite where the recording has too few steps.
        """
        logits = self(features, lengths)[:, : int(self._own(lengths))]
        return torch.cat(
            [self.target_loss(logits.expand(len(part), -1, -1), part) for part in torch.split(targets, AT_ONCE)]
        )

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "n longest"]:
        """Return transcripts as targets: characters, filled up with `NO_TOKEN`."""
        return character_tokens(texts)

    def transcribe(self, features: Float[Tensor, "batch time ..."], lengths: Int[Tensor, " batch"]) -> list[str]:
        """Return each utterance's text on the likeliest path."""
        with torch.no_grad():
            return best_path(self(features, lengths))
