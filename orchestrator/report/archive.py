"""A results folder as one Parquet file, and back: rows, evidence, and what new trials are compared with; no weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orchestrator.file_names import absolute_path
from orchestrator.report.evidence.folder import FIGURES, folder_evidence
from orchestrator.report.frames.select import REFERENCES
from orchestrator.results.curves import curve_table, write_curve
from orchestrator.results.schema import SCHEMA
from orchestrator.results.sealed import MARK, DigestMismatch, check_sealed, sealed_parquet
from orchestrator.results.storage import Folder
from orchestrator.results.store import READERS, Store, as_column

RUN = ("trial_id", "finished_at")
NESTED = ("tests", "outputs", "curves")
"""Columns that hold a small table for each trial, named as the shelves of `Store`."""
_FOLDERS = (
    re.compile(r"\w+://(?:[^\s'\"]*/)?"),  # of a URI
    re.compile(r"(?<=['\"])/(?:[^/'\"]+/)+"),  # between quotes, where a name may have spaces
    re.compile(r"(?<![\w.:/])/(?:[^\s/'\":]+/)+"),
)


def compact_results(store: Store, to: str | Path) -> int:
    """Write all rows of a folder to one file, one row a trial, sorted by id; return how many.

    The file has the columns of `SCHEMA`, one for each figure of `unlearn evidence`, `tests` (what a trial measured on
    its model), `curves`, and `outputs` (of Original and Retrain only, without D_r: new trials are compared with them).
    Of an error the last line is kept, without the folders of that machine. Equal folders give equal files.

    Raises:
        ValueError: there is no row, or `to` cannot be written.
    """
    to = absolute_path(to)
    rows = store.compact().select(SCHEMA.names).sort_by("trial_id")
    if not len(rows):
        where = store.files.shown
        raise ValueError(f"There is nothing to compact: {where} has no row. Name a folder with finished trials.")
    errors = [None if text is None else message_of(text) for text in rows["error"].to_pylist()]
    rows = rows.set_column(rows.schema.get_field_index("error"), SCHEMA.field("error"), pa.array(errors, pa.string()))
    ids = rows["trial_id"].to_pylist()
    done = _evidence(store)
    for name, values in done.reindex(ids).items():
        if name != "method":
            rows = rows.append_column(name, pa.array(values.to_numpy(dtype=np.float64), pa.float64(), from_pandas=True))
    references = set(done.index[done["method"].isin(REFERENCES)])
    with ThreadPoolExecutor(READERS) as pool:
        tests = list(pool.map(lambda trial_id: store.read_table(store.tests.path(trial_id)), ids))
        outputs = list(pool.map(lambda trial_id: _outputs(store, trial_id) if trial_id in references else None, ids))
        curves = list(pool.map(lambda trial_id: curve_table(store, trial_id), ids))
    for name, found in (("tests", tests), ("outputs", outputs), ("curves", curves)):
        if any(table is not None for table in found):
            rows = rows.append_column(name, _nested(found))
    # Arrow's own copy of the schema differs from writing to writing in bytes that mean nothing.
    content = sealed_parquet(rows, compression="zstd", compression_level=15, store_schema=False)
    if to.is_dir():
        raise ValueError(f"--to must name a file; got the folder {to}. Add a file name, such as rows.parquet.")
    try:
        Folder(to.parent.as_uri()).write_bytes(to.name, content)
    except OSError as error:
        raise ValueError(f"Cannot write {to}: {error}. Name a file in a folder that you can write.") from None
    return len(rows)


def restore_results(file: str | Path, store: Store) -> int:
    """Restore the trials of a file into a results folder, which then treats them as run; return how many are new.

    A trial that already has a row there is skipped. Weights are in no file: a new trial trains its original again.

    Raises:
        ValueError: the file was not written by `compact_results`, or by version 0.1, whose trials have other ids.
    """
    said = f"restore needs a file that `unlearn compact` wrote; got {file}"
    path = absolute_path(file)
    if not path.is_file():
        raise ValueError(f"{said}, which does not exist. Check the path.")
    try:
        content = path.read_bytes()
        if is_sealed := MARK.encode() in content:
            check_sealed(content)
        whole = pq.read_table(pa.BufferReader(content))
    except (DigestMismatch, pa.ArrowException, OSError) as error:
        raise ValueError(f"{said}, which cannot be read as Parquet ({error}). Copy the file again.") from None
    if missing := {"trial_id", "status", "finished_at"} - set(whole.column_names):
        raise ValueError(f"{said}, which lacks the columns {', '.join(sorted(missing))}. Name another file.")
    if not is_sealed:
        raise ValueError(
            f"{file} was written by version 0.1, whose trials have other ids and columns. Restore it with that "
            "version, or read it with pandas."
        )
    there = store.row_files.ids()
    new = whole.filter(pc.invert(pc.is_in(whole["trial_id"], pa.array(sorted(there), pa.string()))))
    _keep_figures(whole, store)
    for trial_id, table in _each(new, "tests"):
        store.write_table(store.tests.path(trial_id), table, compression="zstd")
    for trial_id, table in _each(new, "outputs"):
        store.write_table(store.outputs.path(trial_id), _without_empty(table), compression="zstd")
    for trial_id, table in _each(new, "curves"):
        write_curve(store, trial_id, table.to_pylist())
    rows = pa.table([as_column(new, field) for field in SCHEMA], schema=SCHEMA).to_pylist()
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(store.commit, rows))  # last: a row says that all else is there
    return len(rows)


def message_of(error: str) -> str:
    """Return the last line of an error, with file names without their folders."""
    lines = error.strip().splitlines() or [""]
    message = lines[-1].strip()
    for folders in _FOLDERS:
        message = folders.sub("", message)
    return message


def _evidence(store: Store) -> pd.DataFrame:
    """Figures of trials that tables report, by trial id, with their `method`."""
    try:
        found = folder_evidence(store)
    except ValueError:  # only originals, or searches, so far
        return pd.DataFrame({"method": []}, index=pd.Index([], name="trial_id"), dtype=object)
    return found.done.set_index("trial_id")[["method", *sorted(found.figures)]]


def _keep_figures(whole: pa.Table, store: Store) -> None:
    names = [name for name in whole.column_names if name not in (*SCHEMA.names, *NESTED)]
    if not names:
        return
    figures = whole.select([*RUN, *names])
    if (older := store.read_table(FIGURES)) is not None:  # of files that were restored before
        older = older.join(figures.select([*RUN]), keys=[*RUN], join_type="left anti")
        figures = pa.concat_tables([older, figures], promote_options="default")
    store.write_table(FIGURES, figures, compression="zstd")


def _outputs(store: Store, trial_id: str) -> pa.Table | None:
    table = store.read_table(store.outputs.path(trial_id))
    if table is None:
        return None
    if "logits" in table.column_names:  # as many as classes, in which tasks differ
        place, logits = table.schema.get_field_index("logits"), table["logits"]
        table = table.set_column(place, "logits", logits.cast(pa.list_(logits.type.value_type)))
    return table.filter(pc.not_equal(table["part"], "retain"))


def _nested(tables: Sequence[pa.Table | None]) -> pa.Array:
    """A list of structs for each table; null where there is none."""
    there = pa.concat_tables([table for table in tables if table is not None], promote_options="default")
    columns = [column.combine_chunks() for column in there.columns]
    lengths = [0 if table is None else len(table) for table in tables]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    absent = pa.array([table is None for table in tables])
    return pa.ListArray.from_arrays(
        offsets, pa.StructArray.from_arrays(columns, fields=list(there.schema)), mask=absent
    )


def _each(whole: pa.Table, name: str) -> Iterator[tuple[str, pa.Table]]:
    """The inverse of `_nested`, by trial id."""
    if name in whole.column_names:
        for trial_id, nested in zip(whole["trial_id"].to_pylist(), whole[name], strict=True):
            if nested.is_valid:
                yield trial_id, pa.Table.from_struct_array(nested.values)


def _without_empty(table: pa.Table) -> pa.Table:
    """A trial's own columns: outputs of few classes have other ones than those of many."""
    return table.select([name for name in table.column_names if table[name].null_count < len(table)])
