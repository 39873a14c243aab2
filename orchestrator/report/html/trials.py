"""A part of the page for each trial: settings, figures, cost, error, and the command that repeats it."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.report.build import Report
from orchestrator.report.charts.progress import ReadCurves
from orchestrator.report.frames.select import with_modifiers
from orchestrator.report.html.log import log_lines, progress_lines
from orchestrator.report.html.repeat import repeat_command
from orchestrator.results.statuses import STATUSES

MOST = 300  # trials of a folder that are all shown; of more only those with problems, and the closest ones
LONGEST_ERROR = 4_000  # characters; the row has all of it
FIGURES = {
    "test_accuracy": ("D_t accuracy", 100, "%"), "forget_accuracy": ("D_f accuracy", 100, "%"),
    "retain_accuracy": ("D_r accuracy", 100, "%"), "validation_accuracy": ("D_v accuracy", 100, "%"),
    "test_wer": ("D_t WER", 100, "%"), "forget_wer": ("D_f WER", 100, "%"), "retain_wer": ("D_r WER", 100, "%"),
    "validation_wer": ("D_v WER", 100, "%"), "test_cer": ("D_t CER", 100, "%"), "forget_cer": ("D_f CER", 100, "%"),
    "mia_nonmember": ("MIA", 100, "%"), "mia_auc": ("MIA AUC", 1, ""), "gap_mean": ("Gap to Retrain", 1, "points"),
    "objective": ("Objective", 1, ""),
}  # fmt: skip
COST = {
    "optimization_seconds": ("Charged time", 1, "s"), "budget_used": ("Budget used", 100, "%"),
    "samples": ("Charged samples", 1, ""), "steps": ("Steps", 1, ""), "total_seconds": ("Wall clock", 1, "s"),
    "peak_memory_bytes": ("Peak memory", 2**-20, "MiB"),
}  # fmt: skip
Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class TrialPart:
    """One trial as the page shows it."""

    trial_id: str
    title: str
    where: str
    status: str
    gap: str  # or empty
    advice: str
    settings: tuple[tuple[str, str], ...]
    figures: tuple[tuple[str, str], ...]
    command: str
    error: str
    log: str  # what the trial said of itself


def trial_parts(report: Report, curves: ReadCurves | None = None) -> tuple[list[TrialPart], int]:
    """Return the trials that the page shows, and how many there are.

    Args:
        report: of `build_report`.
        curves: of trials by their ids, which become lines of their logs.
    """
    rows = report.selected.rows
    gaps = report.lines.set_index("trial_id")["gap_mean"] if "gap_mean" in report.lines else pd.Series(dtype=float)
    rows = rows.assign(gap_mean=gaps.groupby(level=0).first().reindex(rows["trial_id"]).to_numpy())
    order = ["task", "backbone", "unlearning", "requested_forget_ratio", "seed", "method", "trial_id"]
    stages = {"train": 0, "study": 1, "retrain": 2, "unlearn": 3, "tune": 4}
    rows = rows.assign(place=rows["stage"].map(stages).fillna(9)).sort_values(["place", *order])
    shown = rows if len(rows) <= MOST else rows[_of_interest(report, rows)].head(MOST)
    steps = progress_lines(curves(shown["trial_id"].tolist())) if curves else {}
    return [_part(row, report, steps.get(row["trial_id"], [])) for row in shown.to_dict("records")], len(rows)


def _of_interest(report: Report, rows: pd.DataFrame) -> pd.Series[bool]:
    """Find trials that failed, diverged, are blocked or collapsed, and those of the closest method of each block."""
    best: set[str] = set()
    for table in report.tables:
        for block in table.blocks if len(table.backbones) == 1 or table is report.tables[0] else ():
            variants = {line.variant for line in block.lines if line.best}
            best |= set(block.rows.loc[block.rows["variant"].isin(variants), "trial_id"])
    lost = rows["status"].isin(["failed", "diverged", "blocked"]) | (rows["collapsed"] & (rows["status"] == "done"))
    return lost | rows["trial_id"].isin(best)


def _part(row: Row, report: Report, steps: Sequence[str]) -> TrialPart:
    status = "collapsed" if row["collapsed"] and row["status"] == "done" else str(row["status"])
    gap = row["gap_mean"]
    return TrialPart(
        trial_id=str(row["trial_id"]),
        title=_title(row),
        where=_where(row),
        status=status,
        gap="" if pd.isna(gap) else f"gap {gap:.1f}",
        advice=STATUSES.get(status, "") if status != "done" else "",
        settings=tuple(_settings(row)),
        figures=tuple(_figures(row)),
        command=repeat_command(row, report.selected.records),
        error=without_folders(str(row["error"]).strip())[-LONGEST_ERROR:],
        log="\n".join(log_lines(row, steps)),
    )


def without_folders(traceback: str) -> str:
    """Name the files of a traceback without their folders: the page is mailed to others."""
    return re.sub(r'File "[^"\n]*[/\\]([^"/\\\n]+)"', r'File "\1"', traceback)


def _title(row: Row) -> str:
    if row["stage"] in ("train", "study"):
        return "Original" if row["stage"] == "train" else "Original (candidate of a search)"
    name = with_modifiers(str(row["method_label"] or row["method"]), row)
    return f"{name} (search, trial {row['study_trial']:.0f})" if row["stage"] == "tune" else name


def _where(row: Row) -> str:
    parts = [str(row["task"]), str(row["backbone"])]
    if row["unlearning"] not in ("", "none"):
        ratio = float(row["requested_forget_ratio"])
        share = "" if np.isnan(ratio) else f" {100 * ratio:g} %"
        classes = f" {row['forget_classes']}" if row["forget_classes"] else ""
        parts.append(f"{row['unlearning']}{classes}{share}")
    return ", ".join([*parts, f"seed {row['seed']}"])


def _settings(row: Row) -> list[tuple[str, str]]:
    found = json.loads(row["settings"] or "{}")
    for modifier in ("superloss", "curriculum", "lora", "best_epoch"):
        found |= {f"{modifier}.{name}": value for name, value in json.loads(row[modifier] or "{}").items()}
    return [
        (name, f"{value:g}" if isinstance(value, float) else json.dumps(value).strip('"'))
        for name, value in found.items()
    ]


def _figures(row: Row) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, (title, scale, unit) in {**FIGURES, **COST}.items():
        value = row.get(name)
        if value is not None and not pd.isna(value):
            shown = scale * float(value)
            text = (
                f"{shown:,.0f}"
                if name in ("samples", "steps")
                else f"{shown:.3g}"
                if unit in ("", "s")
                else f"{shown:,.1f}"
            )
            found.append((title, f"{text} {unit}".strip()))
    return found
