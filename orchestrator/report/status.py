"""Count what is done, failed or missing of each sweep in a results folder, from its rows alone."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from orchestrator.results.statuses import STATUSES
from orchestrator.results.store import Store
from orchestrator.results.sweep_records import only_in_replaced, recorded_sweeps, records_of

LISTED = 10  # failures shown one by one
EARLIER = (
    "NAME@PLAN is an earlier plan: a later `unlearn run` of that name planned other trials. "
    "`--sweep NAME@PLAN` lists its failures."
)


def status_tables(store: Store, sweep: str | None = None) -> list[Any]:
    """Make a table of counts by sweep, and list failures with the last line of their error.

    Args:
        store: the results folder.
        sweep: a name, or the title of an earlier plan; all if None.

    Raises:
        ValueError: nothing was run on this folder, or not this sweep.
    """
    records, rows = recorded_sweeps(store.files), store.rows()
    if not records and rows.empty:
        where = store.files.shown
        raise ValueError(f"There are no results in {where}. Run a sweep: `unlearn run SWEEP --results DIR`.")
    given_up = only_in_replaced(records)
    unplanned = 0 if sweep else int((~rows["trial_id"].isin({t for one in records for t in one.trials})).sum())
    if sweep is not None:
        known = ", ".join(record.title for record in records) or "none"
        records = records_of(records, sweep)
        if not records:
            raise ValueError(f"No sweep {sweep!r} was run on this folder. Sweeps in it: {known}.")
        trials = {trial for record in records for trial in record.trials}
        rows, given_up = rows[rows["trial_id"].isin(trials)], given_up - trials
    status = dict(zip(rows["trial_id"], rows["status"], strict=True))
    table = Table(title="status")
    table.add_column("sweep", overflow="fold")
    for column in ("trials", *STATUSES, "missing"):
        if column != "blocked":  # a blocked trial has no row: it is missing
            table.add_column(column, justify="right")
    for record in records:
        found = [status.get(trial_id, "missing") for trial_id in record.trials]
        counts = [str(found.count(name)) for name in (*STATUSES, "missing") if name != "blocked"]
        table.add_row(escape(record.title), str(len(found)), *counts)
    shown: list[Any] = [table]
    if any(record.replaced for record in records):
        shown.append(EARLIER)
    if unplanned:
        shown.append(f"{unplanned} more runs are in no plan of this folder (for example, of a restored file).")
    bad = rows[rows["status"].isin(["failed", "diverged"]) & ~rows["trial_id"].isin(given_up)]
    for row in bad.head(LISTED).to_dict("records"):
        shown.append(escape(_line({str(k): v for k, v in row.items()})))
    if len(bad) > LISTED:
        shown.append(f"… and {len(bad) - LISTED} more")
    shown += [f"{name}: {STATUSES[name]}" for name in sorted(set(bad["status"]))]
    return shown


def _line(row: dict[str, Any]) -> str:
    error = row["error"] if isinstance(row["error"], str) and not pd.isna(row["error"]) else ""
    last = error.strip().splitlines()[-1] if error.strip() else ""
    return (
        f"{row['status']} {row['trial_id']} {row['task']} {row['backbone']} {row['method']} seed {row['seed']}: {last}"
    )
