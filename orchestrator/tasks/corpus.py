"""An open corpus: an Arrow data set on disk, memory-mapped by every process that reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.normalizers import normalizer_of

FULL_SCALE = 2.0**15
SILENCE_DB = -100.0
OWN = ("audio", "utterance_id", "label", "true_label", "speaker", "split")  # columns that every corpus has


@dataclass(frozen=True)
class Corpus:
    """An open corpus. Arrays are in row order; a row's number is the key of its utterance everywhere."""

    path: Path

    @cached_property
    def info(self) -> dict[str, Any]:
        """`corpus.json`: fingerprint, classes, kind, counts, skipped recordings, notes, groups of identical audio.

        Of a corpus with transcripts also `target` ("transcripts"), `normalizer` and, where its task plants them,
        `canaries` and `entities`.
        """
        info: dict[str, Any] = json.loads((self.path / "corpus.json").read_text())
        return info

    @property
    def fingerprint(self) -> str:
        """The name of what this corpus was made from."""
        return str(self.info["fingerprint"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a label is an index into them."""
        return tuple(self.info["classes"])

    @cached_property
    def table(self) -> Any:
        """The memory-mapped `pyarrow.Table`: audio, utterance_id, label, true_label, speaker, split, attributes."""
        from datasets import load_from_disk

        return load_from_disk(str(self.path / "arrow")).data.table

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column without audio, as NumPy."""
        return np.asarray(self.table.column(name).to_numpy())

    @cached_property
    def attributes(self) -> Mapping[str, npt.NDArray[Any]]:
        """The other columns by name, (N,) each, such as accent and noise; read when they are used."""
        return _Attributes(self)

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) labels as given to training."""
        return self.column("label").astype(np.int64)

    @cached_property
    def true_labels(self) -> npt.NDArray[np.int64]:
        """(N,) labels before label noise."""
        return self.column("true_label").astype(np.int64)

    @cached_property
    def utterance_ids(self) -> npt.NDArray[Any]:
        """(N,) strings."""
        return self.column("utterance_id")

    @cached_property
    def speakers(self) -> npt.NDArray[Any]:
        """(N,) strings."""
        return self.column("speaker")

    @cached_property
    def splits(self) -> npt.NDArray[Any]:
        """(N,) strings out of `SPLITS`."""
        return self.column("split")

    @cached_property
    def texts(self) -> npt.NDArray[Any]:
        """(N,) normalized transcripts.

        Raises:
            ValueError: the corpus has classes instead.
        """
        if self.info.get("target") != "transcripts":
            raise ValueError(
                f"{self.path.name} has no transcripts: its recordings are labeled with {self.info['kind']}; use a task "
                "with transcripts, such as espeak_sentences"
            )
        return self.column("text")

    @property
    def normalizer(self) -> Callable[[str], str]:
        """The normalizer of the transcripts, which what a recognizer writes needs too."""
        return normalizer_of(str(self.info["normalizer"]))

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Rows of a split, ascending."""
        return np.flatnonzero(self.splits == split)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def num_samples(self) -> npt.NDArray[np.int64]:
        """(N,) length of each utterance in samples."""
        import pyarrow.compute as pc

        return np.asarray(pc.list_value_length(self.table.column("audio")).to_numpy()).astype(np.int64)

    def audio(self, row: int) -> npt.NDArray[np.int16]:
        """(samples,) of one utterance, a view of the mapped file."""
        values: npt.NDArray[np.int16] = self.table.column("audio")[row].values.to_numpy(zero_copy_only=True)
        return values

    def levels_db(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """(rows,) root mean square of utterances in dB of full scale, `SILENCE_DB` at least; read once a process."""
        known = self._levels_db
        for row in rows[np.isnan(known[rows])]:
            audio = self.audio(int(row)).astype(np.float64) / FULL_SCALE
            power = float(np.mean(audio**2)) if len(audio) else 0.0
            known[row] = max(SILENCE_DB, 10 * np.log10(power)) if power > 0 else SILENCE_DB
        return known[rows]

    @cached_property
    def _levels_db(self) -> npt.NDArray[np.float32]:
        return np.full(len(self), np.nan, dtype=np.float32)


class _Attributes(Mapping[str, npt.NDArray[Any]]):
    """The columns of a corpus that are its own, each read once."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.known = corpus, dict[str, npt.NDArray[Any]]()

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in set(self):
            raise KeyError(name)
        if name not in self.known:
            self.known[name] = self.corpus.column(name)
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.corpus.table.column_names if name not in OWN)

    def __len__(self) -> int:
        return len(list(iter(self)))
