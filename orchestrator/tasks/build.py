"""Build and open corpora: recordings in, an Arrow data set with holdout and label noise out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from orchestrator.digests import damaged_files, seal, set_folder_aside
from orchestrator.errors import RecordingsNotice
from orchestrator.tasks.base import NO_CLASSES, SAMPLE_RATE_HZ, SPLITS, Source, Task, Utterance, plain_id
from orchestrator.tasks.corpus import Corpus
from orchestrator.tasks.normalizers import normalized
from orchestrator.tasks.poison import POISONED, Poison, poison_corpus

COLUMNS = {"utterance_id": "string", "label": "int32", "true_label": "int32", "speaker": "string", "split": "string"}
ROWS_PER_BATCH = 500
LARGEST_WHOLE = 2**53  # as a float; larger ones, such as ids, are kept as text
SHOWN = 3  # groups of identical audio in a warning


def open_corpus(
    task: Task,
    cache_dir: Path,
    obtain: Callable[[Path, Callable[[], None]], None] = lambda path, build: build(),
    fingerprint: str | None = None,
) -> Corpus:
    """Open the task's corpus, building it first if need be; safe when many processes ask at once.

    A torn build is never visible: the folder appears by one rename, after everything in it was written. A corpus
    whose files differ from their digests is set aside with a warning, and built again.

    Args:
        task: the recipe.
        cache_dir: corpora are in `corpora/` there.
        obtain: called with the folder and what builds it; may fetch the folder from elsewhere instead.
        fingerprint: that of the planned corpus; the task's own when None.

    Raises:
        RecordingsChangedError: the corpus has to be built, and its files are not those of the fingerprint.
    """
    named = fingerprint or task.fingerprint()
    path = cache_dir / "corpora" / f"{type(task).__name__.lower()}-{named}"
    if not path.exists() or damaged_files(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.exists() and (damaged := damaged_files(path)):
                set_folder_aside(path, damaged)
            if not path.exists():
                obtain(path, lambda: _build(task, path, named))
    return Corpus(path)


def _build(task: Task, path: Path, fingerprint: str) -> None:
    task.require_unchanged(fingerprint)
    for torn in path.parent.glob(f".{path.name}-*"):  # left by builders that were killed; the lock is ours
        shutil.rmtree(torn, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        write_corpus(task, scratch)
        replace(task).require_unchanged(fingerprint)  # a new object looks at the files again
        seal(scratch)
        os.replace(scratch, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_corpus(task: Task, path: Path) -> None:
    """Write `path/arrow` and `path/corpus.json`; warn of identical audio under several ids, and of what `Source` notes.

    Raises:
        ValueError: a label that is not a class, a duplicate id, a split outside the four, an attribute with the name of
            a column, fewer than two classes, a transcript of which its normalizer leaves nothing, or an empty train or
            test split.
    """
    source = task.read()
    normalizer = task.text_normalizer
    with_text = {"target": task.kind, "normalizer": normalizer} if normalizer else {}
    if len(source.classes) < 2 and source.classes != NO_CLASSES:
        raise ValueError(f"too few classes: got {', '.join(source.classes) or 'none'}, allowed: two or more")
    spool = path / "audio.raw"  # audio goes straight to disk; a corpus may be larger than memory
    columns, lengths, identical = _spooled(source, spool, normalizer)
    true_labels = np.array(columns["true_label"], dtype=np.int64)
    kept = np.isin([plain_id(name) for name in columns["utterance_id"]], task.keep_in_train)
    splits = with_holdout(np.array(columns["split"]), true_labels, task.holdout_share, keep=kept)
    for split in ("train", "test"):
        if not np.any(splits == split):
            raise ValueError(f"{type(task).__name__}: the {split} split is empty; {len(lengths)} utterances were read")
    columns["split"] = splits.tolist()
    columns["label"] = with_label_noise(true_labels, splits, len(source.classes), task.label_noise).tolist()
    if task.poison:
        poison_corpus(Poison.of(task.poison), source.classes, columns, lengths, spool, SAMPLE_RATE_HZ)
        identical = _still_identical(identical, dict(zip(columns["utterance_id"], columns[POISONED], strict=True)))
    audio = np.memmap(spool, dtype="<i2", mode="r")
    _write_arrow(columns, audio, lengths, path / "arrow", task.fingerprint())
    spool.unlink()
    info = {
        "fingerprint": task.fingerprint(), "task": type(task).__name__, "kind": task.kind,
        "classes": list(source.classes), "settings": task.settings(), "content": dict(task.content()),
        "skipped": source.skipped, "notes": source.notes, "duplicates": identical,
        "counts": {split: int(np.sum(splits == split)) for split in SPLITS}, **with_text, **source.about,
    }  # fmt: skip
    (path / "corpus.json").write_text(json.dumps(info, indent=1, default=str))
    for note in [*source.notes, *([_of_identical(identical, columns)] if identical else [])]:
        warnings.warn(f"{type(task).label}: {note}", RecordingsNotice, stacklevel=2)


def _still_identical(groups: list[list[str]], poisoned: Mapping[str, str]) -> list[list[str]]:
    """Split groups of ids with identical audio: the trigger keeps those identical that all have it, or all lack it."""
    split = ([name for name in names if poisoned[name] == has] for names in groups for has in ("no", "yes"))
    return [names for names in split if len(names) > 1]


def _of_identical(groups: list[list[str]], columns: Mapping[str, list[Any]]) -> str:
    """The warning about groups of ids with the same audio, which may differ in split and class."""
    row_of = {name: row for row, name in enumerate(columns["utterance_id"])}

    def differ(column: str) -> int:
        return sum(len({columns[column][row_of[name]] for name in group}) > 1 for group in groups)

    shown = "; ".join(" = ".join(group[:SHOWN]) + (" = …" if len(group) > SHOWN else "") for group in groups[:SHOWN])
    return (
        f"{sum(map(len, groups))} recordings have the same audio as another (groups: {len(groups)}; in several splits: "
        f"{differ('split')}; in several classes: {differ('true_label')}): {shown}"
        f"{'; …' if len(groups) > SHOWN else ''}; corpus.json lists all under `duplicates`"
    )


def _spooled(
    source: Source, spool: Path, normalizer: str | None
) -> tuple[dict[str, list[Any]], list[int], list[list[str]]]:
    """Columns, lengths in samples, and the ids of each group of utterances with identical audio.

    With a normalizer, `text` is the normalized transcript, and no attribute.
    """
    columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, *(["text"] if normalizer else []))}
    lengths: list[int] = []
    ids_of: dict[bytes, list[str]] = {}
    with spool.open("wb") as out:
        for utterance, label in _checked(source, reserved={*columns, "audio"}):
            row = {
                **dict.fromkeys(columns), **utterance.attributes, "utterance_id": utterance.utterance_id,
                "true_label": label, "speaker": utterance.speaker, "split": utterance.split,
            }  # fmt: skip
            if normalizer:
                row["text"] = normalized(normalizer, utterance.transcript or "", utterance.utterance_id)
            for name, value in row.items():
                columns.setdefault(name, [None] * len(lengths)).append(value)
            lengths.append(len(utterance.audio))
            samples = np.ascontiguousarray(utterance.audio, dtype="<i2").tobytes()
            ids_of.setdefault(hashlib.sha256(samples).digest(), []).append(utterance.utterance_id)
            out.write(samples)
    return columns, lengths, [group for group in ids_of.values() if len(group) > 1]


def _write_arrow(
    columns: dict[str, list[Any]], audio: npt.NDArray[np.int16], lengths: list[int], path: Path, fingerprint: str
) -> None:
    import pyarrow as pa
    from datasets import Dataset, disable_progress_bars, enable_progress_bars
    from datasets.table import InMemoryTable

    ends = np.concatenate([[0], np.cumsum(lengths)])
    pieces = []
    for first in range(0, len(lengths), ROWS_PER_BATCH):  # a list array counts its samples in 32 bits
        edges = ends[first : first + ROWS_PER_BATCH + 1]
        offsets = pa.array((edges - edges[0]).astype(np.int32))
        pieces.append(pa.ListArray.from_arrays(offsets, pa.array(audio[edges[0] : edges[-1]])))
    arrays = {name: pa.array(*_typed(name, values)) for name, values in columns.items()}
    table = pa.table({**arrays, "audio": pa.chunked_array(pieces)})
    disable_progress_bars()
    try:
        # With a fingerprint of its own, or `datasets` would hash all of the audio to make one.
        Dataset(InMemoryTable(table), fingerprint=fingerprint).save_to_disk(str(path))
    finally:
        enable_progress_bars()


def _typed(name: str, values: list[Any]) -> tuple[list[Any], str]:
    if name in COLUMNS:
        return values, COLUMNS[name]
    if any(isinstance(value, str) or (isinstance(value, int) and abs(value) > LARGEST_WHOLE) for value in values):
        return [None if value is None else str(value) for value in values], "string"
    return values, "float64"


def _checked(source: Source, reserved: set[str]) -> Iterator[tuple[Utterance, int]]:
    columns = ", ".join(sorted(reserved))
    index = {name: number for number, name in enumerate(source.classes)}
    seen: set[str] = set()
    for utterance in source.utterances:
        if utterance.label not in index:
            raise ValueError(
                f"unknown label of {utterance.utterance_id}: got {utterance.label!r}, "
                f"allowed: {', '.join(source.classes)}"
            )
        if utterance.split not in SPLITS:
            raise ValueError(
                f"unknown split of {utterance.utterance_id}: got {utterance.split!r}, allowed: {', '.join(SPLITS)}"
            )
        if utterance.utterance_id in seen:
            raise ValueError(f"utterance id given twice: {utterance.utterance_id}")
        if taken := reserved & set(utterance.attributes):
            raise ValueError(
                f"attributes of {utterance.utterance_id} named like columns: got {', '.join(sorted(taken))}, "
                f"allowed: any name but {columns}"
            )
        seen.add(utterance.utterance_id)
        yield utterance, index[utterance.label]


def with_holdout(
    splits: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    share: float,
    seed: int = 0,
    keep: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[Any]:
    """(N,) splits, in which `share` of each class's train moved to holdout, unless there is a holdout already.

    Utterances of the mask `keep` (N,) stay; others take their place, in the same order.
    """
    if not 0 <= share < 1:
        raise ValueError(f"holdout_share must lie in [0, 1), got {share}")
    splits = splits.astype(object)
    if share == 0 or np.any(splits == "holdout"):
        return splits
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero((splits == "train") & (labels == label)))
        free = rows if keep is None else rows[~keep[rows]]
        splits[free[: round(share * len(rows))]] = "holdout"
    return splits


def with_label_noise(
    true_labels: npt.NDArray[Any], splits: npt.NDArray[Any], num_classes: int, noise: Mapping[str, float] | None
) -> npt.NDArray[np.int64]:
    """(N,) labels, of which a share in train and holdout is wrong; never the true one, uniform over the others.

    Validation and test keep their true labels: selection and utility are judged on clean data. Holdout is corrupted
    like train, so that attacks compare mislabeled members with mislabeled non-members.
    """
    labels = true_labels.astype(np.int64).copy()
    if not noise:
        return labels
    share = float(noise["share"])
    rng = np.random.default_rng(int(noise.get("seed", 0)))
    for split in ("train", "holdout"):
        rows = rng.permutation(np.flatnonzero(splits == split))
        wrong = rows[: round(share * len(rows))]
        labels[wrong] = (labels[wrong] + rng.integers(1, num_classes, size=len(wrong))) % num_classes
    return labels
