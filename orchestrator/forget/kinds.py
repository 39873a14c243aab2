"""What a removal reads of a model's answers, for each kind of model: logits of classes, or losses and word errors.

A recognizer's answers are three numbers a recording, of which none says what was spoken: the loss of the transcript in
nats per character or token, the word errors of the greedy output, and the words of the transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from torch import Tensor

from methods.base import Classifier
from methods.engine.answers import CLASSES, TRANSCRIPTS, Recognizer
from orchestrator.evidence.outputs import Outputs, parse_outputs
from orchestrator.evidence.signals import signals
from orchestrator.evidence.wer import edits
from orchestrator.tasks.normalizers import normalizer_of

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Names = Sequence[str] | npt.NDArray[np.str_]

NORMALIZER = "english-1"  # of transcripts in a manifest, and of what a recognizer writes
LOSS, ERRORS, WORDS = range(3)  # columns of a recognizer's answers


class Kind(Protocol):
    """The answers (n, k) of one kind of model to n recordings."""

    @property
    def measure(self) -> str:
        """What collateral damage is shown by: accuracy, or WER."""

    @property
    def signals(self) -> tuple[str, ...]:
        """What membership is attacked by."""

    def answers(
        self, model: Classifier, features: Tensor, lengths: Tensor, targets: Tensor | None, texts: list[str]
    ) -> Array:
        """Return the answers of a model in eval mode to a batch."""

    def scores(self, answers: Array, labels: Labels, ids: Names, signal: str) -> npt.NDArray[np.float64]:
        """Return one number a recording, larger for "was trained on"."""

    def shown(self, answers: Array, labels: Labels) -> float:
        """Return the measure over some recordings, a fraction."""

    def lost(self, before: Array, after: Array, labels: Labels) -> float:
        """Return by how much the measure is worse after a removal, a fraction."""

    def apart(self, found: Array, kept: Array) -> float:
        """Return the largest difference between answers that two computers should agree in."""


class _Classes:
    measure = "accuracy"
    signals: tuple[str, ...] = ("loss", "entropy")

    def answers(
        self, model: Classifier, features: Tensor, lengths: Tensor, targets: Tensor | None, texts: list[str]
    ) -> Array:
        return model(features, lengths).double().numpy()

    def scores(self, answers: Array, labels: Labels, ids: Names, signal: str) -> npt.NDArray[np.float64]:
        return signals(_outputs(answers, labels, ids))[signal]

    def shown(self, answers: Array, labels: Labels) -> float:
        return float((answers.argmax(axis=1) == labels).mean())

    def lost(self, before: Array, after: Array, labels: Labels) -> float:
        return self.shown(before, labels) - self.shown(after, labels)

    def apart(self, found: Array, kept: Array) -> float:
        return float(np.abs(found - kept).max())


class _Transcripts:
    measure = "WER"
    signals: tuple[str, ...] = ("loss",)

    def answers(
        self, model: Classifier, features: Tensor, lengths: Tensor, targets: Tensor | None, texts: list[str]
    ) -> Array:
        assert targets is not None, "recordings of a recognizer have transcripts"
        losses, said = cast(Recognizer, model).judge(features, lengths, targets)
        found = edits(texts, list(map(normalizer_of(NORMALIZER), said)), list(map(str, range(len(texts)))))
        return np.column_stack([losses.double().numpy(), found.word_edits, found.words]).astype(np.float64)

    def scores(self, answers: Array, labels: Labels, ids: Names, signal: str) -> npt.NDArray[np.float64]:
        return -answers[:, LOSS]

    def shown(self, answers: Array, labels: Labels) -> float:
        return float(answers[:, ERRORS].sum() / answers[:, WORDS].sum()) if len(answers) else float("nan")

    def lost(self, before: Array, after: Array, labels: Labels) -> float:
        return self.shown(after, labels) - self.shown(before, labels)

    def apart(self, found: Array, kept: Array) -> float:
        return float(np.abs(found - kept)[:, [LOSS, WORDS]].max())  # one step of decoding may round another way


KINDS: Mapping[str, Kind] = {CLASSES: _Classes(), TRANSCRIPTS: _Transcripts()}


def _outputs(logits: Array, labels: Labels, ids: Names) -> Outputs:
    columns: dict[str, Any] = {"utterance_id": ids, "part": ["forget"] * len(labels), "label": labels}
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(logits).reshape(-1)), logits.shape[1])
    return parse_outputs(pa.table({**columns, "true_label": labels, "logits": values}))
