"""The log of a trial on the page: when, where and with what it ran, what it measured as it went, how it ended."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

Row = Mapping[Hashable, Any]
MOST_POINTS = 20  # of a curve; a longer one is cut in the middle
PARTS = {"forget": "D_f", "validation": "D_v", "retain": "D_r"}


def log_lines(row: Row, steps: Sequence[str]) -> list[str]:
    """Write the log of a row.

    Args:
        row: of the store.
        steps: of `progress_lines`, the trial's own.
    """
    said = [f"{row['started_at']} started"] if row["started_at"] else []
    of = [("device", row["device"]), ("torch", row["torch_version"]), ("code", row["git_commit"])]
    said += [", ".join(f"{name} {value}" for name, value in of if value)]
    said += [f"settings chosen by {row['lock']}"] if row["lock"] else []
    said += _shortened(steps)
    said += [str(row["note"])] if row["note"] else []
    reason = f" ({row['stop_reason']})" if row["stop_reason"] else ""
    said += [f"{row['finished_at']} ended: {row['status']}{reason}"]
    return [line for line in said if line]


def progress_lines(curves: pd.DataFrame) -> dict[str, list[str]]:
    """Write a line for each point of curves, by trial id: charged time, epoch, loss and accuracies."""
    return {str(trial_id): list(map(_line, points.to_dict("records"))) for trial_id, points in _groups(curves)}


def _groups(curves: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    yield from curves.groupby("trial_id", sort=False) if len(curves) else ()


def _line(point: Row) -> str:
    where = str(point["point"]) if point["point"] != "epoch" else f"epoch {point['epoch']} ({point['pass_name']})"
    measured = [("loss", point["training_loss"], ".4g", 1.0, "")]
    measured += [(name, point[f"{part}_accuracy"], ".1f", 100.0, " %") for part, name in PARTS.items()]
    texts = [f"{name} {scale * value:{form}}{unit}" for name, value, form, scale, unit in measured if pd.notna(value)]
    return f"{point['seconds']:8.2f} s  {where}: {', '.join(texts)}" if texts else f"{point['seconds']:8.2f} s  {where}"


def _shortened(steps: Sequence[str]) -> list[str]:
    if len(steps) <= MOST_POINTS:
        return list(steps)
    half = MOST_POINTS // 2
    return [*steps[:half], f"… {len(steps) - MOST_POINTS} more points are in curves/ …", *steps[-half:]]
