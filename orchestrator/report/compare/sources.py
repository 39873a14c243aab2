"""What `unlearn compare` is given: results folders, each whole or one sweep of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.report.build import Report, folder_report
from orchestrator.report.frames.scope import Selection
from orchestrator.results.store import open_store

MARK = "#"


@dataclass(frozen=True)
class Source:
    """One side of a comparison."""

    name: str  # short, and different from the others
    location: str  # as it was given
    report: Report


def open_sources(locations: Sequence[str]) -> list[Source]:
    """Read the rows of each location: a folder or URI, with `#SWEEP` for one sweep of it.

    Raises:
        ValueError: fewer than two locations, two equal ones, or one without rows.
    """
    if len(locations) < 2:
        raise ValueError(f"compare needs at least two results folders or sweeps; got {' '.join(locations) or 'none'}")
    if len({_same(location) for location in locations}) < len(locations):
        raise ValueError(f"compare needs different folders or sweeps; got {' '.join(locations)}")
    found = []
    for location, name in zip(locations, _names(locations), strict=True):
        folder, sweep = _split(location)
        try:
            report = folder_report(open_store(folder), Selection(sweep or None))
        except ValueError as error:
            raise ValueError(f"{location}: {error}") from None
        found.append(Source(name, location, report))
    return found


def _split(location: str) -> tuple[str, str]:
    """Split off the sweep, unless the whole is a folder with the mark in its name."""
    folder, mark, sweep = location.rpartition(MARK)
    return (folder, sweep) if mark and not Path(location).is_dir() else (location, "")


def _same(location: str) -> tuple[str, str]:
    """Return what two spellings of one folder have in common."""
    folder, sweep = _split(location)
    return (folder.rstrip("/") if "://" in folder else str(Path(folder).resolve())), sweep


def _names(locations: Sequence[str]) -> list[str]:
    """Name each location by as many of its last parts as make it different from the others."""
    parts = ["/".join(filter(None, _split(location.rstrip("/")))).split("/") for location in locations]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return list(locations)
