"""What a training costs: its Original's D_t against the standard Original's, and the seconds that it took."""

from __future__ import annotations

import pandas as pd

from orchestrator.report.frames.summary import Unit, summarize, unit_name, with_spread

STANDARD = "standard"


def with_originals(rows: pd.DataFrame) -> pd.DataFrame:
    """Add what training took: `original_seconds`, and of preparation `original_preparation_seconds`.

    Args:
        rows: as `select.prepare` returns them.
    """
    trained = rows[(rows["stage"] == "train") & (rows["status"] == "done")].drop_duplicates("trial_id")
    trained = trained.set_index("trial_id")
    columns = {"original_seconds": "optimization_seconds", "original_preparation_seconds": "preparation_seconds"}
    return rows.assign(
        **{name: trained[column].reindex(rows["parent_original"]).to_numpy() for name, column in columns.items()}
    )


def against_standard(rows: pd.DataFrame, training: str, over: Unit) -> str:
    """Compare a training's Original with the standard one, paired by backbone and seed; empty for standard training.

    Args:
        rows: of one task, as `select.reported` returns them, with the columns of `with_originals`.
    """
    if training == STANDARD or "original_seconds" not in rows:
        return ""
    mine, standard = (_originals(rows, title) for title in (training, STANDARD))
    if mine.empty:
        return ""
    both = mine.join(standard.add_suffix("_standard"), how="inner")
    said = [f"Training {training}: D_t of its Original {_mean(mine['test_accuracy'], over, 100)} %"]
    if len(both):
        difference = both["test_accuracy"] - both["test_accuracy_standard"]
        n = len(_units(difference, over))
        unit = unit_name(over, n)
        said[0] += f", minus the standard Original's {_mean(difference, over, 100)} points (n = {n} {unit})"
    if mine["original_seconds"].notna().any():
        text = f"training it took {_mean(mine['original_seconds'], over)} s"
        if len(both) and both["original_seconds_standard"].notna().any():
            text += f" (standard: {_mean(both['original_seconds_standard'], over)} s)"
        kept = _mean(mine["original_preparation_seconds"], over, digits=2)
        said.append(f"{text}, and preparing what it keeps {kept} s more")
    return "; ".join(said) + "."


def _originals(rows: pd.DataFrame, training: str) -> pd.DataFrame:
    """Return one row a (backbone, seed): lines of Original on several forget sets repeat the same scores."""
    found = rows[(rows["training"] == training) & (rows["method"] == "original") & (rows["status"] == "done")]
    columns = ["test_accuracy", "original_seconds", "original_preparation_seconds"]
    return found.groupby(["backbone", "seed"])[columns].mean()


def _units(values: pd.Series, over: Unit) -> pd.Series:  # type: ignore[type-arg]
    return values.groupby(level="backbone").mean() if over == "backbones" else values


def _mean(values: pd.Series, over: Unit, scale: float = 1.0, digits: int = 1) -> str:  # type: ignore[type-arg]
    return with_spread(summarize(_units(values, over).to_numpy()), digits, scale)
