"""Whose settings were tuned: titles of tables with none, and a sentence above those that mix."""

from __future__ import annotations

import pandas as pd

from orchestrator.report.frames.select import REFERENCES

UNTUNED = " (settings not tuned, see `unlearn tune`)"


def is_untuned_run(rows: pd.DataFrame) -> pd.Series[bool]:
    """Runs of methods whose settings no search chose; not those of a method that has nothing to choose.

    Args:
        rows: as `select.prepare` returns them.
    """
    return _is_of_method(rows) & (rows["lock"] == "") & (rows["settings"] != "{}")


def title_note(rows: pd.DataFrame) -> str:
    """What the title of a table adds where no settings were tuned, and some might have been; else empty."""
    return UNTUNED if is_untuned_run(rows).any() and not (rows["lock"] != "").any() else ""


def mixture(rows: pd.DataFrame) -> str:
    """A sentence where some lines have tuned settings and others have not; empty elsewhere.

    Args:
        rows: of `select.reported`.
    """
    tuned, untuned = (rows[mask] for mask in (_is_of_method(rows) & (rows["lock"] != ""), is_untuned_run(rows)))
    if tuned.empty or untuned.empty:
        return ""
    first, second = (", ".join(part.sort_values("order")["label"].unique()) for part in (tuned, untuned))
    rules = " or ".join(sorted(set(tuned["lock"])))
    return (
        f"Tuned and untuned settings are mixed here. Tuned ({rules}): {first}. As the sweep gives them: {second}. "
        "Comparing one with the other is meaningless; `--tuned-only` leaves the second group out."
    )


def _is_of_method(rows: pd.DataFrame) -> pd.Series[bool]:
    return (rows["stage"] == "unlearn") & ~rows["tuning"] & ~rows["method"].isin(REFERENCES)
