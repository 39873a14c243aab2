"""Read and write a results folder: rows and the files of trials, in a local folder or on any pyarrow file system."""

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
from orchestrator.results.shelf import Shelf
from orchestrator.results.storage import Folder
from orchestrator.results.sweep_records import recorded_sweeps, with_sweeps

if TYPE_CHECKING:
    import pandas as pd

INDEX_FILE = "index.parquet"  # all rows, with the last change of each row's file: an entry is valid while that is equal
_INDEX = SCHEMA.append(pa.field("modified_ns", pa.int64()))
READERS = 16  # threads that read rows; on an object store each waits for the network
AT_ONCE = 500  # how many tables of one row each are in memory


@dataclass(frozen=True)
class Store:
    """A results folder (docs/results.md). Each property is the shelf of one kind of file that trials have."""

    files: Folder

    @property
    def row_files(self) -> Shelf:
        """Rows; `row`, `rows` and `commit` read and write them."""
        return Shelf(self.files, "rows", ".parquet")

    @property
    def models(self) -> Shelf:
        """Weights of originals, and of models from which later requests of a sequence start."""
        return Shelf(self.files, "models", ".safetensors")

    @property
    def artifacts(self) -> Shelf:
        """What an unlearning-aware training kept in addition to its original."""
        return Shelf(self.files, "prepared", ".safetensors")

    @property
    def logits(self) -> Shelf:
        """Logits of originals on the whole corpus."""
        return Shelf(self.files, "logits", ".safetensors")

    @property
    def checkpoints(self) -> Shelf:
        """The last epoch of trainings in progress."""
        return Shelf(self.files, "checkpoints", ".safetensors")

    @property
    def outputs(self) -> Shelf:
        """Outputs of a trial's model for each utterance."""
        return Shelf(self.files, "outputs", ".parquet")

    @property
    def embeddings(self) -> Shelf:
        """What the head of a trial's model reads of some utterances (`orchestrator/evidence/embeddings.py`)."""
        return Shelf(self.files, "embeddings", ".parquet")

    @property
    def tests(self) -> Shelf:
        """Results of tests that trained on or probed a trial's model."""
        return Shelf(self.files, "evidence", ".parquet")

    @property
    def curves(self) -> Shelf:
        """Accuracy, loss and charged cost after epochs (`orchestrator/results/curves.py`)."""
        return Shelf(self.files, "curves", ".parquet")

    @property
    def attribution_maps(self) -> Shelf:
        """Attribution maps of a trial's model."""
        return Shelf(self.files, "evidence", ".attribution.parquet")

    @property
    def exported_models(self) -> Shelf:
        """Folders of models that `from_pretrained` loads."""
        return Shelf(self.files, "unlearned", "")

    def commit(self, row: Mapping[str, Any]) -> None:
        """Write a trial's row, with the token of the driver that it ran for; a second commit replaces the first.

        Raises:
            LeaseLost: another driver has the folder.
            ValueError: a key is not a column.
        """
        unknown = set(row) - set(SCHEMA.names)
        if unknown:
            raise ValueError(
                f"a row has columns that do not exist: got {', '.join(sorted(unknown))}; add them to "
                "orchestrator/results/schema.py"
            )
        row = {**row, "driver_token": self.files.driver or row.get("driver_token")}
        table = pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names}], schema=SCHEMA)
        # Most of a row's file describes its columns, so dictionaries and statistics are left out.
        name = self.row_files.path(row["trial_id"])
        self.write_table(name, table, use_dictionary=False, write_statistics=False)

    def row(self, trial_id: str) -> dict[str, Any] | None:
        """Return a trial's row, or None; a row that cannot be read is set aside, so that the trial runs again."""
        table = self._read(self.row_files.path(trial_id))
        return None if table is None else dict(table.to_pylist()[0])

    def withdraw(self, trial_id: str) -> None:
        """Set aside the row of a trial whose files are missing, such as its model; the trial runs again."""
        name = self.row_files.path(trial_id)
        if self.files.exists(name):
            self.files.set_aside(name)

    def incomplete(self) -> set[str]:
        """Return trials whose outputs, embeddings or tests were set aside: they run again, but keep their rows."""
        return self.outputs.lost_ids() | self.embeddings.lost_ids() | self.tests.lost_ids()

    def rows(self) -> pd.DataFrame:
        """Return all rows with the columns of `SCHEMA`, and bring the index up to date.

        A row that cannot be read is set aside with a warning, and its trial counts as not run.
        """
        frame: pd.DataFrame = self.compact().select(SCHEMA.names).to_pandas()
        return frame.sort_values("trial_id", ignore_index=True)

    def compact(self) -> pa.Table:
        """Bring the index up to date and return it. Rows whose files did not change are not read again."""
        written = self.row_files.modified()
        index = self._index()
        entries = zip(index.column("trial_id").to_pylist(), index.column("modified_ns").to_pylist(), strict=True)
        current = [
            at != 0 and written.get(trial_id) == at for trial_id, at in entries
        ]  # 0: the file system has no times
        known = index.filter(pa.array(current, pa.bool_()))
        fresh = sorted(set(written) - set(known.column("trial_id").to_pylist()))
        if not fresh and len(known) == len(index):
            return index
        with ThreadPoolExecutor(READERS) as pool:
            tables = [
                self._joined(pool, fresh[first : first + AT_ONCE], written) for first in range(0, len(fresh), AT_ONCE)
            ]
        table = pa.concat_tables([known, *tables]).combine_chunks()
        with contextlib.suppress(OSError):  # the index only saves time: the folder may be full or read-only
            self.write_table(INDEX_FILE, table)
        return table

    def _joined(self, pool: ThreadPoolExecutor, trial_ids: Sequence[str], written: Mapping[str, int]) -> pa.Table:
        """Read rows as one contiguous table: a table of one row takes 140 kB, of which the row needs a few."""
        parts = pool.map(self._read, map(self.row_files.path, trial_ids))
        tables = [
            part.append_column(_INDEX.field("modified_ns"), [[written[trial_id]]])
            for trial_id, part in zip(trial_ids, parts, strict=True)
            if part is not None
        ]
        return pa.concat_tables([_INDEX.empty_table(), *tables]).combine_chunks()

    def _index(self) -> pa.Table:
        table = self.read_table(INDEX_FILE)
        return table if table is not None and table.schema == _INDEX else _INDEX.empty_table()

    def read_table(self, name: str) -> pa.Table | None:
        """Read a Parquet file of `write_table`; None if there is none. A damaged file is set aside, with a warning.

        Raises:
            ValueError: version 0.1, whose trials have other ids, wrote the file.
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
        """Write a Parquet file that contains its digest; `options` are those of `pyarrow.parquet.ParquetWriter`."""
        self.files.write_bytes(name, sealed_parquet(table, **options))

    def _read(self, name: str) -> pa.Table | None:
        """Read a trial's row as a table of one row; None if there is none that can be read."""
        table = self.read_table(name)
        if table is None or (len(table) == 1 and table.schema == SCHEMA):
            return table
        if len(table) == 1:
            return pa.table([as_column(table, field) for field in SCHEMA], schema=SCHEMA)
        self.files.set_aside(name, f"it has {len(table)} rows instead of one")
        return None

    def _refuse_first_version(self, name: str, content: bytes) -> None:
        """Raise ValueError for a file of version 0.1: it has no digest, but it is not damaged."""
        with contextlib.suppress(pa.ArrowException, OSError, KeyError):
            versions = pq.read_table(pa.BufferReader(content), columns=["package_version"])["package_version"]
            if len(versions) and str(versions[0]).startswith("0.1."):
                raise ValueError(
                    f"{name} in {self.files.shown} was written by version {versions[0]}, whose trials have other "
                    "ids. Choose another results folder, or read this one with that version."
                )


def as_column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    """Return a column with its type in `SCHEMA`; nulls if an older row does not have it."""
    name = field.name
    if name not in table.schema.names:
        return pa.nulls(len(table), field.type)
    return table.column(name).cast(field.type)


def open_store(location: str | Path) -> Store:
    """Open a results folder by path or by file-system URI (`s3://…`, `gs://…`), without creating it.

    Raises:
        ValueError: a part of the path is a file.
    """
    text = str(location)
    if "://" in text:
        return Store(Folder(text))
    path = absolute_path(text).resolve()
    if file := next((part for part in (path, *path.parents) if part.is_file()), None):
        raise ValueError(f"{text} cannot be a results folder: {file} is a file. Choose another folder.")
    return Store(Folder(path.as_uri()))


def read_rows(location: str | Path) -> pd.DataFrame:
    """Return all rows of a results folder with the columns of `SCHEMA`, and `sweeps`: those that planned the trial."""
    store = open_store(location)
    return with_sweeps(store.rows(), recorded_sweeps(store.files))
