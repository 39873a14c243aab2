"""A report's tables, built once: what the terminal prints and what the files hold are renderings of the same values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import EVERYTHING, Selected, Selection, select
from orchestrator.report.frames.select import reported
from orchestrator.report.tables.model import Table, build_tables
from orchestrator.results.sweep_records import SEARCH, SweepRecord


@dataclass(frozen=True)
class Report:
    """What a results folder says."""

    selected: Selected
    lines: pd.DataFrame  # rows that tables are made of, with gaps and lines
    superseded: pd.DataFrame
    tables: tuple[Table, ...]


def build_report(rows: pd.DataFrame, records: Sequence[SweepRecord] = (), selection: Selection = EVERYTHING) -> Report:
    """Build the tables of a results folder.

    Args:
        rows: as `orchestrator.results.store.read_rows` returns them.
        records: what launches on the folder planned: trials without a row are then counted as missing, and seeds that
            were planned but not run are part of every count.
        selection: what to show.

    Raises:
        ValueError: there is no row at all, or none of the selection.
    """
    if rows.empty:
        raise ValueError("no results: there is no row yet; `unlearn run SWEEP --results DIR` puts them there")
    selected = select(rows, records, selection)
    lines, superseded = reported(with_gaps(selected.rows))
    return Report(selected, lines, superseded, tuple(build_tables(lines, planned_seeds(selected))))


def planned_seeds(selected: Selected) -> dict[str, set[int]]:
    """Seeds to report, by task, of the sweeps that have rows of the task; a search's record is left out."""
    seeds: dict[str, set[int]] = {}
    for task, of_task in selected.rows.groupby("task"):
        have = set(of_task["trial_id"])
        for record in selected.records:
            if not record.name.endswith(SEARCH) and have & set(record.trials):
                seeds.setdefault(str(task), set()).update(int(seed) for seed in record.values.get("seeds", ()))
    return seeds
