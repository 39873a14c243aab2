"""What of each sweep in a results folder is done, failed or missing; read from the rows alone."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from orchestrator.results import STATUSES, Store, recorded_sweeps

LISTED = 10  # failures shown one by one


def status_tables(store: Store) -> list[Any]:
    """A table of counts by sweep and stage, then the failures with their last line.

    Raises:
        ValueError: when nothing was ever run on this folder.
    """
    sweeps, rows = recorded_sweeps(store), store.rows()
    if not sweeps and rows.empty:
        raise ValueError(f"no results in {store.files.location}; `unlearn run SWEEP --results DIR` puts them there")
    status = dict(zip(rows["trial_id"], rows["status"], strict=True))
    table = Table(title="status")
    table.add_column("sweep")
    for column in ("trials", *STATUSES, "missing"):
        if column != "blocked":  # a blocked trial has no row: it is missing
            table.add_column(column, justify="right")
    for sweep in sweeps:
        found = [status.get(trial_id, "missing") for trial_id in sweep["trials"]]
        counts = [str(found.count(name)) for name in (*STATUSES, "missing") if name != "blocked"]
        table.add_row(sweep["name"], str(len(found)), *counts)
    shown: list[Any] = [table]
    bad = rows[rows["status"].isin(["failed", "diverged"])]
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
