"""Runs that diverged, failed, were blocked or pruned, or collapsed, each with its reason."""

from __future__ import annotations

import pandas as pd

from orchestrator.report.frames.select import with_modifiers

COLUMNS = ["status", "trial_id", "stage", "task", "backbone", "unlearning", "method", "seed", "sweeps", "reason"]


def problems(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that did not finish or finished collapsed, with a `reason`; not what a search pruned.

    Args:
        rows: as `select.prepare` returns them.
    """
    by_design = (rows["status"] == "pruned") & (rows["stage"] == "tune")
    found = rows[((rows["status"] != "done") & ~by_design) | rows["collapsed"]].copy()
    found["reason"] = [_reason(error, stop) for error, stop in zip(found["error"], found["stop_reason"], strict=True)]
    collapsed = found["collapsed"] & (found["status"] == "done")
    found.loc[collapsed, "status"] = "collapsed"
    found.loc[collapsed, "reason"] = "one class takes more than 90 % of predictions on class-balanced D_v"
    found["method"] = [with_modifiers(row["method"], row) for row in found.to_dict("records")]
    found["sweeps"] = found.get("sweeps", found["sweep"])
    order = ["tuning", "status", "task", "method", "seed", "trial_id"]  # searches last
    return found.sort_values(order)[COLUMNS].reset_index(drop=True)


def _reason(error: str, stop: str) -> str:
    """Return the last line of an error, its message; the row keeps the traceback."""
    said = error.strip().splitlines()
    return said[-1].strip() if said else stop
