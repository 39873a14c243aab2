"""Name the files that trials have in one folder of a results folder."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.results.storage import DAMAGED, Folder


@dataclass(frozen=True)
class Shelf:
    """A folder inside a results folder with one file for each trial, named after the trial's id."""

    files: Folder
    folder: str
    suffix: str  # with its dot; empty where each trial has a folder of its own

    def path(self, trial_id: str) -> str:
        """Return the name of a trial's file, relative to the results folder."""
        assert "." not in trial_id, f"{trial_id} would be taken for an id and a suffix"
        return f"{self.folder}/{trial_id}{self.suffix}"

    def modified(self) -> dict[str, int]:
        """Return the ids of the trials that have a file, with the file's last change in ns since the epoch."""
        parts = {name.partition("."): at for name, at in self.files.modified(self.folder).items()}
        return {trial_id: at for (trial_id, dot, rest), at in parts.items() if dot + rest == self.suffix}

    def ids(self) -> set[str]:
        """Return the ids of the trials that have a file."""
        return set(self.modified())

    def lost_ids(self) -> set[str]:
        """Return the ids of trials of which a file of this folder was set aside as damaged and not written again."""
        damaged = self.files.names(f"{DAMAGED}/{self.folder}")
        present = set(self.files.names(self.folder)) if damaged else set()
        return {name.partition(".")[0] for name in damaged if name not in present}
