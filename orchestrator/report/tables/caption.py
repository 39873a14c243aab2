"""The caption of a table in three sentences: means and their spread, rules, and where the terms are defined."""

from __future__ import annotations

import numpy as np
import pandas as pd

from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.tuned import ELSEWHERE, rules_of
from orchestrator.report.tables.columns import quality_of
from orchestrator.report.tables.model import Table
from orchestrator.results.statuses import STATUSES

REFERENCE_NAMES = {"holdout": "the holdout", "test": "D_t"}
TERMS = "Columns, italics, bold and flags: 'Reading a table' in docs/captions.md."


def caption(table: Table) -> str:
    """Write a caption: n, unit and error bar; selection rule, budget and attack; where the terms are defined."""
    return f"{_means(table)} {_rules(table.rows)} {TERMS}"


def searches_done(rows: pd.DataFrame) -> str:
    """Describe the searches behind the settings: how many, of how many trials, on which seeds, and how they ended.

    Args:
        rows: all of a results folder, as `select.prepare` returns them.
    """
    trials = rows[rows["stage"] == "tune"]
    if trials.empty:
        return "Searches: none among the rows."
    sizes = sorted(set(trials.groupby("study_id").size()))
    counts = trials["status"].value_counts()
    ended = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    listed = ", ".join(str(seed) for seed in sorted(set(trials["seed"])))
    each = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}–{sizes[-1]}"
    rules = " or ".join(sorted(set(trials["objective_rule"]) - {""})) or "not recorded"
    return (
        f"Searches: {trials['study_id'].nunique()} of {each} trials each, rule {rules}, tuning "
        f"{'seed' if trials['seed'].nunique() == 1 else 'seeds'} {listed}, never reported; {ended}."
    )


def trial_hours(rows: pd.DataFrame) -> str:
    """Sum up what all trials took, one after another, and how they ended.

    Args:
        rows: all of a results folder, as `select.prepare` returns them.
    """
    hours, tuned = (float(part["total_seconds"].sum()) / 3600 for part in (rows, rows[rows["tuning"]]))
    counts = rows["status"].value_counts()
    ended = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    devices = " and ".join(sorted(set(rows["device"]) - {""})) or "an unknown device"
    took = f"{hours:.2f} h one after another, {tuned:.2f} h of it searches"
    return f"{len(rows)} trials ({ended}) took {took}, on {devices}."


def _means(table: Table) -> str:
    over_backbones = any(block.over == "backbones" for block in table.blocks)
    seeds = sorted(int(seed) for seed in table.rows["seed"].unique())
    listed = f"seed {seeds[0]}" if len(seeds) == 1 else "seeds " + ", ".join(map(str, seeds))
    if over_backbones:
        unit, of = (
            "backbones",
            f"over {listed} within each backbone, then over backbones ({', '.join(table.backbones)})",
        )
    else:
        unit, of = "seeds", f"over {listed} of {table.backbones[0]}"
    return (
        f"{quality_of(table.rows).unit}: means {of}; ± is the half-width of a 95 % t-interval over {unit} (n ≥ 3), "
        f"and the range of two {unit} is in brackets."
    )


def _rules(rows: pd.DataFrame) -> str:
    return f"Settings: {_selection(rows)}; time budget: {_budget(rows)}; non-members of the MIA: {_nonmembers(rows)}."


def _nonmembers(rows: pd.DataFrame) -> str:
    references = sorted(set(rows["mia_reference"]) - {""})
    return " or ".join(REFERENCE_NAMES.get(reference, reference) for reference in references) or "not recorded"


def _budget(rows: pd.DataFrame) -> str:
    methods = rows[~rows["method"].isin(REFERENCES)]
    rules = set()
    for _, part in methods.groupby(["budget_fraction", "budget_source"], dropna=False):
        fraction, source = float(part["budget_fraction"].iloc[0]), str(part["budget_source"].iloc[0])
        unit = "samples" if part["budget_samples"].notna().any() else "seconds"
        rules.add("none" if np.isnan(fraction) else f"{fraction:g} × {source or 'Retrain'}, counted in {unit}")
    return " or ".join(sorted(rules)) or "none"


def _selection(rows: pd.DataFrame) -> str:
    locks = sorted(set(rows.loc[~rows["method"].isin(REFERENCES), "lock"]))
    chosen = [lock for lock in locks if lock]
    if not chosen:
        return "not tuned (the sweep's own or the method's defaults)"
    elsewhere = " and other recordings" if any(ELSEWHERE in lock for lock in chosen) else ""
    text = f"chosen by {rules_of(chosen)} on tuning seeds{elsewhere}"
    return text + (", some lines not tuned" if "" in locks else "")
