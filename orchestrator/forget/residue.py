"""What holds forgotten recordings outside the weights: caches, logits, outputs and models of this project.

A scan lists it; `purge` removes what the operator may remove. Input data are never touched, nor what belongs to another
user or is in use by another process, nor a cache that machines share.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from orchestrator.digests import default_cache_dir
from orchestrator.forget.recordings import Recordings
from orchestrator.results.store import open_store
from orchestrator.run.scheduling.driver_lease import sole_driver
from orchestrator.tasks.corpus import Corpus

OF_TRIALS = {
    "models": ".safetensors", "prepared": ".safetensors", "logits": ".safetensors", "checkpoints": ".safetensors",
    "outputs": ".parquet", "evidence": ".parquet", "unlearned": "",
}  # fmt: skip
"""Folders of a results folder with what trials leave of recordings, and the ends of the names there."""

SAME_IDS = 0.9  # of the ids in outputs, that must be in the manifest
SCRATCH = ("features.npy", "result")  # in a scratch folder of an interrupted `unlearn forget`


@dataclass(frozen=True)
class Residue:
    """A file or folder that holds forgotten recordings, or what a model made of them."""

    path: Path
    what: str
    kept_because: str = ""  # why `purge` leaves it; empty if it may be removed


def scan(
    recordings: Recordings,
    rows: npt.NDArray[np.int64],
    results: Sequence[Path],
    outputs: Path,
    cache: Path | None = None,
    skip: Sequence[Path] = (),
) -> list[Residue]:
    """List what holds the recordings of a request or their outputs; nothing is changed.

    Args:
        recordings: the manifest; files of it may be deleted already.
        rows: what the request named, with duplicates; recordings kept from training too, as they are the same person's.
        results: results folders of sweeps.
        outputs: the folder in which interrupted runs of `unlearn forget` may have left scratch folders.
        cache: of corpora and features; the default cache if None.
        skip: folders that are in use by this process.

    Raises:
        ValueError: a results folder does not exist.
    """
    missing = [str(folder) for folder in results if not folder.is_dir()]
    if missing:
        raise ValueError(f"There is no results folder {missing[0]}. Name folders that exist with --scan")
    there = rows[[recordings.paths[row].is_file() for row in rows]]
    audio = {str(digest) for digest in recordings.at(there).digests}
    names = _names(recordings, rows)
    known = _names(recordings, np.arange(len(recordings)))
    found, corpora = list[Residue](), set[str]()  # fingerprints
    for folder in (cache or default_cache_dir(), *(result / "cache" for result in results)):
        found += _in_cache(folder, audio, corpora)
    for folder in results:
        found += _in_results(folder, names, known, corpora)
    found += [r for r in _scratch(outputs) if r.path not in skip]
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
            if in_cache:
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


def _names(recordings: Recordings, rows: npt.NDArray[np.int64]) -> set[str]:
    """Names under which results may have these recordings: ids, and paths from several folders."""
    paths = [recordings.paths[row] for row in rows]
    relative = {os.path.relpath(path, recordings.manifest.parent) for path in paths}
    return {str(name) for name in recordings.ids[rows]} | {str(path) for path in paths} | relative


def _in_cache(cache: Path, audio: set[str], corpora: set[str]) -> Iterator[Residue]:
    """Corpora that hold the audio, and the features that were made of these corpora."""
    lengths: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for folder in sorted((cache / "corpora").glob("*")) if (cache / "corpora").is_dir() else []:
        if not (folder / "corpus.json").is_file():
            continue
        try:
            corpus = Corpus(folder)
            held = sum(hashlib.sha256(corpus.audio(row).tobytes()).hexdigest() in audio for row in range(len(corpus)))
        except (OSError, ValueError, pa.ArrowException):
            continue
        if held:
            corpora.add(corpus.fingerprint)
            lengths.append(corpus.num_samples)
            yield Residue(folder, f"corpus with {held} of the recordings")
    for folder in sorted((cache / "features").glob("*")) if (cache / "features").is_dir() else []:
        with suppress(OSError, ValueError):
            frames = np.load(folder / "lengths.npy")
            if any(_same_lengths(frames, samples) for samples in lengths):
                yield Residue(folder, "features of a corpus with the recordings")
    for file in sorted((cache / "scratch").glob("*")) if (cache / "scratch").is_dir() else []:
        yield Residue(file, "scratch file of a trial, which may hold outputs")


def _same_lengths(
    frames: np.ndarray[tuple[int], np.dtype[np.int64]], samples: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> bool:
    """Whether features can be those of recordings with these lengths: as many, and never shorter for a longer one."""
    if len(frames) != len(samples):
        return False
    order = np.argsort(samples, kind="stable")
    groups = [set(frames[samples == value].tolist()) for value in np.unique(samples)[:50]]
    return bool((np.diff(frames[order]) >= 0).all()) and all(len(group) == 1 for group in groups)


def _in_results(folder: Path, names: set[str], known: set[str], corpora: set[str]) -> Iterator[Residue]:
    """Files of trials whose corpus holds the recordings, by the corpus of their row or the ids in their outputs.

    Ids are no proof, as audio is: a corpus of which less than `SAME_IDS` are in the manifest may be another one with
    similar names, and `purge` leaves it.
    """
    trials: dict[str, str] = {}  # trial → corpus
    for file in sorted((folder / "rows").glob("*.parquet")):
        with suppress(OSError, pa.ArrowException, KeyError):
            row = pq.read_table(file, columns=["corpus_fingerprint"]).to_pylist()[0]
            trials[file.stem] = str(row["corpus_fingerprint"])
    held = set(corpora)
    for file in sorted((folder / "outputs").glob("*.parquet")):
        with suppress(OSError, pa.ArrowException, KeyError):
            ids = set(pq.read_table(file, columns=["utterance_id"])["utterance_id"].to_pylist())
            if not names & ids or trials.get(file.stem, "") in held:
                continue
            same = len(ids & known) >= SAME_IDS * len(ids)
            if same and file.stem in trials:
                held.add(trials[file.stem])
            else:
                doubt = "" if same else "some ids are the same, but most are not in the manifest: check it by hand"
                yield Residue(file, "outputs on recordings with these ids", doubt)
    for trial, corpus in trials.items():
        if corpus in held:
            for shelf, end in OF_TRIALS.items():
                for path in sorted((folder / shelf).glob(f"{trial}*{end}")):
                    yield Residue(path, f"{shelf} of a trial on a corpus with the recordings")


def _scratch(outputs: Path) -> Iterator[Residue]:
    for folder in sorted(outputs.glob(".*-*")) if outputs.is_dir() else []:
        if folder.is_dir() and any((folder / name).exists() for name in SCRATCH):
            yield Residue(folder, "scratch folder of an interrupted `unlearn forget`")


def _guarded(residue: Residue, recordings: Recordings) -> Residue:
    """Say why a residue may not be removed, if so."""
    path = residue.path.resolve()
    shared = os.environ.get("UNLEARN_SHARED_CACHE", "")
    reason = ""
    if any(file.resolve().is_relative_to(path) for file in (recordings.manifest, *recordings.paths)):
        reason = "it contains input data"
    elif shared and "://" not in shared and path.is_relative_to(Path(shared).resolve()):
        reason = "it is in a cache that machines share"
    elif hasattr(os, "getuid") and residue.path.lstat().st_uid != os.getuid():
        reason = "it belongs to another user"
    return Residue(residue.path, residue.what, reason or residue.kept_because)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
