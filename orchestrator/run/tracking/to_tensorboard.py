"""Write a folder of TensorBoard events per trial: RESULTS/tensorboard/SWEEP/TRIAL."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from orchestrator.file_names import file_name


def open_tracker(folder: Path | None) -> ToTensorboard:
    """Return a client that writes below `folder`."""
    assert folder is not None
    return ToTensorboard(folder / "tensorboard")


class ToTensorboard:
    """Writers of the trials that run."""

    def __init__(self, folder: Path) -> None:
        """Write below `folder`, from which `tensorboard --logdir` reads."""
        self.folder = folder
        self.writers: dict[str, EventFileWriter] = {}
        self.settings: dict[str, Mapping[str, Any]] = {}
        self.steps: dict[str, int] = {}

    def begin(self, trial_id: str, name: str, group: str, settings: Mapping[str, Any]) -> None:
        """Open a new folder; one of an interrupted run is replaced."""
        folder = self.folder / file_name(group) / f"{settings['method']}-{trial_id}"
        shutil.rmtree(folder, ignore_errors=True)
        self.writers[trial_id] = EventFileWriter(str(folder), flush_secs=5)
        self.settings[trial_id], self.steps[trial_id] = settings, 0
        self._add(trial_id, text_pb("trial", name))

    def point(self, trial_id: str, step: int, values: Mapping[str, float]) -> None:
        """Write scalars, grouped under `curve`."""
        self.steps[trial_id] = max(step, self.steps[trial_id])
        for name, value in values.items():
            self._add(trial_id, scalar_pb(f"curve/{name}", value), step)

    def end(self, trial_id: str, status: str, settings: Mapping[str, Any], measures: Mapping[str, float]) -> None:
        """Write final scalars, and the settings for the tab with hyperparameters."""
        for name, value in measures.items():
            self._add(trial_id, scalar_pb(f"final/{name}", value), self.steps[trial_id])
        self._add(trial_id, hparams_pb({**self.settings[trial_id], **settings}, trial_id=trial_id))
        self._add(trial_id, text_pb("status", status))
        self._close(trial_id)

    def leave(self, trial_id: str) -> None:
        """Close the files as they are."""
        self._close(trial_id)

    def _add(self, trial_id: str, summary: Summary, step: int = 0) -> None:
        self.writers[trial_id].add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def _close(self, trial_id: str) -> None:
        self.writers.pop(trial_id).close()
        del self.settings[trial_id], self.steps[trial_id]
