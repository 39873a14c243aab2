"""Curves of trials: accuracy, loss and charged cost after epochs; one small Parquet file per trial."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from orchestrator.errors import DamagedFile, first_line
from orchestrator.results.sealed import DigestMismatch, read_sealed_parquet
from orchestrator.results.store import READERS, Store, open_store

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("forget", "validation", "retain")
"""The sets of a curve: D_f, D_v without forgotten classes, and D_r."""

CURVE_SCHEMA = pa.schema(
    [
        ("title", pa.string()),  # the trial in words
        ("point", pa.string()),  # start: before the first step; epoch: after one; end: of the model that is evaluated
        ("epoch", pa.int64()),  # epochs that have ended, of all passes
        ("pass_name", pa.string()),  # of the epoch that ended; empty at the start and at the end
        ("steps", pa.int64()),  # of the optimizer, so far
        ("seconds", pa.float64()),  # charged so far
        ("samples", pa.float64()),  # charged so far
        ("budget_used", pa.float64()),  # share of the limit, 0 without a limit
        ("training_loss", pa.float64()),  # mean over the epoch of the losses that the pass minimizes
        *((f"{part}_{what}", pa.float64()) for part in PARTS for what in ("accuracy", "loss")),  # null: empty set
        *((f"{part}_utterances", pa.int64()) for part in PARTS),  # on which they were measured
    ]
)
"""The columns of a curve, in the order of its points."""


def write_curve(store: Store, trial_id: str, points: Sequence[Mapping[str, Any]]) -> None:
    """Write a trial's curve; a later call replaces it."""
    table = pa.Table.from_pylist([dict(point) for point in points], schema=CURVE_SCHEMA)
    store.write_table(store.curves.path(trial_id), table, use_dictionary=False, write_statistics=False)


def read_curve(store: Store, trial_id: str) -> list[dict[str, Any]]:
    """Return the points of a trial's curve in order; empty if it has none, or if its file is damaged."""
    table = curve_table(store, trial_id)
    return [] if table is None else table.to_pylist()


def read_curves(results: Store | str | Path, trial_ids: Iterable[str] | None = None) -> pd.DataFrame:
    """Return curves with the columns of `CURVE_SCHEMA` and `trial_id`, sorted by trial.

    Args:
        results: the results folder.
        trial_ids: whose curves; those of all trials that have one if None.
    """
    store = results if isinstance(results, Store) else open_store(results)
    found = sorted(store.curves.ids() if trial_ids is None else set(trial_ids))
    with ThreadPoolExecutor(READERS) as pool:
        tables = pool.map(lambda trial_id: curve_table(store, trial_id), found)
        named = [
            table.add_column(0, "trial_id", pa.array([trial_id] * len(table), pa.string()))
            for trial_id, table in zip(found, tables, strict=True)
            if table is not None
        ]
    empty = pa.schema([("trial_id", pa.string()), *CURVE_SCHEMA]).empty_table()
    frame: pd.DataFrame = pa.concat_tables([empty, *named]).to_pandas()
    return frame


def curve_table(store: Store, trial_id: str) -> pa.Table | None:
    """Return a trial's curve; None if it has none, or a damaged one, which no trial runs again for."""
    name = store.curves.path(trial_id)
    content = store.files.read_bytes(name)
    if content is None:
        return None
    try:
        return read_sealed_parquet(content).select(CURVE_SCHEMA.names).cast(CURVE_SCHEMA)
    except (DigestMismatch, pa.ArrowException, OSError, KeyError) as error:
        said = f"cannot read {name} ({first_line(error)}); this curve is left out"
        warnings.warn(said, DamagedFile, stacklevel=2)
        return None
