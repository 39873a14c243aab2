"""Stored embeddings of one trial: what its model's head reads of each utterance, in half precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Vectors of n utterances, with the part, speaker and class of each."""

    utterance_ids: np.ndarray[Any, Any]  # (n,) text
    parts: np.ndarray[Any, Any]  # (n,) forget, retain, validation, test, holdout, forgotten_before
    speakers: np.ndarray[Any, Any]  # (n,) text
    speaker_roles: np.ndarray[Any, Any]  # (n,) text, of `speaker_roles`
    labels: Int[np.ndarray, " n"]
    true_labels: Int[np.ndarray, " n"]  # before label noise
    vectors: Float[np.ndarray, "n width"]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, keep: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> Embeddings:
        """Select the utterances at these places, in this order."""
        return replace(self, **{name: values[keep] for name, values in vars(self).items()})

    def part(self, *names: str) -> Embeddings:
        """Select the utterances of these parts."""
        return self.where(np.isin(self.parts, names))

    def at(self, utterance_ids: np.ndarray[Any, Any]) -> Embeddings:
        """Select the utterances with these ids, in this order; every id must exist."""
        place = {name: number for number, name in enumerate(self.utterance_ids)}
        return self.where(np.array([place[name] for name in utterance_ids], dtype=np.int64))


def embeddings_table(found: Embeddings) -> pa.Table:
    """Return the table of `embeddings/<trial_id>.parquet`; values beyond half precision become its largest."""
    small = np.clip(found.vectors, -LARGEST, LARGEST).astype(np.float16)
    return pa.table(
        {
            "utterance_id": found.utterance_ids,
            "part": found.parts,
            "speaker": found.speakers,
            "speaker_role": found.speaker_roles,
            "label": found.labels,
            "true_label": found.true_labels,
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(small.reshape(-1)), small.shape[1]),
        }
    )


def parse_embeddings(table: pa.Table) -> Embeddings:
    """Read embeddings from the table in `embeddings/<trial_id>.parquet`."""
    names = ("utterance_id", "part", "speaker", "speaker_role")
    texts = {name: table[name].to_numpy(zero_copy_only=False).astype(str) for name in names}
    values = table["embedding"].combine_chunks().values.to_numpy(zero_copy_only=False)
    return Embeddings(
        utterance_ids=texts["utterance_id"],
        parts=texts["part"],
        speakers=texts["speaker"],
        speaker_roles=texts["speaker_role"],
        labels=table["label"].to_numpy().astype(np.int64),
        true_labels=table["true_label"].to_numpy().astype(np.int64),
        vectors=values.reshape(len(table), -1).astype(np.float32),
    )


def class_profiles(found: Embeddings) -> Float[np.ndarray, "n classes"]:
    """Return, for D_f, cosines of each embedding with the mean embedding of each class of D_r's utterances.

    Two models' vectors share no coordinates, even where both learned the same; their cosines with the same classes can
    be compared. Zero vectors have cosine 0.
    """
    retain, forget = found.part("retain"), found.part("forget").vectors.astype(np.float64)
    classes = np.unique(retain.labels)
    means = [retain.vectors[retain.labels == label].mean(axis=0, dtype=np.float64) for label in classes]
    centers = np.stack(means) if means else np.empty((0, forget.shape[1]))
    norms = np.linalg.norm(forget, axis=1)[:, None] * np.linalg.norm(centers, axis=1)[None]
    profiles: Float[np.ndarray, "n classes"] = forget @ centers.T / np.maximum(norms, 1e-12)
    return profiles
