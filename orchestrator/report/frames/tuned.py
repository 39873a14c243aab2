"""Which settings were tuned: a title for tables with none, and a sentence above tables that mix."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from orchestrator.report.frames.select import REFERENCES

ELSEWHERE = " on corpus "  # in the column `lock`, before the fingerprint of the recordings of a search
UNTUNED = " (settings not tuned, see `unlearn tune`)"


def is_untuned_run(rows: pd.DataFrame) -> pd.Series[bool]:
    """Find runs of methods whose settings no search chose, except methods without settings.

    Args:
        rows: as `select.prepare` returns them.
    """
    return _is_of_method(rows) & (rows["lock"] == "") & (rows["settings"] != "{}")


def title_note(rows: pd.DataFrame) -> str:
    """Return an addition to the title of a table in which no settings were tuned; empty if none could have been."""
    return UNTUNED if is_untuned_run(rows).any() and not (rows["lock"] != "").any() else ""


def mixture(rows: pd.DataFrame) -> str:
    """Name tuned and untuned lines if a table has both; empty otherwise.

    Args:
        rows: of `select.reported`.
    """
    tuned, untuned = (rows[mask] for mask in (_is_of_method(rows) & (rows["lock"] != ""), is_untuned_run(rows)))
    if tuned.empty or untuned.empty:
        return ""
    first, second = (", ".join(part.sort_values("order")["label"].unique()) for part in (tuned, untuned))
    return (
        f"Tuned and untuned settings are mixed here. Tuned ({rules_of(tuned['lock'])}): {first}. Untuned: {second}. "
        "Comparing one with the other is meaningless; `--tuned-only` leaves the second group out."
    )


def rules_of(locks: Iterable[str]) -> str:
    """Name the rules by which settings were chosen, from values of the column `lock`."""
    return " or ".join(sorted({lock.partition(ELSEWHERE)[0] for lock in locks if lock}))


def _is_of_method(rows: pd.DataFrame) -> pd.Series[bool]:
    return (rows["stage"] == "unlearn") & ~rows["tuning"] & ~rows["method"].isin(REFERENCES)
