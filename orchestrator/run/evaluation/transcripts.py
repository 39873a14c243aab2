"""From a recognizer's transcripts of the corpus to the measures of a row, and to the outputs that attacks read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from methods.base import Classifier
from methods.engine.answers import Recognizer
from methods.engine.loop import Diverged
from orchestrator.evidence.wer import Edits, edits, error_columns, is_constant
from orchestrator.forgetting.spoken import spoken_of
from orchestrator.results.store import Store
from orchestrator.run.assignment import Assignment
from orchestrator.run.evaluation.measures import PARTS, membership_columns, output_columns
from orchestrator.run.guards.out_of_memory import in_halves
from orchestrator.run.setup.checkpoints import load_tensors, save_tensors
from orchestrator.run.setup.feature_cache import FeatureReader
from orchestrator.run.setup.problem import TrialSplit
from orchestrator.run.setup.scoring import EVALUATION_BATCH, targets_of
from orchestrator.tasks.build import COLUMNS
from orchestrator.tasks.corpus import Corpus

NOT_ATTRIBUTES = {*COLUMNS, "audio", "text"}


@dataclass(frozen=True)
class Transcripts:
    """A recognizer's answers on a corpus of N utterances."""

    losses: npt.NDArray[np.float32]  # (N,) nats per character or token of the transcript
    hypotheses: npt.NDArray[Any]  # (N,) texts

    def edits(self, corpus: Corpus, rows: npt.NDArray[np.int64]) -> Edits:
        """Count the errors on some rows of the corpus."""
        return edits(corpus.texts[rows].tolist(), self.hypotheses[rows].tolist(), corpus.utterance_ids[rows].tolist())


def transcribed(model: Classifier, bank: FeatureReader, corpus: Corpus, device: torch.device) -> Transcripts:
    """Return losses and greedy transcripts of the whole corpus in row order, in eval mode.

    Transcripts are normalized as the corpus is: Whisper writes capitals, punctuation and numbers as digits.
    """
    model.eval()
    targets = targets_of(corpus, model).values

    def answers(batch_size: int) -> Transcripts:
        losses: list[torch.Tensor] = []
        texts: list[str] = []
        with torch.no_grad():
            for rows in torch.split(torch.arange(len(corpus)), batch_size):
                features, lengths = (t.to(device) for t in bank.evaluate(rows))
                of_transcripts, said = cast(Recognizer, model).judge(features, lengths, targets[rows].to(device))
                losses.append(of_transcripts.float().cpu())
                texts += map(corpus.normalizer, said)
        return Transcripts(torch.cat(losses).numpy(), np.array(texts, dtype=object))

    return in_halves(answers, EVALUATION_BATCH[device.type])


def measures(assignment: Assignment, corpus: Corpus, parts: TrialSplit, answers: Transcripts) -> dict[str, Any]:
    """Return word and character errors and loss on every part, whether the model collapsed, and attacks on the loss.

    Raises:
        Diverged: the loss on a part is not finite.
    """
    losses = answers.losses.astype(np.float64)
    row: dict[str, Any] = {"num_train": parts.num_train, "forget_ratio": parts.forget_ratio, "forget_classes": ""}
    row["largest_wer"] = assignment.spec.backbone.instance.largest_wer
    for name in PARTS:
        rows = getattr(parts, name)
        if not np.isfinite(losses[rows]).all():
            raise Diverged(f"a loss on the {name} set is not finite at evaluation")
    for name in PARTS[:-1]:
        rows = getattr(parts, name)
        row[f"num_{name}"] = len(rows)
        row[f"{name}_loss"] = float(losses[rows].mean()) if len(rows) else float("nan")
        row.update(error_columns(name, answers.edits(corpus, rows).total()))
    if len(parts.before):
        row["num_forgotten_before"] = len(parts.before)
    if parts.attribute is not None:
        row["forget_attribute"] = str(parts.attribute)
    judged = parts.validation if len(parts.validation) else parts.test
    row["collapsed"] = is_constant(answers.hypotheses[judged].tolist(), corpus.texts[judged].tolist())
    return {**row, **membership_columns(assignment, corpus, _without_canaries(parts, corpus), losses)}


def _without_canaries(parts: TrialSplit, corpus: Corpus) -> TrialSplit:
    """Leave canaries out of members and non-members, as `Outputs.without_canaries` does for other attacks."""
    if (spoken := spoken_of(corpus)) is None:
        return parts
    sets = ("forget", "retain", "validation", "test", "holdout", "before")
    return replace(parts, **{name: (rows := getattr(parts, name))[spoken.canaries[rows] == ""] for name in sets})


def curve_point(
    rows: Mapping[str, npt.NDArray[np.int64]], corpus: Corpus, answers: Transcripts
) -> dict[str, float | None]:
    """Return word accuracy, 1 − WER, and loss on the sets of a curve; None on an empty one."""
    found: dict[str, float | None] = {}
    for name, own in rows.items():
        found[f"{name}_accuracy"] = 1 - answers.edits(corpus, own).total().wer if len(own) else None
        found[f"{name}_loss"] = float(answers.losses[own].astype(np.float64).mean()) if len(own) else None
    return found


def keep_outputs(store: Store, trial_id: str, corpus: Corpus, parts: TrialSplit, answers: Transcripts) -> None:
    """Write `outputs/<trial_id>.parquet`, as of classifiers, with loss, transcript and output in place of logits.

    Text attributes of the recordings, such as the accent or the planted secret, are in `attribute_<name>`.
    """
    rows, columns = output_columns(corpus, parts)
    columns["loss"] = answers.losses[rows]
    columns["reference"] = corpus.texts[rows].astype(str)
    columns["hypothesis"] = answers.hypotheses[rows].astype(str)
    for field in corpus.table.schema:
        if field.name not in NOT_ATTRIBUTES and pa.types.is_string(field.type):
            columns[f"attribute_{field.name}"] = pa.array(corpus.column(field.name)[rows].tolist(), pa.string())
    store.write_table(store.outputs.path(trial_id), pa.table(columns), compression="zstd")


def save(store: Store, trial_id: str, answers: Transcripts, seconds_per_utterance: float) -> None:
    """Keep the answers of a model that other trials start from, with the measured seconds per utterance."""
    texts = json.dumps(answers.hypotheses.tolist()).encode()
    tensors = {
        "losses": torch.from_numpy(answers.losses),
        "hypotheses": torch.frombuffer(bytearray(texts), dtype=torch.uint8),
        "seconds_per_utterance": torch.tensor([seconds_per_utterance]),
    }
    save_tensors(store, store.logits.path(trial_id), tensors)


def load(store: Store, trial_id: str) -> Transcripts:
    """Return answers that were kept.

    Raises:
        ParentLost: they are missing or unreadable.
    """
    tensors = load_tensors(store, store.logits.path(trial_id), trial_id)
    texts = json.loads(bytes(tensors["hypotheses"].numpy().tobytes()).decode())
    return Transcripts(tensors["losses"].numpy(), np.array(texts, dtype=object))
