"""Recordings that two corpora have in common, whatever their ids are."""

from __future__ import annotations

import hashlib

from orchestrator.tasks.corpus import Corpus


def shared_recordings(first: Corpus, second: Corpus) -> list[tuple[str, str]]:
    """Return the ids, in the first and in the second corpus, of utterances with identical samples."""
    known = _ids_by_audio(second)
    return [(name, known[digest]) for digest, name in _ids_by_audio(first).items() if digest in known]


def _ids_by_audio(corpus: Corpus) -> dict[bytes, str]:
    """Return an utterance id for each SHA-256 of samples."""
    found: dict[bytes, str] = {}
    for row, name in enumerate(corpus.utterance_ids.tolist()):
        found.setdefault(hashlib.sha256(corpus.audio(row).tobytes()).digest(), str(name))
    return found
