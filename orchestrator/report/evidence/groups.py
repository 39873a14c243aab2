"""Accuracy on D_t by group, before and after an attribute is forgotten, next to Retrain's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from orchestrator.evidence.groups import accuracy_of_groups
from orchestrator.report.evidence.model_index import ReadOutputs
from orchestrator.report.frames.summary import summarize, with_spread
from orchestrator.report.tables.markdown import escape, grid_markdown

CELL = ["task", "training", "backbone", "forget_rule"]
COLUMNS = [
    *CELL, "seed", "variant", "label", "method", "forget_attribute", "group", "forgotten", "accuracy", "utterances",
]  # fmt: skip
ABOUT = (
    "Accuracy on D_t in %, mean over seeds, ± as in the report; in brackets, utterances of a seed. Original is before "
    "unlearning; Retrain is the target of every column. Where seeds forget different values, column 'forgotten' has "
    "what each seed forgets, and the column of a value the seeds in which it stays."
)


def accuracy_by_group(rows: pd.DataFrame, read: ReadOutputs) -> pd.DataFrame:
    """Measure every model of attribute unlearning on each group of D_t; empty without such trials.

    Args:
        rows: of trials that finished, as `select.reported` returns them.
        read: stored outputs of a trial by id, None where there are none.

    Returns:
        One row for each trial and group, that is each value of the attribute; `forgotten` marks the forgotten one.
        None of a recognizer: `recognition` has its WER by attribute.
    """
    records: list[dict[str, Any]] = []
    for row in rows[rows["unlearning"] == "attribute"].to_dict("records"):
        outputs = read(str(row["trial_id"]))
        if outputs is None or outputs.groups is None or not outputs.has_distributions:
            continue
        test = outputs.part("test")
        predicted = test.classes[np.arange(len(test)), test.log_probabilities.argmax(axis=1)]
        said = str(row["forget_attribute"])
        forgotten = said.partition(" = ")[2] or said  # the value, or all of a band
        own = {name: row[name] for name in COLUMNS if name in row}
        assert test.groups is not None
        for group, found in accuracy_of_groups(predicted == test.labels, test.groups).items():
            records.append({**own, "group": group, "forgotten": group == forgotten, **found._asdict()})
    return pd.DataFrame(records, columns=COLUMNS)


def accuracy_by_group_markdown(found: pd.DataFrame) -> list[str]:
    """Write a table for each task, backbone and attribute: a line for each method, a column for each group."""
    parts: list[str] = []
    for (task, training, backbone, rule), own in found.groupby(CELL):
        where = ", ".join([str(task), str(backbone), *([] if training == "standard" else [str(training)])])
        by_seed = own.loc[own["forgotten"], "group"].nunique() > 1
        own = own.assign(
            column=own["group"].where(~own["forgotten"], "forgotten" if by_seed else own["group"] + " (forgotten)")
        )
        columns = sorted(own["column"].unique())
        sizes = own.groupby("column")["utterances"].first()
        grid = []
        for _, line in own.groupby("variant", sort=False):
            cells = [with_spread(summarize(line.loc[line["column"] == c, "accuracy"]), 1, 100) for c in columns]
            grid.append([escape(str(line["label"].iloc[0])), *map(escape, cells)])
        titles = [f"{column} [{sizes[column]}]" for column in columns]
        parts += [f"## {escape(f'{where}: {rule}')}", "", grid_markdown(["Method", *map(escape, titles)], grid), ""]
    return [*parts, ABOUT, ""] if parts else []
