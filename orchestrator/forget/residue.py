"""What holds forgotten recordings outside the weights: caches, logits, outputs and models of this project.

A scan lists it; `purge` removes what the operator may remove. Input data are never touched, nor what belongs to another
user or is in use by another process, nor a cache that machines share.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from orchestrator.digests import default_cache_dir
from orchestrator.forget.lineage import OUTPUTS
from orchestrator.forget.recordings import Recordings
from orchestrator.forget.same_recordings import BY_HAND, doubt_about
from orchestrator.forget.scratch import is_marked, marked_folders, remove_unused
from orchestrator.results.store import open_store
from orchestrator.run.scheduling.driver_lease import sole_driver
from orchestrator.run.setup.feature_cache import OF_CORPUS
from orchestrator.run.setup.scratch import OLD_SECONDS, is_old
from orchestrator.tasks.corpus import Corpus

OF_TRIALS = {
    "models": ".safetensors", "prepared": ".safetensors", "logits": ".safetensors", "checkpoints": ".safetensors",
    "outputs": ".parquet", "embeddings": ".parquet", "evidence": ".parquet", "unlearned": "",
}  # fmt: skip
"""Folders of a results folder with what trials leave of recordings, and the ends of the names there."""

Lengths = npt.NDArray[np.int64]

OF_REQUEST = "`unlearn verify` and later requests need them; `unlearn gc` deletes them"
IN_USE = f"it changed in the last {OLD_SECONDS / 60:.0f} minutes: a trial may be using it"


@dataclass(frozen=True)
class Residue:
    """A file or folder that holds forgotten recordings, or what a model made of them."""

    path: Path
    what: str
    kept_because: str = ""  # why `purge` leaves it; empty if it may be removed


@dataclass(frozen=True)
class Sought:
    """What is looked for beyond the rows of a manifest: keyed digests of audio, and keyed ids, of a served request."""

    keyed: Callable[[str, str], str] = lambda kind, name: f"{kind}-{name}"  # as `Pseudonyms.of`
    audio: Collection[str] | None = None  # of all recordings, deleted ones too; None: decode the files that are there
    ids: Collection[str] = field(default_factory=frozenset)  # of recordings that the manifest may not list any more


def scan(
    recordings: Recordings,
    rows: npt.NDArray[np.int64],
    results: Sequence[Path],
    outputs: Path,
    cache: Path | None = None,
    skip: Sequence[Path] = (),
    sought: Sought = Sought(),
) -> list[Residue]:
    """List what holds the recordings of a request or their outputs; nothing is changed.

    Args:
        recordings: the manifest; files of it may be deleted already.
        rows: what the request named, with duplicates; recordings kept from training too, as they are the same person's.
        results: results folders of sweeps.
        outputs: the folder with outputs of `unlearn forget`, and scratch folders that interrupted runs may have left.
        cache: of corpora and features; the default cache if None.
        skip: folders that are in use by this process.
        sought: what a report kept of the request.

    Raises:
        ValueError: a results folder does not exist.
    """
    missing = [str(folder) for folder in results if not folder.is_dir()]
    if missing:
        raise ValueError(f"There is no results folder {missing[0]}. Name folders that exist with --scan")
    if sought.audio is None:
        there = rows[[recordings.paths[row].is_file() for row in rows]]
        sought = replace(sought, audio={sought.keyed("audio", str(one)) for one in recordings.at(there).digests})
    names = _names(recordings, rows)
    known = {name: int(recordings.labels[row]) for row in range(len(recordings)) for name in _names(recordings, [row])}
    held: dict[str, Lengths | None] = {}  # by fingerprint of a corpus that holds recordings; None if it is deleted
    found, caches = list[Residue](), [cache or default_cache_dir(), *(result / "cache" for result in results)]
    for folder in caches:
        found += _corpora(folder, sought, held)
    for folder in results:
        found += _in_results(folder, names, known, sought, held)
    for folder in caches:
        found += _features(folder, held)
        found += [
            Residue(file, "scratch file of a trial, which may hold outputs", "" if _is_old(file) else IN_USE)
            for file in sorted((folder / "scratch").glob("*"))
        ]
    what = "scratch folder of an interrupted `unlearn forget`"
    found += [Residue(folder, what) for folder in marked_folders(outputs) if folder not in skip]
    pseudonyms = {sought.keyed("recording", str(name)) for name in recordings.ids[rows]} | set(sought.ids)
    found += _of_requests(outputs, pseudonyms)
    return [_guarded(residue, recordings) for residue in found]


def purge(found: Sequence[Residue]) -> list[Residue]:
    """Remove what may be removed; return what was left, with the reason."""
    left, of_results = list[Residue](), dict[Path, list[Residue]]()
    for residue in found:
        if residue.kept_because:
            left.append(residue)
            continue
        root = residue.path.parents[1]
        if residue.path.parent.name in OF_TRIALS and (root / "rows").is_dir():
            of_results.setdefault(root, []).append(residue)
            continue
        lock = FileLock(f"{residue.path}.lock", timeout=0)
        in_cache = residue.path.parent.name in ("corpora", "features")
        try:
            if is_marked(residue.path):
                if not remove_unused(residue.path):
                    left.append(replace(residue, kept_because="another process is using it"))
            elif residue.path.parent.name == "scratch" and not _is_old(residue.path):
                left.append(replace(residue, kept_because=IN_USE))
            elif in_cache:
                with lock:
                    _remove(residue.path)
            else:
                _remove(residue.path)
        except Timeout:
            left.append(Residue(residue.path, residue.what, "another process is using it"))
        except OSError as error:
            left.append(Residue(residue.path, residue.what, f"it cannot be removed ({error.strerror})"))
    for root, inside in of_results.items():
        try:
            with sole_driver(open_store(root).files):
                for residue in inside:
                    _remove(residue.path)
        except ValueError:
            left += [Residue(r.path, r.what, "a launch is using that results folder") for r in inside]
        except OSError as error:
            reason = f"it cannot be removed ({error.strerror})"
            left += [Residue(r.path, r.what, reason) for r in inside if r.path.exists()]
    return left


def as_rows(left: Sequence[Residue], removed: Sequence[Residue] = ()) -> list[dict[str, Any]]:
    """Return residue as rows of a report."""
    return [
        {"path": str(r.path), "what": r.what, "kept_because": r.kept_because, "removed": gone}
        for gone, part in ((False, left), (True, removed))
        for r in part
    ]


def _names(recordings: Recordings, rows: Sequence[int] | npt.NDArray[np.int64]) -> set[str]:
    """Names under which results may have these recordings: ids, and paths from several folders."""
    paths = [recordings.paths[row] for row in rows]
    relative = {os.path.relpath(path, recordings.manifest.parent) for path in paths}
    return {str(name) for name in recordings.ids[rows]} | {str(path) for path in paths} | relative


def _corpora(cache: Path, sought: Sought, held: dict[str, Lengths | None]) -> Iterator[Residue]:
    """Corpora that hold the audio, which are added to `held`, and those that cannot be read."""
    for folder in sorted((cache / "corpora").glob("*")):
        if not (folder / "corpus.json").is_file():
            continue
        try:
            corpus = Corpus(folder)
            digests = [hashlib.sha256(corpus.audio(row).tobytes()).hexdigest() for row in range(len(corpus))]
        except (OSError, ValueError, KeyError, pa.ArrowException):
            yield Residue(folder, "corpus", f"it cannot be read, so that it could not be searched: {BY_HAND}")
            continue
        count = sum(sought.keyed("audio", digest) in (sought.audio or ()) for digest in digests)
        if count:
            held[corpus.fingerprint] = corpus.num_samples
            yield Residue(folder, f"corpus with {count} of the recordings")


def _of_requests(outputs: Path, pseudonyms: set[str]) -> Iterator[Residue]:
    """Outputs on the recordings that other requests kept as their evidence; `purge` leaves them."""
    for file in sorted(outputs.glob(f"*/{OUTPUTS}")):
        with suppress(OSError, pa.ArrowException, KeyError):
            if not pseudonyms.isdisjoint(pq.read_table(file, columns=["recording"])["recording"].to_pylist()):
                yield Residue(file, "outputs on the recordings that a request kept", OF_REQUEST)


def _features(cache: Path, held: dict[str, Lengths | None]) -> Iterator[Residue]:
    """Features that name a corpus with the recordings; those of earlier versions, which name none, are kept."""
    for folder in sorted((cache / "features").glob("*")):
        with suppress(OSError, ValueError):
            if (folder / OF_CORPUS).is_file():
                if (folder / OF_CORPUS).read_text(encoding="utf-8") in held:
                    yield Residue(folder, "features of a corpus with the recordings")
                continue
            frames = np.load(folder / "lengths.npy")
            if any(samples is not None and _same_lengths(frames, samples) for samples in held.values()):
                doubt = f"only its lengths are those of a corpus with the recordings, and it names no corpus: {BY_HAND}"
                yield Residue(folder, "features", doubt)


def _same_lengths(frames: Lengths, samples: Lengths) -> bool:
    """Whether features can be those of recordings with these lengths: as many, and never shorter for a longer one."""
    if len(frames) != len(samples):
        return False
    order = np.argsort(samples, kind="stable")
    groups = [set(frames[samples == value].tolist()) for value in np.unique(samples)[:50]]
    return bool((np.diff(frames[order]) >= 0).all()) and all(len(group) == 1 for group in groups)


def _in_results(
    folder: Path, names: set[str], known: Mapping[str, int], sought: Sought, held: dict[str, Lengths | None]
) -> Iterator[Residue]:
    """Files of trials whose corpus holds the recordings, by the corpus of their row or the ids in their outputs.

    Ids are no proof, as audio is: outputs whose labels are not those of the manifest may be on other recordings, and
    `purge` leaves them.
    """
    trials: dict[str, str] = {}  # trial → corpus
    for file in sorted((folder / "rows").glob("*.parquet")):
        with suppress(OSError, pa.ArrowException, KeyError):
            row = pq.read_table(file, columns=["corpus_fingerprint"]).to_pylist()[0]
            trials[file.stem] = str(row["corpus_fingerprint"])
    for file in sorted(file for shelf in ("outputs", "embeddings") for file in (folder / shelf).glob("*.parquet")):
        try:
            table = pq.read_table(file, columns=["utterance_id", "true_label"])
            labels = dict(zip(table["utterance_id"].to_pylist(), table["true_label"].to_pylist(), strict=True))
        except (OSError, pa.ArrowException, KeyError):
            yield Residue(file, file.parent.name, f"they cannot be read, so that they could not be searched: {BY_HAND}")
            continue
        pruned = {i for i in labels if sought.ids and sought.keyed("recording", str(i)) in sought.ids}
        if (names.isdisjoint(labels) and not pruned) or trials.get(file.stem, "") in held:
            continue
        doubt = doubt_about(labels, known, pruned)
        if not doubt and file.stem in trials:
            held.setdefault(trials[file.stem], None)
        else:
            yield Residue(file, f"{file.parent.name} of recordings with these ids", doubt)
    for trial, corpus in trials.items():
        if corpus in held:
            for shelf, end in OF_TRIALS.items():
                for path in sorted((folder / shelf).glob(f"{trial}*{end}")):
                    yield Residue(path, f"{shelf} of a trial on a corpus with the recordings")


def _is_old(path: Path) -> bool:
    try:
        return is_old(path)
    except OSError:
        return False


def _guarded(residue: Residue, recordings: Recordings) -> Residue:
    """Say why a residue may not be removed, if so."""
    path = residue.path.resolve()
    shared = os.environ.get("UNLEARN_SHARED_CACHE", "")
    reason = ""
    if any(file.resolve().is_relative_to(path) for file in (recordings.manifest, *recordings.paths)):
        reason = "it contains input data"
    elif shared and "://" not in shared and path.is_relative_to(Path(shared).resolve()):
        reason = "it is in a cache that machines share"
    elif hasattr(os, "getuid"):
        with suppress(FileNotFoundError):  # a trial that runs has removed its scratch file since
            reason = "it belongs to another user" if residue.path.lstat().st_uid != os.getuid() else ""
    return Residue(residue.path, residue.what, reason or residue.kept_because)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
