"""What a model answers for a batch, and how that is read: one class, or a transcript step by step.

A model names its kind in `target`; one that names none is a classifier, the special case of a single step.
B utterances, S steps, V outputs of a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from methods.engine.batches import Batch, Classifier

CLASSES, TRANSCRIPTS = "classes", "transcripts"

NO_STEP = -1e4
"""Logit of every output but the first in a step that is not the utterance's own: output 0 is certain there, so that
neither losses nor divergences see the step."""

NO_TOKEN = -1  # fills rows of targets (B, L) after a transcript's last token


class Recognizer(Classifier, Protocol):
    """The interface of a trainable recognizer; targets (B, L) are its tokens, with `NO_TOKEN` after the last."""

    target: str  # TRANSCRIPTS

    def answer(
        self,
        features: Float[Tensor, "batch ..."],
        lengths: Int[Tensor, " batch"],
        targets: Int[Tensor, "batch longest"],
    ) -> Float[Tensor, "batch steps outputs"]:
        """Return logits of each step, as `NO_STEP` describes; a decoder reads the targets, CTC does not."""

    def target_loss(
        self, logits: Float[Tensor, "batch steps outputs"], targets: Int[Tensor, "batch longest"]
    ) -> Float[Tensor, " batch"]:
        """Return the transcript's negative log-likelihood in nats per character or token, at least 0."""

    def fits(self, lengths: Int[Tensor, " batch"], targets: Int[Tensor, "batch longest"]) -> Bool[Tensor, " batch"]:
        """Return whether recordings of `lengths`, as batches have them, can have these transcripts."""

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "n longest"]:
        """Return normalized transcripts as targets."""

    def alternative_losses(
        self, features: Float[Tensor, "1 ..."], lengths: Int[Tensor, " 1"], targets: Int[Tensor, "n longest"]
    ) -> Float[Tensor, " n"]:
        """Return the loss of each of many transcripts of one recording, without gradient.

        It may be infinite where a transcript is less likely than the first one.
        """

    def judge(
        self,
        features: Float[Tensor, "batch ..."],
        lengths: Int[Tensor, " batch"],
        targets: Int[Tensor, "batch longest"],
    ) -> tuple[Float[Tensor, " batch"], list[str]]:
        """Return `target_loss` and `transcribe` of recordings that are read once, without gradient."""

    def transcribe(self, features: Float[Tensor, "batch ..."], lengths: Int[Tensor, " batch"]) -> list[str]:
        """Return the transcripts that greedy decoding finds."""


class Answers(Protocol):
    """How answers of one kind of model are computed and compared with targets."""

    def logits(self, model: Classifier, batch: Batch) -> Float[Tensor, "batch *steps outputs"]:
        """Return the distributions of a batch as logits."""

    def loss(self, model: Classifier, logits: Tensor, targets: Tensor) -> Float[Tensor, " batch"]:
        """Return each utterance's loss in nats, at least 0."""


class _OneClass:
    """A classifier: logits (B, C), labels (B,), cross-entropy."""

    def logits(self, model: Classifier, batch: Batch) -> Tensor:
        return model(batch.features, batch.lengths)

    def loss(self, model: Classifier, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, reduction="none")


class _Transcript:
    """A recognizer, which computes its own likelihood."""

    def logits(self, model: Classifier, batch: Batch) -> Tensor:
        return cast(Recognizer, model).answer(batch.features, batch.lengths, batch.labels)

    def loss(self, model: Classifier, logits: Tensor, targets: Tensor) -> Tensor:
        return cast(Recognizer, model).target_loss(logits, targets)


KINDS: Mapping[str, Answers] = {CLASSES: _OneClass(), TRANSCRIPTS: _Transcript()}


def target_of(model: Any) -> str:
    """Return what a model answers with: `classes` or `transcripts`."""
    return str(getattr(model, "target", CLASSES))


def logits_of(model: Classifier, batch: Batch) -> Float[Tensor, "batch *steps outputs"]:
    """Return the model's distributions on a batch as logits: (B, C) of a classifier, (B, S, V) of a recognizer."""
    return KINDS[target_of(model)].logits(model, batch)


def target_loss(model: Classifier, logits: Tensor, targets: Tensor) -> Float[Tensor, " batch"]:
    """Return the loss of each utterance under its target: cross-entropy, or the transcript's, in nats."""
    return KINDS[target_of(model)].loss(model, logits, targets)


def own_steps(logits: Float[Tensor, "batch *steps outputs"]) -> Bool[Tensor, " batch *steps"]:
    """Return which steps are an utterance's own: all but those that `NO_STEP` fills."""
    return logits[..., 1:].amax(dim=-1) > NO_STEP / 2


def mean_over_steps(
    values: Float[Tensor, " batch *steps"], logits: Float[Tensor, "batch *steps outputs"]
) -> Float[Tensor, " batch"]:
    """Return the mean of each utterance's values over its own steps; a classifier's single value is unchanged."""
    if values.ndim == 1:
        return values
    own = own_steps(logits)
    return torch.where(own, values, torch.zeros_like(values)).sum(dim=1) / own.sum(dim=1).clamp(min=1)
