"""Delete what is no longer needed of results and outputs, by age and by a quota: outputs, logits, checkpoints."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from orchestrator.forget.lineage import OUTPUTS, REPORT
from orchestrator.results.store import open_store
from orchestrator.run.scheduling.driver_lease import sole_driver

KINDS = {
    "outputs": ("outputs", "embeddings", "evidence"),
    "logits": ("logits",),
    "checkpoints": ("checkpoints", "models", "prepared", "unlearned"),
}
"""Folders of a results folder, by what a rule names; rows and reports are always kept."""

DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Old:
    """A file or folder that a rule deletes."""

    path: Path
    num_bytes: int
    age_days: float
    why: str


def quota_of(gigabytes: float | None) -> int | None:
    """Return a quota in bytes; None for none.

    Raises:
        ValueError: it is not finite.
    """
    if gigabytes is None:
        return None
    if not math.isfinite(gigabytes):
        raise ValueError(f"--quota-gb must be a finite number of gigabytes; got {gigabytes}. Leave it out for no quota")
    return int(gigabytes * 1e9)


def to_delete(
    folder: Path, *, kinds: Sequence[str] = tuple(KINDS), keep_days: float | None = None, quota_bytes: int | None = None
) -> list[Old]:
    """List what the rules delete: all that is older than `keep_days`, then the oldest until the rest fits the quota.

    Args:
        folder: a results folder of sweeps, or one with outputs of `unlearn forget` in it or below it.
        kinds: what may be deleted, of `KINDS`.
        keep_days: days that a file is kept after its last change; None for no limit.
        quota_bytes: bytes that all files of these kinds may have together; None for no limit.

    Raises:
        ValueError: an unknown kind, no rule, or no such folder.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"Unknown kind {unknown[0]!r}; choose from {', '.join(KINDS)}")
    if keep_days is None and quota_bytes is None:
        raise ValueError("Give a rule: --keep-days, --quota-gb or both")
    if keep_days is not None and not math.isfinite(keep_days):
        raise ValueError(f"--keep-days must be a finite number of days; got {keep_days}")
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}")
    now, found = time.time(), []
    for path in sorted(_candidates(folder, kinds)):
        files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
        stats = [file.stat() for file in files]
        if stats:
            age = (now - max(stat.st_mtime for stat in stats)) / DAY_SECONDS
            found.append((age, sum(stat.st_size for stat in stats), path))
    found.sort(key=lambda entry: -entry[0])
    left, deleted = sum(size for _, size, _ in found), list[Old]()
    for age, size, path in found:
        too_old = keep_days is not None and age > keep_days
        if too_old or (quota_bytes is not None and left > quota_bytes):
            deleted.append(Old(path, size, age, "older than the rule allows" if too_old else "above the quota"))
            left -= size
    return deleted


def delete(found: Sequence[Old], folder: Path) -> int:
    """Delete these files and folders of a folder; return the bytes that were freed.

    Raises:
        ValueError: a launch is using the results folder.
    """
    is_results = (folder / "rows").is_dir()
    with sole_driver(open_store(folder).files) if is_results else nullcontext():
        for old in found:
            if old.path.is_dir():
                shutil.rmtree(old.path)
            else:
                old.path.unlink(missing_ok=True)
    return sum(old.num_bytes for old in found)


def is_known(folder: Path) -> bool:
    """Return whether this is a results folder, or one with outputs of `unlearn forget` in it or below it."""
    return (folder / "rows").is_dir() or any(folder.rglob(REPORT))


def _candidates(folder: Path, kinds: Sequence[str]) -> set[Path]:
    """Files of trials in a results folder, and the kept outputs of removal requests."""
    found: set[Path] = set()
    if (folder / "rows").is_dir():
        for kind in kinds:
            for shelf in KINDS[kind]:
                found |= {path for path in (folder / shelf).glob("*") if not path.name.startswith(".")}
    if "outputs" in kinds:
        for report in folder.rglob(REPORT):  # outputs of a list of requests are one level deeper
            hidden = any(part.startswith(".") for part in report.relative_to(folder).parts)  # under way
            if not hidden and report.is_file() and (kept := report.parent / OUTPUTS).is_file():
                found.add(kept)
    return found
