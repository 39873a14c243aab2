"""Curricula over D_f against their controls: each run minus the same run in random order, paired by forget set.

A curriculum's control is the same method under `order: random`; SuperLoss's is the same SuperLoss with its weights
`shuffled`, and where that was not run the method without it. A line with both is compared for its order.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from tabulate import tabulate

from orchestrator.evidence.paired import FEWEST, compare_paired, holm
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.select import CELL, REFERENCES, label_of
from orchestrator.report.frames.summary import NOTHING, of_test, summarize, with_spread
from orchestrator.report.tables.csv import spreadsheet_csv
from orchestrator.report.tables.markdown import escape

SCALE = {"gap_mean": 1.0, "forget_accuracy": 100.0, "test_accuracy": 100.0}
"""What is compared, and its factor to points."""
COLUMNS = ("task", "unlearning", "line", "control")
SETTING = ("budget_fraction", "original_seed", "original_settings", "method", "settings", "lora", "best_epoch")
"""What a run and its control must have in common in addition to the forget set."""


def against_controls(rows: pd.DataFrame) -> pd.DataFrame:
    """Make one row for each task, kind of unlearning, and line with a curriculum or SuperLoss whose control was run.

    Columns: `COLUMNS`, `control_name` (short, for a plot), `n` seeds, and for each measure of `SCALE` its mean
    difference from the control in points with its 95 % interval over seeds, and in `p_<measure>` the p-value of the
    same test (`compare_paired`), corrected over all rows by Holm (NaN below three seeds). A seed's forget sets and
    backbones are averaged first; a seed in which a run or its control is not done is left out, and counted in
    `unfinished`. The rows of task `all` average a seed's tasks and kinds as well, each counting equally.

    Args:
        rows: as `select.reported` returns them, with gaps.
    """
    own = rows[~rows["method"].isin(REFERENCES)]
    if not (own["curriculum"].ne("").any() or own["superloss"].ne("").any()):
        return pd.DataFrame()
    known: dict[tuple[Any, ...], Mapping[Hashable, Any]] = {}
    records = own.to_dict("records")
    for row in records:
        known[_key(row, row["superloss"], row["curriculum"])] = row
    pairs = [
        {"task": row["task"], "unlearning": _kind(row), "seed": row["seed"], "line": row["label"]}
        | {"control": control["label"], "control_name": _control_name(control), "order": row["order"]}
        | {"done": row["status"] == "done" and control["status"] == "done"}
        | {m: round(factor * (row[m] - control[m]), DECIMALS) for m, factor in SCALE.items()}
        for row in records
        if (control := _control(row, known)) is not None
    ]
    if not pairs:
        return pd.DataFrame()
    frame = pd.DataFrame(pairs)
    keys = ["order", "line", "control", "task", "unlearning", "seed"]
    of_seed = frame.groupby(keys, as_index=False).agg({**dict.fromkeys(SCALE, "mean"), "done": "all"})
    parts = [of_seed]
    if len(of_seed[["task", "unlearning"]].drop_duplicates()) > 1:
        parts.insert(0, _over_all(of_seed))
    found = pd.concat([_summaries(part) for part in parts], ignore_index=True)
    names = dict(zip(frame["control"], frame["control_name"], strict=True))
    corrected = {f"p_{m}": holm(found[f"p_{m}"].tolist()) for m in SCALE}
    return found.assign(control_name=found["control"].map(names), **corrected)


def curricula_markdown(found: pd.DataFrame) -> str:
    """Format the differences as a table."""
    shown = [
        [escape(str(row[name])) for name in COLUMNS]
        + [text for m in SCALE for text in (with_spread(row[m], 2) if row[m].n else NOTHING, _p(row[f"p_{m}"]))]
        + [f"{row['n']} of {row['n'] + row['unfinished']}"]
        for row in found.to_dict("records")
    ]
    measures = [title for name in ("Gap", "D_f", "D_t") for title in (name, "p (Holm)")]
    titles = ["Task", "Unlearning", "Line", "Control", *measures, "Seeds"]
    return tabulate(shown, titles, tablefmt="pipe", disable_numparse=True)


def curricula_csv(found: pd.DataFrame) -> bytes:
    """Format the differences at full precision, one row for each line and measure."""
    tidy = [
        {name: row[name] for name in COLUMNS}
        | {"measure": m, "difference": row[m].mean, "low": row[m].low, "high": row[m].high, "n": row[m].n}
        | {"p_holm": row[f"p_{m}"]}
        for row in found.to_dict("records")
        for m in SCALE
    ]
    return spreadsheet_csv(pd.DataFrame(tidy))


def _p(value: float) -> str:
    return NOTHING if value != value else f"{value:.3f}"


def _control(row: Mapping[Hashable, Any], known: Mapping[tuple[Any, ...], Mapping[Hashable, Any]]) -> Any:
    superloss, curriculum = (json.loads(row[knob] or "{}") for knob in ("superloss", "curriculum"))
    if curriculum:
        if curriculum["order"] == "random":
            return None
        return known.get(_key(row, row["superloss"], json.dumps({**curriculum, "order": "random"})))
    if not superloss or superloss.get("shuffled"):
        return None
    shuffled = known.get(_key(row, json.dumps({**superloss, "shuffled": True}), ""))
    return shuffled or known.get(_key(row, "", ""))


def _control_name(control: Mapping[Hashable, Any]) -> str:
    """Name the control next to its line: without the name of their method, if anything is left of the label."""
    if not control["modifiers"]:
        return str(control["label"])
    return label_of("", control["modifiers"], control["varied"])


def _key(row: Mapping[Hashable, Any], superloss: str, curriculum: str) -> tuple[Any, ...]:
    """Make a key of a run on one forget set by its modifiers; these by value, not by the order of their settings."""
    cell = tuple(None if isinstance(row[name], float) and row[name] != row[name] else row[name] for name in CELL)
    knobs = tuple(json.dumps(json.loads(text or "{}"), sort_keys=True) for text in (superloss, curriculum))
    in_seconds = row["budget_seconds"] == row["budget_seconds"]
    return (*cell, in_seconds, *(row[name] for name in SETTING), *knobs)


def _kind(row: Mapping[Hashable, Any]) -> str:
    """Name what is forgotten, with rule and training unless they are the usual ones."""
    rule = "" if row["forget_rule"] in ("", "random") else f" ({row['forget_rule']})"
    return f"{row['unlearning']}{rule}" + ("" if row["training"] == "standard" else f", {row['training']}")


def _over_all(of_seed: pd.DataFrame) -> pd.DataFrame:
    """Average seeds over tasks and kinds; a seed that lacks one which its line has elsewhere does not count."""
    lines = of_seed.groupby(["line", "control", "seed"])
    size = lines["order"].transform("size")
    whole = of_seed[size == size.groupby([of_seed["line"], of_seed["control"]]).transform("max")]
    means = {**dict.fromkeys(["order", *SCALE], "mean"), "done": "all"}
    mean = whole.groupby(["line", "control", "seed"], as_index=False).agg(means)
    return mean.assign(task="all", unlearning="all", order=mean.groupby(["line", "control"])["order"].transform("mean"))


def _summaries(of_seed: pd.DataFrame) -> pd.DataFrame:
    found = []
    for (task, kind, _, line, control), part in of_seed.groupby(["task", "unlearning", "order", "line", "control"]):
        finished = part[part["done"]]
        tests = {m: compare_paired(finished[m].to_numpy()) for m in SCALE}
        measured = {m: summarize(finished[m]) if test.n < FEWEST else of_test(test) for m, test in tests.items()}
        lead = {"task": task, "unlearning": kind, "line": line, "control": control}
        p = {f"p_{m}": test.p for m, test in tests.items()}
        found.append(lead | {"n": len(finished), "unfinished": len(part) - len(finished)} | measured | p)
    return pd.DataFrame(found)
