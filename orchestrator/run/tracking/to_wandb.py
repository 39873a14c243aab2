"""Log a run per trial to W&B, in the group of the sweep: offline into RESULTS/wandb, unless WANDB_MODE is set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # before the import

import wandb

PROJECT = "speech-unlearning"  # unless WANDB_PROJECT is set


def open_tracker(folder: Path | None) -> ToWandb:
    """Return a client that writes to `WANDB_DIR`, or to `wandb/` in `folder`."""
    return ToWandb(os.environ.get("WANDB_DIR") or str(folder))


class ToWandb:
    """The runs of the trials that are under way; several at once."""

    def __init__(self, folder: str) -> None:
        """Write below `folder`. Nothing about this machine, its user or its command line is logged."""
        self.folder = folder
        self.mode: Any = os.environ.get("WANDB_MODE", "offline")
        self.quiet = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
        )
        self.runs: dict[str, wandb.Run] = {}

    def begin(self, trial_id: str, name: str, group: str, settings: Mapping[str, Any]) -> None:
        """Start the run; its id is that of the trial, so that a second attempt continues it online."""
        self.runs[trial_id] = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            group=group,
            id=trial_id,
            name=name,
            config=dict(settings),
            dir=self.folder,
            mode=self.mode,
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",
            settings=self.quiet,
        )
        self.runs[trial_id].define_metric("curve/*", step_metric="epoch")

    def point(self, trial_id: str, step: int, values: Mapping[str, float]) -> None:
        """Log values whose names begin with `curve/`, over `epoch`."""
        self.runs[trial_id].log({"epoch": step, **{f"curve/{name}": value for name, value in values.items()}})

    def end(self, trial_id: str, status: str, settings: Mapping[str, Any], measures: Mapping[str, float]) -> None:
        """Write settings and the summary, and finish the run."""
        run = self.runs.pop(trial_id)
        run.config.update(dict(settings))  # type: ignore[no-untyped-call]
        run.summary.update({"status": status, **{f"final/{name}": value for name, value in measures.items()}})
        run.finish(exit_code=0 if status in ("done", "pruned") else 1)

    def leave(self, trial_id: str) -> None:
        """Finish the run as failed."""
        self.runs.pop(trial_id).finish(exit_code=255)
