"""What `unlearn compare` is given: results folders, each whole or one sweep of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    if len(set(locations)) < len(locations):
        raise ValueError(f"compare needs different folders or sweeps; got {' '.join(locations)}")
    found = []
    for location, name in zip(locations, _names(locations), strict=True):
        folder, _, sweep = location.partition(MARK)
        try:
            report = folder_report(open_store(folder), Selection(sweep or None))
        except ValueError as error:
            raise ValueError(f"{location}: {error}") from None
        found.append(Source(name, location, report))
    return found


def _names(locations: Sequence[str]) -> list[str]:
    """Name each location by as many of its last parts as make it different from the others."""
    parts = [location.replace(MARK, "/").rstrip("/").split("/") for location in locations]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return list(locations)
