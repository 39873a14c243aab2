"""Gap to Retrain: every run against the model trained on D_r alone, on the same forget set and seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from orchestrator.report.frames.recognition import with_word_accuracy
from orchestrator.report.frames.select import CELL
from orchestrator.report.frames.training_cost import with_originals

GAPS = {
    "gap_test": "test_accuracy",
    "gap_test_kept": "test_accuracy_kept_classes",
    "gap_test_forgotten": "test_accuracy_forgotten_classes",
    "gap_forget": "forget_accuracy",
    "gap_retain": "retain_accuracy",
    "gap_mia": "mia_nonmember",
    "gap_forgotten_before": "forgotten_before_accuracy",
}
SIGNED_DIFFERENCES = {
    "difference_forget": "forget_accuracy",
    "difference_forget_true": "forget_true_label_accuracy",
    "difference_test_forgotten": "test_accuracy_forgotten_classes",
    "difference_mia": "mia_nonmember",
}
DECIMALS = 9
"""Gaps are rounded to 1e-9 points before they are ranked, counted or marked: what differs by less is a tie."""
TASK_LOSS = "task_loss"
"""Points of Original's D_t that a run lost; of the kept classes in class unlearning."""
MEAN_OF = ("gap_test", "gap_forget", "gap_retain")
MEAN_OF_CLASS = ("gap_test_kept", "gap_test_forgotten", "gap_forget", "gap_retain")


def with_gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """Add each row's distance to Retrain in points: columns of `GAPS`, `SIGNED_DIFFERENCES`, `gap_mean`, `TASK_LOSS`.

    `gap_mean` is the mean over D_t, D_f and D_r; for class unlearning D_t counts twice, as its kept and its forgotten
    classes. It is null as soon as one of its parts is: a mean over the parts that happen to exist is not comparable.
    `SIGNED_DIFFERENCES` keep their sign: the measure minus Retrain's. Retrain's own are null, and so are those of a run
    without a finished Retrain on its forget set; `has_retrain` distinguishes the two. Of recognizers all are in points
    of word accuracy, 1 − WER.

    Args:
        rows: as `select.prepare` returns them.
    """
    rows = with_word_accuracy(rows)
    target = rows.loc[_retrained(rows)].drop_duplicates("trial_id").set_index("trial_id")
    ids = reference_ids(rows)
    found = with_originals(rows)
    found[TASK_LOSS] = _task_loss(rows)
    found["has_retrain"] = ids.notna() | (rows["method"] == "retrain")
    is_target = rows["method"].eq("retrain").to_numpy()
    for name, measure in {**GAPS, **SIGNED_DIFFERENCES}.items():
        difference = np.round(100 * (rows[measure].to_numpy() - target[measure].reindex(ids).to_numpy()), DECIMALS)
        found[name] = np.where(is_target, np.nan, np.abs(difference) if name in GAPS else difference)
    of_class = (rows["unlearning"] == "class").to_numpy()
    found["gap_mean"] = np.where(
        of_class,
        found[list(MEAN_OF_CLASS)].mean(axis=1, skipna=False),
        found[list(MEAN_OF)].mean(axis=1, skipna=False),
    )
    return found


def lost_against_original(rows: pd.DataFrame, measure: pd.Series[float]) -> pd.Series[float]:
    """Subtract each row's value from Original's on the same forget set."""
    by_trial = measure.groupby(rows["trial_id"]).first()
    return pd.Series(by_trial.reindex(original_ids(rows)).to_numpy(), index=rows.index) - measure


def _task_loss(rows: pd.DataFrame) -> pd.Series[float]:
    kept = rows["test_accuracy_kept_classes"].where(rows["unlearning"] == "class", rows["test_accuracy"])
    return (100 * lost_against_original(rows, kept)).round(DECIMALS)


def _retrained(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows["stage"].isin(["retrain", "unlearn"]) & (rows["method"] == "retrain") & (rows["status"] == "done")


def reference_ids(rows: pd.DataFrame) -> pd.Series[str]:
    """Return the trial id of each row's Retrain: the one that it names, else the one of its cell and training."""
    retrained = rows.loc[_retrained(rows)]
    known = set(retrained["trial_id"])
    of_cell = _of_cell(rows, retrained)
    named = rows["parent_retrain"].fillna("")
    ids = [(p if p in known else None) if p else other for p, other in zip(named, of_cell, strict=True)]
    return pd.Series(ids, index=rows.index, dtype=object)


def original_ids(rows: pd.DataFrame) -> pd.Series[str]:
    """Return the trial id of Original on each row's forget set: the one of its cell and training."""
    original = (rows["stage"] == "unlearn") & (rows["method"] == "original") & (rows["status"] == "done")
    return pd.Series(_of_cell(rows, rows.loc[original]), index=rows.index, dtype=object)


def _of_cell(rows: pd.DataFrame, references: pd.DataFrame) -> list[str | None]:
    """Find the newest of `references` that has the cell and training of each row."""
    key = [*CELL, "original_settings", "original_seed", "corpus_fingerprint"]
    of_cell = references.sort_values("finished_at").drop_duplicates(key, keep="last").set_index("trial_id")[key]
    by_cell = {_hashable(cell): str(trial) for trial, cell in zip(of_cell.index, of_cell.to_numpy(), strict=True)}
    return [by_cell.get(_hashable(cell)) for cell in rows[key].to_numpy()]


def _hashable(cell: np.ndarray) -> tuple[object, ...]:  # type: ignore[type-arg]
    """Make a key of a cell in which missing ratios are equal."""
    return tuple(None if isinstance(value, float) and np.isnan(value) else value for value in cell)
