"""Whisper with its own decoder as a recognizer: losses of transcripts, distributions per step, greedy decoding."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from backbones.base import SAMPLE_RATE_HZ, SpeechClassifier
from backbones.heads import linear_layers, masked_mean, valid_frames
from backbones.mel_spectrogram import HOP_SAMPLES
from backbones.whisper import Stem
from backbones.whisper_text import NO_STEP, NO_TOKEN, Spelling


class WhisperRecognizer(SpeechClassifier):
    """Encoder, decoder, and a head of one row per token, which is also the decoder's table of input tokens.

    Equals `WhisperForConditionalGeneration` without its limit to one input length. LayerDrop is off. Silence after the
    speech is read too, because Whisper knows no mask.
    """

    target: ClassVar[str] = "transcripts"  # what it answers with, as methods tell it from a classifier

    def __init__(self, network: Any, spelling: Spelling) -> None:
        """Take `network`, a `WhisperForConditionalGeneration`, apart."""
        super().__init__()
        encoder, self.decoder = network.model.encoder, network.model.decoder
        self.stem = Stem(encoder)
        self.layers = encoder.layers
        self.norm = encoder.layer_norm
        self.head = network.proj_out
        self.head.weight = self.decoder.embed_tokens.weight  # one parameter
        self.decoder.embed_tokens = nn.Identity()  # and one name for it
        self.decoder.layerdrop = 0.0
        self.spelling = spelling
        self.adapter_targets = linear_layers(self, ("layers.", "decoder.layers."))

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Convolutions, encoder layers, norm; positions, decoder layers, norm; table of tokens."""
        decoder = self.decoder
        return [
            self.stem, *self.layers, self.norm,
            decoder.embed_positions, *decoder.layers, decoder.layer_norm, self.head,
        ]  # fmt: skip

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "n longest"]:
        """Return transcripts as targets: tokens, the end included, filled up with `NO_TOKEN`."""
        return self.spelling.tokens(texts)

    def encode(self, features: Float[Tensor, "batch frames mels"]) -> Float[Tensor, "batch time width"]:
        """Return what the decoder reads: one vector each 20 ms."""
        frames = self.stem(features)
        for layer in self.layers:
            frames = layer(frames, None)
        encoded: Tensor = self.norm(frames)
        return encoded

    def embed(
        self, features: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Return the mean of the encoder's outputs over the speech, without the silence after it."""
        encoded, positions = self.encode(features), -(-lengths // 2)
        return masked_mean(encoded, valid_frames(positions, encoded.shape[1]))

    def forward(  # type: ignore[override]
        self,
        features: Float[Tensor, "batch frames mels"],
        lengths: Int[Tensor, " batch"],
        targets: Int[Tensor, "batch longest"],
    ) -> Float[Tensor, "batch longest vocabulary"]:
        """Return logits of each token of the transcripts, given the recording and the tokens before it.

        Steps after a transcript's end are certain of token 0 (`NO_STEP`), so that no divergence sees them.
        """
        return self.given(self.encode(features), targets)

    answer = forward

    def given(
        self, encoded: Float[Tensor, "batch time width"], targets: Int[Tensor, "batch longest"]
    ) -> Float[Tensor, "batch longest vocabulary"]:
        """Return the same from encoder outputs."""
        used = without_filling(targets)
        prompt = torch.tensor(self.spelling.prompt, device=targets.device).expand(len(targets), -1)
        read = torch.cat([prompt, used.masked_fill(used == NO_TOKEN, self.spelling.end)], dim=1)[:, :-1]
        logits = self.head(self._decoded(encoded, read)[:, prompt.shape[1] - 1 :])
        certain = logits.new_full((logits.shape[-1],), NO_STEP)
        certain[0] = 0.0
        logits = torch.where((used != NO_TOKEN)[..., None], logits, certain)
        left = targets.shape[1] - used.shape[1]
        return torch.cat([logits, certain.expand(len(logits), left, -1)], dim=1) if left else logits

    def target_loss(
        self, logits: Float[Tensor, "batch longest vocabulary"], targets: Int[Tensor, "batch longest"]
    ) -> Float[Tensor, " batch"]:
        """Return −log p of each transcript in nats per token; the end is one, the prompt is none."""
        used = without_filling(targets)
        by_token = logits[:, : used.shape[1]].float().transpose(1, 2)
        each = functional.cross_entropy(by_token, used, reduction="none", ignore_index=NO_TOKEN)
        return each.sum(dim=1) / (used != NO_TOKEN).sum(dim=1)

    def fits(self, lengths: Int[Tensor, " batch"], targets: Int[Tensor, "batch longest"]) -> Bool[Tensor, " batch"]:
        """Return that every transcript fits any recording: a decoder writes as many tokens as it likes."""
        return torch.ones_like(lengths, dtype=torch.bool)

    @torch.no_grad()
    def alternative_losses(
        self,
        features: Float[Tensor, "1 frames mels"],
        lengths: Int[Tensor, " 1"],
        targets: Int[Tensor, "alternatives longest"],
        at_once: int = 32,
    ) -> Float[Tensor, " alternatives"]:
        """Return the loss of each of many transcripts of one recording, which is encoded once."""
        encoded = self.encode(features)
        parts = [
            self.target_loss(self.given(encoded.expand(len(part), -1, -1), part), part)
            for part in torch.split(targets, at_once)
        ]
        return torch.cat(parts)

    def transcribe(self, features: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]) -> list[str]:
        """Return each recording's transcript by greedy decoding, in float32."""
        device = features.device.type
        with torch.no_grad(), torch.autocast(device, enabled=False):
            return self.transcribe_encoded(self.encode(features.float()), lengths)

    def transcribe_encoded(
        self, encoded: Float[Tensor, "batch time width"], lengths: Int[Tensor, " batch"]
    ) -> list[str]:
        """Return the transcripts that encoder outputs of recordings of `lengths` frames have."""
        frames_a_second = SAMPLE_RATE_HZ / HOP_SAMPLES
        most = [self.spelling.most_tokens(frames / frames_a_second) for frames in lengths.tolist()]
        return [self.spelling.text(row) for row in self.greedy(encoded, most)]

    @torch.no_grad()
    def greedy(self, encoded: Tensor, most: Sequence[int]) -> list[list[int]]:
        """Return the tokens of each row: up to its end, at most as many as `most` says for it, then ends."""
        from transformers import DynamicCache, EncoderDecoderCache

        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        spelling, device = self.spelling, encoded.device
        never = torch.tensor(spelling.never, dtype=torch.long, device=device)
        never_first = torch.tensor(spelling.never_first, dtype=torch.long, device=device)
        read = torch.tensor(spelling.prompt, device=device).expand(len(encoded), -1)
        limits, ended = torch.tensor(most, device=device), torch.zeros(len(encoded), dtype=torch.bool, device=device)
        found: list[Tensor] = []
        while not bool(ended.all()):
            logits = self.head(self._decoded(encoded, read, cache)[:, -1])
            logits[:, never] = -torch.inf
            if not found:
                logits[:, never_first] = -torch.inf
            chosen = logits.argmax(dim=-1).masked_fill(ended, spelling.end)
            found.append(chosen)
            ended = ended | (chosen == spelling.end) | (len(found) >= limits)
            read = chosen[:, None]
        rows: list[list[int]] = torch.stack(found, dim=1).tolist()
        return rows

    def _decoded(self, encoded: Tensor, tokens: Tensor, cache: Any = None) -> Tensor:
        """Return the decoder's vector at each of `tokens`; `cache` holds what it read before, and is added to."""
        vectors = functional.embedding(tokens, self.head.weight)  # type: ignore[arg-type]
        kept = {} if cache is None else {cache_argument(self.decoder): cache}
        found: Tensor = self.decoder(
            inputs_embeds=vectors, encoder_hidden_states=encoded, use_cache=cache is not None, **kept
        ).last_hidden_state
        return found


def cache_argument(decoder: Any) -> str:
    """Return the name that this version of transformers has for the cache of a decoder."""
    return "cache" if "cache" in inspect.signature(type(decoder).forward).parameters else "past_key_values"


def without_filling(targets: Int[Tensor, "batch tokens"]) -> Int[Tensor, "batch longest"]:
    """Return the targets without the columns that no transcript of the batch reaches."""
    return targets[:, : int((targets != NO_TOKEN).sum(dim=1).max())]
