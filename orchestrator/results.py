"""The results folder: one Parquet row a trial, and what trials share; local or on any pyarrow file system."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.files import Folder

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
    "micro_batch",
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

    files: Folder

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
        self.files.write_bytes(f"rows/{row['trial_id']}.parquet", sink.getvalue().to_pybytes())

    def row(self, trial_id: str) -> dict[str, Any] | None:
        """A trial's row, or None."""
        content = self.files.read_bytes(f"rows/{trial_id}.parquet")
        if content is None:
            return None
        return dict(pq.read_table(pa.BufferReader(content)).to_pylist()[0])

    def rows(self) -> pd.DataFrame:
        """All rows, a column for each of `SCHEMA`; through the compacted index, brought up to date on the way."""
        written = {name.removesuffix(".parquet"): at for name, at in self.files.modified("rows").items()}
        index = self._index()
        indexed_at = self.files.modified("").get("index.parquet", 0)
        current = [written.get(i, indexed_at) < indexed_at for i in index.column("trial_id").to_pylist()]
        tables = [index.filter(pa.array(current, pa.bool_()))]
        fresh = sorted(set(written) - set(tables[0].column("trial_id").to_pylist()))
        parts = [self.files.read_bytes(f"rows/{i}.parquet") for i in fresh]
        tables += [pq.read_table(pa.BufferReader(part)).cast(SCHEMA) for part in parts if part is not None]
        table = pa.concat_tables(tables)
        if len(fresh) or len(table) < len(index):
            self._write_index(table)
        frame: pd.DataFrame = table.to_pandas()
        return frame.sort_values("trial_id", ignore_index=True)

    def statuses(self) -> dict[str, str]:
        """Status of every finished trial, by id."""
        rows = self.rows()
        return dict(zip(rows["trial_id"], rows["status"], strict=True))

    def _index(self) -> pa.Table:
        content = self.files.read_bytes("index.parquet")
        if content is None:
            return SCHEMA.empty_table()
        try:
            table = pq.read_table(pa.BufferReader(content))
        except pa.ArrowInvalid:
            return SCHEMA.empty_table()  # torn by a full disk; rebuilt from the rows
        return table if table.schema.names == SCHEMA.names else SCHEMA.empty_table()

    def _write_index(self, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        self.files.write_bytes("index.parquet", sink.getvalue().to_pybytes())


def open_store(location: str | Path) -> Store:
    """A results folder by path or by file-system URI (`s3://…`, `gs://…`); nothing is created yet."""
    text = str(location)
    if "://" in text:
        return Store(Folder(text))
    path = Path(text).expanduser().resolve()
    if path.is_file():
        raise ValueError(f"a results folder is needed, got the file {path}")
    return Store(Folder(path.as_uri()))


def read_rows(location: str | Path) -> pd.DataFrame:
    """All rows of a results folder, one a trial, with the columns of `SCHEMA`."""
    return open_store(location).rows()


def record_sweep(store: Store, name: str, values: Mapping[str, Any], trial_ids: list[str]) -> None:
    """Keep what a launch planned, so that `status` and `report` know what is missing."""
    content = {"name": name, "sweep": values, "trials": trial_ids}
    store.files.write_bytes(f"sweeps/{name}.json", json.dumps(content, indent=1, default=str).encode())


def recorded_sweeps(store: Store) -> list[dict[str, Any]]:
    """What launches on this folder planned."""
    return [json.loads(store.files.read_bytes(f"sweeps/{name}") or b"{}") for name in store.files.names("sweeps")]
