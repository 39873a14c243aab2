"""Stored embeddings are read as they were written, to half precision."""

from __future__ import annotations

import numpy as np

from orchestrator.evidence.embeddings import LARGEST, Embeddings, embeddings_table, parse_embeddings


def made() -> Embeddings:
    rng = np.random.default_rng(0)
    return Embeddings(
        utterance_ids=np.array(["b", "a", "c"]),
        parts=np.array(["forget", "retain", "test"]),
        speakers=np.array(["s1", "s2", "s1"]),
        speaker_roles=np.array(["forgotten", "kept", "forgotten"]),
        labels=np.array([2, 0, 1]),
        true_labels=np.array([2, 2, 1]),
        vectors=rng.normal(size=(3, 5)).astype(np.float32),
    )


def test_what_was_stored_is_read_in_the_same_order() -> None:
    written, read = made(), parse_embeddings(embeddings_table(made()))
    assert np.abs(read.vectors - written.vectors).max() < 2e-3
    for name in ("utterance_ids", "parts", "speakers", "speaker_roles", "labels", "true_labels"):
        assert getattr(read, name).tolist() == getattr(written, name).tolist()
    assert read.part("test", "forget").speakers.tolist() == ["s1", "s1"]
    assert read.at(np.array(["c", "b"])).labels.tolist() == [1, 2]


def test_values_beyond_half_precision_stay_finite() -> None:
    huge = made()
    huge.vectors[0, 0] = 1e9
    assert parse_embeddings(embeddings_table(huge)).vectors[0, 0] == LARGEST
