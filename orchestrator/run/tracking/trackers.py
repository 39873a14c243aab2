"""The trackers by name, what each needs, and where it writes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from orchestrator.extras import require_extras
from orchestrator.results.store import open_store

PLACES = {"tensorboard": "", "mlflow": "MLFLOW_TRACKING_URI", "wandb": "WANDB_DIR"}
"""The variable that says where a tracker writes; otherwise it writes into the results folder, which must be local."""


class Tracker(Protocol):
    """A client of one tracking tool; called in a process of its own, and may raise anything."""

    def begin(self, trial_id: str, name: str, group: str, settings: Mapping[str, Any]) -> None:
        """Start the run of a trial."""

    def point(self, trial_id: str, step: int, values: Mapping[str, float]) -> None:
        """Add a point of its curve; `step` is the number of epochs that have ended."""

    def end(self, trial_id: str, status: str, settings: Mapping[str, Any], measures: Mapping[str, float]) -> None:
        """End its run with the final settings and measures."""

    def leave(self, trial_id: str) -> None:
        """End its run as interrupted: the trial left no row."""


def check_trackers(names: Sequence[str], results: str | Path) -> None:
    """Check that the trackers of a sweep can be used; nothing is imported or written.

    Raises:
        MissingExtra: the extra of a tracker is not installed.
        ValueError: a tracker would write into a results folder that is not local.
    """
    for name in names:
        require_extras(f"log_to: [{name}]", name)
        is_local = open_store(results).files.location.startswith("file:")
        if not is_local and not (PLACES[name] and os.environ.get(PLACES[name])):
            advice = (
                f"set {PLACES[name]}" if PLACES[name] else "choose a local results folder, or remove it from log_to"
            )
            raise ValueError(
                f"log_to: {name} writes into the results folder, which must be a local folder; got {results}. {advice}"
            )


def open_tracker(name: str, folder: Path | None) -> Tracker:
    """Import a tracking tool and return its client, which writes below `folder` unless a variable says where."""
    module = import_module(f"orchestrator.run.tracking.to_{name}")
    tracker: Tracker = module.open_tracker(folder)
    return tracker
