"""A report's tables, built once: the terminal and the files render the same values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import EVERYTHING, Selected, Selection, select_stored
from orchestrator.report.frames.select import reported
from orchestrator.report.tables.model import Table, build_tables
from orchestrator.results.store import Store


@dataclass(frozen=True)
class Report:
    """The tables of a results folder, and the rows behind them."""

    selected: Selected
    lines: pd.DataFrame  # rows that tables are made of, with gaps and lines
    superseded: pd.DataFrame
    tables: tuple[Table, ...]


MOST_SWEEPS = 8  # with tables of their own


def sweep_reports(report: Report) -> list[tuple[str, Report]]:
    """Build the reports of single sweeps by their titles, if there are several and at most `MOST_SWEEPS`."""
    selected = report.selected
    records = [record for record in selected.records if not record.is_search]
    found = []
    for record in records if 1 < len(records) <= MOST_SWEEPS else ():
        own = selected.rows[selected.rows["trial_id"].isin(record.trials)]
        if not own[own["stage"].isin(["retrain", "unlearn"])].empty:
            one = replace(selected, rows=own.reset_index(drop=True), records=(record,))
            found.append((record.title, build_report(one)))
    return found


def folder_report(store: Store, selection: Selection = EVERYTHING) -> Report:
    """Build the tables of a results folder; trials that its launches planned and that have no row count as missing.

    Raises:
        ValueError: there is no row at all, or none of the selection.
    """
    return build_report(select_stored(store, selection))


def build_report(selected: Selected) -> Report:
    """Build the tables of selected rows.

    Args:
        selected: rows, and what was planned: seeds that were planned but not run are part of every count.

    Raises:
        ValueError: there is no row.
    """
    if selected.rows.empty:
        raise ValueError(
            "There are no results: the folder has no row yet. Run a sweep: `unlearn run SWEEP --results DIR`."
        )
    lines, superseded = reported(with_gaps(selected.rows))
    return Report(selected, lines, superseded, tuple(build_tables(lines, selected.planned_seeds)))
