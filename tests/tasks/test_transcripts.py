"""Tasks with transcripts: the corpus keeps them normalized in a column of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tasks.toy_builder import ToyTask

from orchestrator.tasks.base import NO_CLASSES, CorpusSize, Source, Utterance
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.transcripts import TranscriptTask

SPLITS = ("train", "train", "train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Told(TranscriptTask):
    label: ClassVar[str] = "Told"
    version: ClassVar[int] = 1

    texts: tuple[str, ...] = ("One.", "Two!", "It's 3", "four", "five")
    attributes: tuple[tuple[str, str], ...] = ()
    holdout_share: float = 0.34

    def content(self) -> Mapping[str, Any]:
        return {}

    def expected_size(self) -> CorpusSize:
        return CorpusSize(len(self.texts), 0.1, 1)

    def read(self) -> Source:
        def utterances() -> Iterator[Utterance]:
            for number, (text, split) in enumerate(zip(self.texts, SPLITS, strict=True)):
                audio = np.full(100, number, dtype=np.int16)
                yield Utterance(f"u{number}", audio, "", "ann", split, dict(self.attributes), text)

        return Source(NO_CLASSES, utterances(), about={"entities": ["three"]})


def test_texts_are_normalized_and_every_label_is_zero(tmp_path: Path) -> None:
    corpus = open_corpus(Told(), tmp_path)
    assert corpus.texts.tolist() == ["one", "two", "it's three", "four", "five"]
    assert corpus.info["kind"] == corpus.info["target"] == "transcripts"
    assert (corpus.info["normalizer"], corpus.info["entities"]) == ("english-1", ["three"])
    assert corpus.classes == NO_CLASSES
    assert set(corpus.labels) == set(corpus.true_labels) == {0}
    assert set(corpus.splits) == {"train", "validation", "test", "holdout"}


def test_an_empty_transcript_stops_the_build_and_names_the_recording(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"empty transcript: got '\.\.\.' for u1"):
        open_corpus(Told(texts=("a", "...", "b", "c", "d")), tmp_path)
    assert not list((tmp_path / "corpora").glob("told-*[!k]"))


def test_an_attribute_cannot_take_the_place_of_the_transcript(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="attributes of u0 named like columns: got text"):
        open_corpus(Told(attributes=(("text", "x"),)), tmp_path)


def test_wrong_labels_and_unknown_normalizers_are_refused() -> None:
    with pytest.raises(ValueError, match="label_noise exchanges classes, and transcripts have none"):
        Told(label_noise={"share": 0.1})
    with pytest.raises(ValueError, match="poison exchanges classes, and transcripts have none"):
        Told(poison={"share": 0.1, "target": "yes"})
    with pytest.raises(ValueError, match="unknown normalizer: got 'german-1'"):
        Told(normalizer="german-1")


def test_a_corpus_of_classes_has_no_texts(tmp_path: Path) -> None:
    corpus = open_corpus(ToyTask(folder=tmp_path), tmp_path)
    assert not {"target", "normalizer"} & set(corpus.info)
    with pytest.raises(ValueError, match="has no transcripts: its recordings are labeled with keywords"):
        _ = corpus.texts
