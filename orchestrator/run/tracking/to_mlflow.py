"""Log a run per trial to MLflow, in the experiment of the sweep: MLFLOW_TRACKING_URI, or RESULTS/mlflow.db."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Before the import: no usage reports, and a server that is gone is given up within half a minute.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

STATUS = {"done": "FINISHED", "pruned": "FINISHED"}  # of MLflow, by the status of a row
LONGEST_VALUE = 500  # characters, which every kind of MLflow store takes


def open_tracker(folder: Path | None) -> ToMlflow:
    """Return a client of the server that `MLFLOW_TRACKING_URI` names, or of a database in `folder`."""
    return ToMlflow(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder}/mlflow.db")


class ToMlflow:
    """A client, and the runs of the trials that are under way."""

    def __init__(self, uri: str) -> None:
        """Log to a server, a database or a folder."""
        self.client = MlflowClient(uri)
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self.steps: dict[str, int] = {}

    def begin(self, trial_id: str, name: str, group: str, settings: Mapping[str, Any]) -> None:
        """Create the run, and the experiment with the first one."""
        if group not in self.experiments:
            found = self.client.get_experiment_by_name(group)
            self.experiments[group] = found.experiment_id if found else self.client.create_experiment(group)
        tags = {"trial_id": trial_id, "sweep": group}
        self.runs[trial_id] = self.client.create_run(self.experiments[group], tags=tags, run_name=name).info.run_id
        self.steps[trial_id] = 0
        self.client.log_batch(self.runs[trial_id], params=_params(settings))

    def point(self, trial_id: str, step: int, values: Mapping[str, float]) -> None:
        """Log metrics whose names begin with `curve/`."""
        self.steps[trial_id] = max(step, self.steps[trial_id])
        self.client.log_batch(self.runs[trial_id], metrics=_metrics("curve", values, step))

    def end(self, trial_id: str, status: str, settings: Mapping[str, Any], measures: Mapping[str, float]) -> None:
        """Log final metrics and settings, and end the run."""
        metrics = _metrics("final", measures, self.steps[trial_id])
        self.client.log_batch(self.runs[trial_id], metrics=metrics, params=_params(settings))
        self.client.set_tag(self.runs[trial_id], "status", status)
        self._terminate(trial_id, STATUS.get(status, "FAILED"))

    def leave(self, trial_id: str) -> None:
        """Mark the run as killed."""
        self._terminate(trial_id, "KILLED")

    def _terminate(self, trial_id: str, status: str) -> None:
        self.client.set_terminated(self.runs.pop(trial_id), status)
        del self.steps[trial_id]


def _metrics(group: str, values: Mapping[str, float], step: int) -> list[Metric]:
    now = int(1000 * time.time())
    return [Metric(f"{group}/{name}", value, now, step) for name, value in values.items()]


def _params(settings: Mapping[str, Any]) -> list[Param]:
    return [Param(name, str(value)[:LONGEST_VALUE]) for name, value in settings.items()]
