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
from backbones.whisper_alternatives import whole_losses
from backbones.whisper_text import NO_STEP, NO_TOKEN, Spelling

STEPS_AT_ONCE = 512  # tokens whose distributions over the vocabulary are in memory at once


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
        if not len(features):  # of a method's half batch, which may be empty; transformers cannot reshape it
            return features.new_zeros(0, targets.shape[1], len(self.head.weight))  # type: ignore[arg-type]
        return self.given(self.encode(features), targets)

    answer = forward

    def given(
        self, encoded: Float[Tensor, "batch time width"], targets: Int[Tensor, "batch longest"]
    ) -> Float[Tensor, "batch longest vocabulary"]:
        """Return the same from encoder outputs."""
        used = without_filling(targets)
        logits = self.head(self._before_each(encoded, used))
        certain = logits.new_full((logits.shape[-1],), NO_STEP)
        certain[0] = 0.0
        logits = torch.where((used != NO_TOKEN)[..., None], logits, certain)
        left = targets.shape[1] - used.shape[1]
        return torch.cat([logits, certain.expand(len(logits), left, -1)], dim=1) if left else logits

    def _before_each(self, encoded: Tensor, used: Tensor) -> Tensor:
        """Return the decoder's vector before each token of the transcripts."""
        prompt = torch.tensor(self.spelling.prompt, device=used.device).expand(len(used), -1)
        read = torch.cat([prompt, used.masked_fill(used == NO_TOKEN, self.spelling.end)], dim=1)[:, :-1]
        return self._decoded(encoded, read)[:, prompt.shape[1] - 1 :]

    def target_loss(
        self, logits: Float[Tensor, "batch longest vocabulary"], targets: Int[Tensor, "batch longest"]
    ) -> Float[Tensor, " batch"]:
        """Return −log p of each transcript in nats per token; the end is one, the prompt is none."""
        used = without_filling(targets)
        by_token = logits[:, : used.shape[1]].float().flatten(0, 1)
        each = functional.cross_entropy(by_token, used.flatten(), reduction="none", ignore_index=NO_TOKEN)
        return each.view(used.shape).sum(dim=1) / (used != NO_TOKEN).sum(dim=1)

    def fits(self, lengths: Int[Tensor, " batch"], targets: Int[Tensor, "batch longest"]) -> Bool[Tensor, " batch"]:
        """Return that every transcript fits any recording: a decoder writes as many tokens as it likes."""
        return torch.ones_like(lengths, dtype=torch.bool)

    @torch.no_grad()
    def alternative_losses(
        self,
        features: Float[Tensor, "1 frames mels"],
        lengths: Int[Tensor, " 1"],
        targets: Int[Tensor, "alternatives longest"],
    ) -> Float[Tensor, " alternatives"]:
        """Return the loss of each of many transcripts of one recording; infinity for those less likely than the first.

        The recording is encoded once, and what transcripts begin with alike is read once.
        """
        encoded = self.encode(features)

        def read(tokens: Tensor, cache: Any, mask: Tensor | None, positions: Tensor | None) -> Tensor:
            return self._decoded(encoded, tokens, cache, attention_mask=mask, position_ids=positions)

        prompt = torch.tensor([self.spelling.prompt], device=targets.device)
        return whole_losses(read, self.head.weight, prompt, targets) / (targets != NO_TOKEN).sum(dim=1)  # type: ignore[arg-type]

    @torch.no_grad()
    def judge(
        self,
        features: Float[Tensor, "batch frames mels"],
        lengths: Int[Tensor, " batch"],
        targets: Int[Tensor, "batch longest"],
    ) -> tuple[Float[Tensor, " batch"], list[str]]:
        """Return the loss of each transcript and what greedy decoding finds, in float32.

        Where decoding would choose each token of the transcript itself, its loss has told that already.
        """
        with torch.autocast(features.device.type, enabled=False):
            encoded, used = self.encode(features.float()), without_filling(targets)
            own = used != NO_TOKEN
            first = torch.zeros_like(own).index_fill_(1, torch.zeros(1, dtype=torch.long, device=own.device), 1)
            losses, same = torch.zeros(own.shape, device=own.device), torch.ones_like(own)
            parts = [torch.split(t[own], STEPS_AT_ONCE) for t in (self._before_each(encoded, used), used, first)]
            found = [self._judge_steps(*part) for part in zip(*parts, strict=True)]
            losses[own] = torch.cat([loss for loss, _ in found])
            same[own] = torch.cat([right for _, right in found])
            sizes = own.sum(dim=1)
            known = same.all(dim=1) & (sizes <= torch.tensor(self._most(lengths), device=own.device))
            rest = iter(self.transcribe_encoded(encoded[~known], lengths[~known]))
            texts = [
                self.spelling.text(row) if right else next(rest)
                for row, right in zip(used.tolist(), known.tolist(), strict=True)
            ]
            return losses.sum(dim=1) / sizes, texts

    def _judge_steps(self, vectors: Tensor, tokens: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each token after its vector, and whether greedy decoding chooses it."""
        logits = self.head(vectors)
        losses = functional.cross_entropy(logits, tokens, reduction="none")
        return losses, self._forbid(logits, first).argmax(dim=-1) == tokens

    def _forbid(self, logits: Float[Tensor, "n vocabulary"], first: Bool[Tensor, " n"]) -> Tensor:
        """Rule out, in place, what is never decoded, and what no transcript starts with where it is the first token."""
        logits[:, list(self.spelling.never)] = -torch.inf
        logits[first.nonzero(), list(self.spelling.never_first)] = -torch.inf
        return logits

    def transcribe(self, features: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]) -> list[str]:
        """Return each recording's transcript by greedy decoding, in float32."""
        device = features.device.type
        with torch.no_grad(), torch.autocast(device, enabled=False):
            return self.transcribe_encoded(self.encode(features.float()), lengths)

    def transcribe_encoded(
        self, encoded: Float[Tensor, "batch time width"], lengths: Int[Tensor, " batch"]
    ) -> list[str]:
        """Return the transcripts that encoder outputs of recordings of `lengths` frames have."""
        return [self.spelling.text(row) for row in self.greedy(encoded, self._most(lengths))]

    def _most(self, lengths: Int[Tensor, " batch"]) -> list[int]:
        """Return how many tokens decoding may give for recordings of `lengths` frames."""
        frames_a_second = SAMPLE_RATE_HZ / HOP_SAMPLES
        return [self.spelling.most_tokens(frames / frames_a_second) for frames in lengths.tolist()]

    @torch.no_grad()
    def greedy(self, encoded: Tensor, most: Sequence[int]) -> list[list[int]]:
        """Return the tokens of each row: up to its end, at most as many as `most` says for it, then ends."""
        from transformers import DynamicCache, EncoderDecoderCache

        cache, end, device = EncoderDecoderCache(DynamicCache(), DynamicCache()), self.spelling.end, encoded.device
        limits, rows = torch.tensor(most, device=device), torch.arange(len(encoded), device=device)
        found = torch.full((len(encoded), max(most, default=0)), end, device=device)
        read = torch.tensor(self.spelling.prompt, device=device).expand(len(encoded), -1)
        for step in range(found.shape[1]):
            logits = self.head(self._decoded(encoded, read, cache)[:, -1])
            chosen = self._forbid(logits, torch.full((len(rows),), step == 0, device=device)).argmax(dim=-1)
            found[rows, step] = chosen
            goes_on = ((chosen != end) & (step + 1 < limits[rows])).nonzero().flatten()
            if not len(goes_on):
                break
            if len(goes_on) < len(rows):  # rows that have ended are computed no more
                rows, encoded, chosen = rows[goes_on], encoded[goes_on], chosen[goes_on]
                cache.batch_select_indices(goes_on)
            read = chosen[:, None]
        decoded: list[list[int]] = found.tolist()
        return decoded

    def _decoded(self, encoded: Tensor, tokens: Tensor, cache: Any = None, **how: Tensor | None) -> Tensor:
        """Return the decoder's vector at each of `tokens`; `cache` holds what it read before, and is added to."""
        vectors = functional.embedding(tokens, self.head.weight)  # type: ignore[arg-type]
        kept = {} if cache is None else {cache_argument(self.decoder): cache}
        found: Tensor = self.decoder(
            inputs_embeds=vectors, encoder_hidden_states=encoded, use_cache=cache is not None, **kept, **how
        ).last_hidden_state
        return found


def cache_argument(decoder: Any) -> str:
    """Return the name that this version of transformers has for the cache of a decoder."""
    return "cache" if "cache" in inspect.signature(type(decoder).forward).parameters else "past_key_values"


def without_filling(targets: Int[Tensor, "batch tokens"]) -> Int[Tensor, "batch longest"]:
    """Return the targets without the columns that no transcript of the batch reaches."""
    longest = (targets != NO_TOKEN).sum(dim=1)
    return targets[:, : int(longest.max()) if len(longest) else 0]
