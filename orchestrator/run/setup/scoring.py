"""What the utterances of a corpus should be answered with, and the scores of a model's answers on a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from methods.base import Classifier, Scores, UtteranceSet
from methods.engine.answers import CLASSES, TRANSCRIPTS, Recognizer, target_of
from methods.engine.losses import label_loss
from orchestrator.evidence.wer import edits
from orchestrator.run.guards.out_of_memory import in_halves
from orchestrator.tasks.corpus import Corpus

EVALUATION_BATCH = {"cpu": 32, "cuda": 256}  # on a CPU, activations of more would be the peak of the trial's memory


@dataclass(frozen=True)
class Targets:
    """The targets of a corpus of N utterances for one kind of model."""

    values: Tensor  # (N,) labels, or (N, L) tokens of transcripts
    num_outputs: int  # C, or the outputs of a recognizer's step
    score: Callable[[Classifier, UtteranceSet], Scores]

    def of(self, rows: Any) -> Tensor:
        """Return the targets of some rows of the corpus."""
        return self.values[torch.from_numpy(rows)]


def targets_of(corpus: Corpus, model: Classifier) -> Targets:
    """Return the targets of a corpus for a model.

    Raises:
        ValueError: the corpus has none of the model's kind, or a transcript that the model has no tokens for.
    """
    return _TARGETS[target_of(model)](corpus, model)


def _labels(corpus: Corpus, model: Classifier) -> Targets:
    return Targets(torch.from_numpy(corpus.labels), len(corpus.classes), score)


def _transcripts(corpus: Corpus, model: Classifier) -> Targets:
    texts = [str(text) for text in corpus.texts]
    head = cast(Any, model).head
    return Targets(cast(Recognizer, model).tokens(texts), head.weight.shape[0], WordScore(texts, corpus.normalizer))


_TARGETS: Mapping[str, Callable[[Corpus, Classifier], Targets]] = {CLASSES: _labels, TRANSCRIPTS: _transcripts}


def score(model: Classifier, utterances: UtteranceSet) -> Scores:
    """Return accuracy and mean cross-entropy in eval mode; the model's mode is restored."""
    if not len(utterances):
        return Scores(accuracy=float("nan"), loss=float("nan"))
    was_training = getattr(model, "training", False)
    model.eval()

    def sums(batch_size: int) -> tuple[float, float]:
        correct, loss = torch.zeros(2, dtype=torch.float64, device=utterances.device)
        with torch.no_grad():
            for batch in utterances.batches(batch_size):
                logits = model(batch.features, batch.lengths)
                correct = correct + (logits.argmax(dim=-1) == batch.labels).sum()
                loss = loss + label_loss(logits, batch.labels).sum()
        return float(correct), float(loss)

    correct, loss = in_halves(sums, EVALUATION_BATCH[utterances.device.type])
    model.train(was_training)
    return Scores(accuracy=correct / len(utterances), loss=loss / len(utterances))


@dataclass(frozen=True)
class WordScore:
    """Word accuracy, 1 − WER, and mean loss of a recognizer on a set, in eval mode; the model's mode is restored."""

    texts: Sequence[str]  # (N,) transcripts of the corpus
    normalizer: Callable[[str], str]  # theirs

    def __call__(self, model: Classifier, utterances: UtteranceSet) -> Scores:
        """Return the scores; NaN of an empty set."""
        if not len(utterances):
            return Scores(accuracy=float("nan"), loss=float("nan"))
        was_training = getattr(model, "training", False)
        model.eval()

        def found(batch_size: int) -> tuple[float, list[str], list[str]]:
            loss, said, wanted = 0.0, list[str](), list[str]()
            with torch.no_grad():
                for batch in utterances.batches(batch_size):
                    losses, texts = cast(Recognizer, model).judge(batch.features, batch.lengths, batch.labels)
                    loss += float(losses.double().sum())
                    said += map(self.normalizer, texts)
                    wanted += [self.texts[row] for row in batch.utterances.tolist()]
            return loss, said, wanted

        loss, said, wanted = in_halves(found, EVALUATION_BATCH[utterances.device.type])
        model.train(was_training)
        errors = edits(wanted, said, list(map(str, range(len(said))))).total()
        return Scores(accuracy=1 - errors.wer, loss=loss / len(utterances))
