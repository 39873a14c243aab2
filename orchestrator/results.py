"""The results folder: one Parquet row a trial, and what trials share; local or on any pyarrow file system."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

STATUSES = {
    "done": "finished; a diverged line does not appear here",
    "diverged": "the loss left the finite numbers: lower the learning rate, or tune it with `unlearn tune`",
    "failed": "an error in a method, a backbone or a corpus: read `error`; `unlearn run --retry failed` runs it again",
    "pruned": "a search stopped it early",
    "blocked": "what it depends on did not finish: mend that first",
}

_PARTS = ("forget", "retain", "test", "validation", "holdout")
_TEXT = [
    "trial_id",
    "sweep",
    "stage",
    "task",
    "task_kind",
    "backbone",
    "method",
    "method_label",
    "superloss",
    "settings",
    "unlearning",
    "forget_rule",
    "forget_classes",
    "status",
    "stop_reason",
    "error",
    "lock",
    "mia_reference",
    "budget_source",
    "study_id",
    "objective_rule",
    "device",
    "git_commit",
    "package_version",
    "torch_version",
    "hardware",
    "parent_original",
    "parent_retrain",
    "original_settings",
    "backbone_content",
    "corpus_fingerprint",
    "started_at",
    "finished_at",
]
_WHOLE = [
    "seed",
    "original_seed",
    "steps",
    "peak_memory_bytes",
    "num_train",
    "num_forget",
    "num_retain",
    "num_test",
    "num_validation",
    "num_holdout",
    "num_classes",
    "parameters",
    "study_trial",
    "threads",
]
_REAL = [
    "forget_ratio",
    "requested_forget_ratio",
    "forget_true_label_accuracy",
    "test_accuracy_kept_classes",
    "test_accuracy_forgotten_classes",
    "validation_accuracy_kept_classes",
    "validation_accuracy_forgotten_classes",
    "mia_nonmember",
    "mia_auc",
    "mia_accuracy",
    "chance_accuracy",
    "constant_predictor_accuracy",
    "optimisation_seconds",
    "preparation_seconds",
    "evaluation_seconds",
    "total_seconds",
    "budget_seconds",
    "budget_samples",
    "budget_fraction",
    "budget_used",
    "samples",
    "objective",
]
SCHEMA = pa.schema(
    [(name, pa.string()) for name in _TEXT]
    + [(name, pa.int64()) for name in _WHOLE]
    + [(f"{part}_{measure}", pa.float64()) for part in _PARTS for measure in ("accuracy", "macro_f1", "loss")]
    + [(name, pa.float64()) for name in _REAL]
    + [(name, pa.bool_()) for name in ("collapsed", "tuning")]
)
"""The only list of columns. Fractions lie in 0-1; times are in seconds; `settings` and `superloss` are JSON."""


@dataclass(frozen=True)
class Store:
    """A results folder: `rows/`, `models/`, `logits/`, `outputs/`, `unlearned/`, and the sweeps that were run."""

    location: str  # an absolute path or a URI; see `open_store`
    _opened: list[Any] = field(default_factory=list, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location, "_opened": []}  # file systems are opened again in another process

    def _fs(self) -> tuple[pafs.FileSystem, str]:
        if not self._opened:
            self._opened.append(pafs.FileSystem.from_uri(self.location))
        fs, root = self._opened[0]
        return fs, root

    @property
    def local_path(self) -> Path | None:
        """The folder, where it is one of this machine."""
        fs, root = self._fs()
        return Path(root) if isinstance(fs, pafs.LocalFileSystem) else None

    def read_bytes(self, name: str) -> bytes | None:
        """A file's content, or None where there is none."""
        fs, root = self._fs()
        try:
            with fs.open_input_stream(f"{root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all: by rename on a local folder, by one upload on an object store."""
        fs, root = self._fs()
        target = f"{root}/{name}"
        folder, _, base = target.rpartition("/")
        if not isinstance(fs, pafs.LocalFileSystem):
            with fs.open_output_stream(target) as stream:
                stream.write(content)
            return
        fs.create_dir(folder, recursive=True)
        scratch = f"{folder}/.{base}.{uuid.uuid4().hex[:8]}"
        try:
            with open(scratch, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            os.replace(scratch, target)
        finally:
            if os.path.exists(scratch):
                os.unlink(scratch)

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        fs, root = self._fs()
        return bool(fs.get_file_info(f"{root}/{name}").type == pafs.FileType.File)

    def names(self, folder: str) -> list[str]:
        """File names in a folder, without those that begin with a dot; empty where there is no folder."""
        fs, root = self._fs()
        found = fs.get_file_info(pafs.FileSelector(f"{root}/{folder}", allow_not_found=True))
        return sorted(f.base_name for f in found if f.type == pafs.FileType.File and not f.base_name.startswith("."))

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        fs, root = self._fs()
        if self.exists(name):
            fs.delete_file(f"{root}/{name}")

    # --- rows

    def commit(self, row: Mapping[str, Any]) -> None:
        """Write a trial's row; a second commit of the same trial replaces the first.

        Raises:
            ValueError: a key that is no column.
        """
        unknown = set(row) - set(SCHEMA.names)
        if unknown:
            raise ValueError(f"no such column: {', '.join(sorted(unknown))}; results.SCHEMA is the list")
        table = pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names}], schema=SCHEMA)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self.write_bytes(f"rows/{row['trial_id']}.parquet", sink.getvalue().to_pybytes())

    def row(self, trial_id: str) -> dict[str, Any] | None:
        """A trial's row, or None."""
        content = self.read_bytes(f"rows/{trial_id}.parquet")
        if content is None:
            return None
        return dict(pq.read_table(pa.BufferReader(content)).to_pylist()[0])

    def rows(self) -> pd.DataFrame:
        """All rows, a column for each of `SCHEMA`; through the compacted index, brought up to date on the way."""
        index = self._index()
        present = {name.removesuffix(".parquet") for name in self.names("rows")}
        known = set() if index is None else set(index.column("trial_id").to_pylist())
        tables = (
            []
            if index is None
            else [index.filter(pa.array([i in present for i in index.column("trial_id").to_pylist()]))]
        )
        stale = self._rewritten(known & present)
        if stale and tables:
            tables = [tables[0].filter(pa.array([i not in stale for i in tables[0].column("trial_id").to_pylist()]))]
        fresh = sorted((present - known) | stale)
        tables += [pq.read_table(pa.BufferReader(self.read_bytes(f"rows/{i}.parquet"))).cast(SCHEMA) for i in fresh]
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        if fresh or (index is not None and len(present) < len(known)):
            self._write_index(table)
        frame: pd.DataFrame = table.to_pandas()
        return frame.sort_values("trial_id", ignore_index=True)

    def statuses(self) -> dict[str, str]:
        """Status of every finished trial, by id."""
        rows = self.rows()
        return dict(zip(rows["trial_id"], rows["status"], strict=True))

    def _index(self) -> pa.Table | None:
        content = self.read_bytes("index.parquet")
        if content is None:
            return None
        try:
            table = pq.read_table(pa.BufferReader(content))
        except pa.ArrowInvalid:
            return None  # torn by a full disk; rebuilt from the rows
        return table if table.schema.names == SCHEMA.names else None

    def _write_index(self, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self.write_bytes("index.parquet", sink.getvalue().to_pybytes())

    def _rewritten(self, ids: Iterable[str]) -> set[str]:
        """Rows that were committed anew after the index was written."""
        fs, root = self._fs()
        index = fs.get_file_info(f"{root}/index.parquet")
        if index.mtime_ns is None:
            return set()
        wanted = {f"{i}.parquet" for i in ids}
        infos = fs.get_file_info(pafs.FileSelector(f"{root}/rows", allow_not_found=True))
        return {
            f.base_name.removesuffix(".parquet")
            for f in infos
            if f.base_name in wanted and (f.mtime_ns or 0) >= index.mtime_ns
        }


def open_store(location: str | Path) -> Store:
    """A results folder by path or by file-system URI (`s3://…`, `gs://…`); nothing is created yet."""
    text = str(location)
    if "://" in text:
        return Store(text)
    path = Path(text).expanduser().resolve()
    if path.is_file():
        raise ValueError(f"a results folder is needed, got the file {path}")
    return Store(path.as_uri())


def read_rows(location: str | Path) -> pd.DataFrame:
    """All rows of a results folder, one a trial, with the columns of `SCHEMA`."""
    return open_store(location).rows()


def record_sweep(store: Store, name: str, values: Mapping[str, Any], trial_ids: list[str]) -> None:
    """Keep what a launch planned, so that `status` and `report` know what is missing."""
    content = {"name": name, "sweep": values, "trials": trial_ids}
    store.write_bytes(f"sweeps/{name}.json", json.dumps(content, indent=1, default=str).encode())


def recorded_sweeps(store: Store) -> list[dict[str, Any]]:
    """What launches on this folder planned."""
    return [json.loads(store.read_bytes(f"sweeps/{name}") or b"{}") for name in store.names("sweeps")]
