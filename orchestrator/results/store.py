"""The results folder: one Parquet row a trial, and what trials share; local or on any pyarrow file system."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.file_names import absolute_path
from orchestrator.results.schema import SCHEMA
from orchestrator.results.sealed import DigestMismatch, read_sealed_parquet, sealed_parquet
from orchestrator.results.storage import Folder
from orchestrator.results.sweep_records import recorded_sweeps, with_sweeps

if TYPE_CHECKING:
    import pandas as pd

# With when each row's file was changed last: an entry is good while that is the same.
_INDEX = SCHEMA.append(pa.field("modified_ns", pa.int64()))
READERS = 16  # rows read at once; on an object store each waits for the network
AT_ONCE = 500  # rows that are held as tables of one row each


@dataclass(frozen=True)
class Store:
    """A results folder: `rows/`, what trials share and leave (docs/results.md), and the sweeps that were run."""

    files: Folder

    def commit(self, row: Mapping[str, Any]) -> None:
        """Write a trial's row, with the token of the driver that it ran for; a second commit replaces the first.

        Raises:
            LeaseLost: another driver has the folder.
            ValueError: a key that is no column.
        """
        unknown = set(row) - set(SCHEMA.names)
        if unknown:
            raise ValueError(f"no such column: {', '.join(sorted(unknown))}; results.SCHEMA is the list")
        row = {**row, "driver_token": self.files.driver or row.get("driver_token")}
        table = pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names}], schema=SCHEMA)
        # A row's file is mostly what describes its columns.
        self.write_table(f"rows/{row['trial_id']}.parquet", table, use_dictionary=False, write_statistics=False)

    def row(self, trial_id: str) -> dict[str, Any] | None:
        """A trial's row, or None; one that cannot be read is set aside, so that the trial runs again."""
        table = self._read(f"rows/{trial_id}.parquet")
        return None if table is None else dict(table.to_pylist()[0])

    def withdraw(self, trial_id: str) -> None:
        """Take back a row whose promise does not hold, such as that there is a model; the trial runs again."""
        if self.files.exists(f"rows/{trial_id}.parquet"):
            self.files.set_aside(f"rows/{trial_id}.parquet")

    def incomplete(self) -> set[str]:
        """Trials of which outputs or tests were damaged and set aside: they run again, their rows stay meanwhile."""
        found: set[str] = set()
        for folder in ("outputs", "evidence"):
            damaged = self.files.names(f"damaged/{folder}")
            there = set(self.files.names(folder)) if damaged else set()
            found |= {name.partition(".")[0] for name in damaged if name not in there}
        return found

    def rows(self) -> pd.DataFrame:
        """All rows, a column for each of `SCHEMA`; through the compacted index, brought up to date on the way.

        A row that cannot be read is set aside with a warning: its trial counts as one that never ran.
        """
        frame: pd.DataFrame = self.compact().select(SCHEMA.names).to_pandas()
        return frame.sort_values("trial_id", ignore_index=True)

    def compact(self) -> pa.Table:
        """Bring the index up to date; returns it. What it holds is not opened again while its file is unchanged."""
        written = {name.removesuffix(".parquet"): at for name, at in self.files.modified("rows").items()}
        index = self._index()
        entries = zip(index.column("trial_id").to_pylist(), index.column("modified_ns").to_pylist(), strict=True)
        current = [at != 0 and written.get(trial_id) == at for trial_id, at in entries]  # 0: a store that has no times
        known = index.filter(pa.array(current, pa.bool_()))
        fresh = sorted(set(written) - set(known.column("trial_id").to_pylist()))
        if not fresh and len(known) == len(index):
            return index
        with ThreadPoolExecutor(READERS) as pool:
            tables = [
                self._joined(pool, fresh[first : first + AT_ONCE], written) for first in range(0, len(fresh), AT_ONCE)
            ]
        table = pa.concat_tables([known, *tables]).combine_chunks()
        with contextlib.suppress(OSError):  # the index only saves time: a folder may be full, or not ours to write
            self.write_table("index.parquet", table)
        return table

    def _joined(self, pool: ThreadPoolExecutor, trial_ids: Sequence[str], written: Mapping[str, int]) -> pa.Table:
        """Rows as one table without seams: a table of one row takes 140 kB, of which a few are the row's."""
        parts = pool.map(self._read, [f"rows/{trial_id}.parquet" for trial_id in trial_ids])
        tables = [
            part.append_column(_INDEX.field("modified_ns"), [[written[trial_id]]])
            for trial_id, part in zip(trial_ids, parts, strict=True)
            if part is not None
        ]
        return pa.concat_tables([_INDEX.empty_table(), *tables]).combine_chunks()

    def _index(self) -> pa.Table:
        table = self.read_table("index.parquet")
        return table if table is not None and table.schema == _INDEX else _INDEX.empty_table()

    def read_table(self, name: str) -> pa.Table | None:
        """A Parquet file of `write_table`; None where there is none. A damaged one is set aside, with a warning.

        Raises:
            ValueError: rows of version 0.1, whose trials have other ids.
        """
        content = self.files.read_bytes(name)
        if content is None:
            return None
        try:
            return read_sealed_parquet(content)
        except (DigestMismatch, pa.ArrowException, OSError) as error:
            self._refuse_first_version(name, content)
            self.files.set_aside(name, error)
            return None

    def write_table(self, name: str, table: pa.Table, **options: Any) -> None:
        """Write a Parquet file that holds its digest; `options` as of `pyarrow.parquet.ParquetWriter`."""
        self.files.write_bytes(name, sealed_parquet(table, **options))

    def _read(self, name: str) -> pa.Table | None:
        """A trial's row; None where there is none that can be read."""
        table = self.read_table(name)
        if table is None or (len(table) == 1 and table.schema == SCHEMA):
            return table
        if len(table) == 1:
            return pa.table([as_column(table, field) for field in SCHEMA], schema=SCHEMA)
        self.files.set_aside(name, f"{len(table)} rows where there should be one")
        return None

    def _refuse_first_version(self, name: str, content: bytes) -> None:
        """Files of version 0.1 hold no digest, which makes none of them damaged."""
        with contextlib.suppress(pa.ArrowException, OSError, KeyError):
            versions = pq.read_table(pa.BufferReader(content), columns=["package_version"])["package_version"]
            if len(versions) and str(versions[0]).startswith("0.1."):
                raise ValueError(
                    f"{name} in {self.files.location} was written by version {versions[0]}, whose trials have other "
                    "ids. Choose another results folder, or read this one with that version."
                )


def as_column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    """A column as SCHEMA has it; nulls where an older row lacks it."""
    name = field.name
    if name not in table.schema.names:
        return pa.nulls(len(table), field.type)
    return table.column(name).cast(field.type)


def open_store(location: str | Path) -> Store:
    """A results folder by path or by file-system URI (`s3://…`, `gs://…`); nothing is created yet."""
    text = str(location)
    if "://" in text:
        return Store(Folder(text))
    path = absolute_path(text).resolve()
    if file := next((part for part in (path, *path.parents) if part.is_file()), None):
        raise ValueError(f"{text} cannot be a results folder: {file} is a file. Choose another folder")
    return Store(Folder(path.as_uri()))


def read_rows(location: str | Path) -> pd.DataFrame:
    """All rows of a results folder, one a trial, with the columns of `SCHEMA`, and `sweeps`: those that planned it."""
    store = open_store(location)
    return with_sweeps(store.rows(), recorded_sweeps(store.files))
