"""The caption of a table: what its numbers are means of, over what their spread is, and by which rules they arose."""

from __future__ import annotations

import numpy as np
import pandas as pd

from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.tables.model import IN_MEANS, Table
from orchestrator.report.tables.significance import is_uninformative
from orchestrator.results.schema import STATUSES

REFERENCE_NAMES = {"holdout": "the holdout", "test": "D_t"}


def caption(table: Table) -> str:
    """The whole caption, one paragraph without markup."""
    sentences = [
        "Accuracies in %; Retrain, the model trained on D_r alone, is the target of every column.",
        _mean_of(table),
        *_forget_sets(table),
        *_in_turn(table),
        _spread(table),
        "Seeds: finished/planned for each backbone." if _over_backbones(table) else "Seeds: finished/planned.",
        _gap(table),
        *_trainings(table),
        _attack(table.rows),
        _time(table.rows),
        _selection(table.rows),
        *_grey(table),
        *_flags(table),
    ]
    return " ".join(sentences)


def searches_done(rows: pd.DataFrame) -> str:
    """What the searches behind the settings were: how many, of how many trials, on which seeds, how they ended.

    Args:
        rows: all of a results folder, as `select.prepare` returns them.
    """
    trials = rows[rows["stage"] == "tune"]
    if trials.empty:
        return "Searches: no tuning trial is among the rows."
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
    """What all trials took, one after another, and how they ended.

    Args:
        rows: all of a results folder, as `select.prepare` returns them.
    """
    hours, tuned = (float(part["total_seconds"].sum()) / 3600 for part in (rows, rows[rows["tuning"]]))
    counts = rows["status"].value_counts()
    ended = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    devices = " and ".join(sorted(set(rows["device"]) - {""})) or "an unknown device"
    took = f"{hours:.2f} h one after another, {tuned:.2f} h of it searches"
    return f"{len(rows)} trials ({ended}) took {took}, on {devices}."


def _over_backbones(table: Table) -> bool:
    return any(block.over == "backbones" for block in table.blocks)


def _mean_of(table: Table) -> str:
    seeds = sorted(int(seed) for seed in table.rows["seed"].unique())
    listed = f"seed {seeds[0]}" if len(seeds) == 1 else "seeds " + ", ".join(map(str, seeds))
    if not _over_backbones(table):
        return f"Mean over {listed} of {table.backbones[0]}."
    return f"Mean over {listed} within each backbone, then over backbones ({', '.join(table.backbones)})."


def _forget_sets(table: Table) -> list[str]:
    several = any((block.means.planned > 1).any() for block in table.blocks)
    return ["A seed's forget sets are averaged first, and it counts when all are done."] if several else []


def _in_turn(table: Table) -> list[str]:
    if not table.sequence:
        return []
    text = "Requests are met one after another, each by the model that the one before left. D_f is the request's own, "
    text += "D_r what none has forgotten so far; Retrain is trained on that alone, Original has forgotten nothing. "
    return [text + "Forgotten before: accuracy on what earlier requests forgot, and its gap to Retrain in points."]


def _spread(table: Table) -> str:
    unit = "backbones" if _over_backbones(table) else "seeds"
    return f"± is the half-width of a 95 % t-interval over {unit} (n ≥ 3); of two {unit} the range stands in brackets."


def _gap(table: Table) -> str:
    kinds = {block.kind for block in table.blocks}
    parts = ["D_t, D_f and D_r"] if kinds - {"class"} else []
    parts += ["kept and forgotten classes of D_t, D_f and D_r (class unlearning)"] if "class" in kinds else []
    return (
        f"Gap: mean absolute difference from Retrain on the same forget set, in points, over {'; over '.join(parts)}."
    )


def _trainings(table: Table) -> list[str]:
    several = len({block.training for block in table.blocks}) > 1
    return ["Each kind of training has its own Original and its own Retrain, and blocks of its own."] if several else []


def _attack(rows: pd.DataFrame) -> str:
    references = sorted(set(rows["mia_reference"]) - {""})
    named = " or ".join(REFERENCE_NAMES.get(reference, reference) for reference in references) or "not recorded"
    return f"MIA: share of D_f that an SVC on the label's confidence calls non-members; its non-members: {named}."


def _time(rows: pd.DataFrame) -> str:
    methods = rows[~rows["method"].isin(REFERENCES)]
    rules = []
    for _, part in methods.groupby(["budget_fraction", "budget_source"], dropna=False):
        fraction, source = float(part["budget_fraction"].iloc[0]), str(part["budget_source"].iloc[0])
        unit = "samples" if part["budget_samples"].notna().any() else "seconds"
        rules.append("none" if np.isnan(fraction) else f"{fraction:g} × {source or 'Retrain'}, counted in {unit}")
    return f"Time: charged optimization time of one run; time budget: {' or '.join(sorted(set(rules))) or 'none'}."


def _selection(rows: pd.DataFrame) -> str:
    locks = sorted(set(rows.loc[~rows["method"].isin(REFERENCES), "lock"]))
    chosen = [lock for lock in locks if lock]
    if not chosen:
        return "Settings: as the sweep gives them, not tuned."
    text = f"Settings: chosen by {' or '.join(chosen)} on tuning seeds"
    return text + ("; some lines as the sweep gives them." if "" in locks else ".")


def _grey(table: Table) -> list[str]:
    if not any(is_uninformative(block, measure) for block in table.blocks for measure in table.columns):
        return []
    text = "Gray (or italic): in this column Original and Retrain are not statistically distinguishable (the 95 % "
    text += (
        "interval of their difference holds 0; with fewer than three values: their exact binomial intervals within a "
    )
    return [text + "seed overlap), so it cannot tell forgetting from doing nothing."]


def _flags(table: Table) -> list[str]:
    flags = {flag for block in table.blocks for line in block.lines for flag, number in line.flags.items() if number}
    found = []
    if "collapsed" in flags:
        found.append(
            "Collapsed runs (one class takes more than 90 % of predictions on class-balanced D_v) are in the means."
        )
    if "unchanged" in flags:
        found.append(
            "Unchanged runs (the method left the original as it is, to 1e-7) forgot nothing; they are in the means."
        )
    if flags - set(IN_MEANS):
        found.append("Runs that did not finish are in no mean.")
    return found
