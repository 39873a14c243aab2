"""Recognizers among the rows: word accuracy in place of accuracy, so that gaps are points of WER, and derived rates."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from orchestrator.results.schema import SETS

TRANSCRIPTS = "transcripts"


POOLED_OVER = {
    **{f"{name}_{rate}": f"{name}_words" for name in SETS for rate in ("wer", "accuracy", "insertion_rate")},
    **{f"{name}_cer": f"{name}_characters" for name in SETS},
    **{f"{name}_hallucinated": f"num_{name}" for name in SETS},
}
"""Rates of recognizers, and the column of their denominators: edits of several sets are summed, then divided."""
WORDS = "_words"
"""What follows a rate in the name of the column with its words, of rates that other tables add."""


def denominators(rows: pd.DataFrame, columns: Iterable[str]) -> dict[str, str]:
    """Return which of the columns are rates of recognizers, with the columns of their denominators."""
    if not has_transcripts(rows):
        return {}
    found = {column: POOLED_OVER.get(column, f"{column}{WORDS}") for column in columns}
    return {column: count for column, count in found.items() if count in rows}


def has_transcripts(rows: pd.DataFrame) -> bool:
    """Return whether rows are of a task with transcripts."""
    return "task_kind" in rows and bool((rows["task_kind"] == TRANSCRIPTS).any())


def with_word_accuracy(rows: pd.DataFrame) -> pd.DataFrame:
    """Fill in accuracies of recognizers, and add what tables show of their outputs; other rows are unchanged.

    Accuracy is word accuracy, 1 − WER, below 0 where there are more errors than words: differences of it are those of
    WER with the other sign, and every gap is in points of WER. New columns, by set: `…_insertion_rate`, inserted words
    per word of the transcripts, and `…_hallucinated`, the share of utterances with an empty or looping output.

    Args:
        rows: as `select.prepare` returns them.
    """
    if not has_transcripts(rows):
        return rows
    new = {}
    for name in SETS:
        words, utterances = (rows[column].where(rows[column] > 0) for column in (f"{name}_words", f"num_{name}"))
        new[f"{name}_accuracy"] = rows[f"{name}_accuracy"].fillna(1 - rows[f"{name}_wer"])
        new[f"{name}_insertion_rate"] = rows[f"{name}_word_insertions"] / words
        new[f"{name}_hallucinated"] = (rows[f"{name}_empty_outputs"] + rows[f"{name}_looping_outputs"]) / utterances
    return rows.assign(**new)
