"""The process that talks to trackers: records come in as lines of JSON, failures go out the same way.

It reads curves from the results folder by itself. A tracker that fails is dropped, and the others go on.
"""

from __future__ import annotations

import json
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from orchestrator.errors import type_and_first_line
from orchestrator.results.curves import read_curve
from orchestrator.results.store import Store, open_store
from orchestrator.run.tracking.records import curve_values
from orchestrator.run.tracking.trackers import Tracker, open_tracker


class Follower:
    """Sends records to every tracker that still works."""

    def __init__(self, store: Store, names: Sequence[str], out: TextIO) -> None:
        """Open the trackers; `out` gets a line for each that fails."""
        self.store, self.out = store, out
        self.trackers: dict[str, Tracker] = {}
        self.sent: dict[str, set[tuple[str, int]]] = {}  # points by trial under way
        for name in names:
            self._try(name, partial(self._open, name))

    @property
    def folder(self) -> Path | None:
        """Where trackers write by default."""
        return self.store.files.local_path

    def follow(self, lines: Iterable[str]) -> None:
        """Handle records until they end; runs that are open then were interrupted."""
        for line in lines:
            self.handle(json.loads(line))
        for trial_id in list(self.sent):
            self.handle({"event": "left", "trial_id": trial_id})

    def handle(self, record: Mapping[str, Any]) -> None:
        """Pass one record on."""
        event, trial_id = record["event"], record["trial_id"]
        if event == "begin":
            self.sent[trial_id] = set()
            self._each("begin", trial_id, record["name"], record["group"], record["settings"])
            return
        if trial_id not in self.sent:
            return
        if event in ("progress", "end"):
            self._send_points(trial_id)
        if event == "end":
            self._each("end", trial_id, record["status"], record["settings"], record["measures"])
        if event == "left":
            self._each("leave", trial_id)
        if event != "progress":
            del self.sent[trial_id]

    def _open(self, name: str) -> None:
        self.trackers[name] = open_tracker(name, self.folder)

    def _send_points(self, trial_id: str) -> None:
        for point in read_curve(self.store, trial_id):
            key = (point["point"], point["epoch"])
            if key not in self.sent[trial_id]:
                self.sent[trial_id].add(key)
                self._each("point", trial_id, point["epoch"], curve_values(point))

    def _each(self, what: str, *values: Any) -> None:
        for name, tracker in list(self.trackers.items()):
            self._try(name, partial(getattr(tracker, what), *values))

    def _try(self, name: str, work: Callable[[], Any]) -> None:
        try:
            work()
        except Exception as error:  # whatever a tool raises: it must not stop the others
            self.trackers.pop(name, None)
            print(json.dumps({"tracker": name, "error": type_and_first_line(error)}), file=self.out, flush=True)


def main(arguments: Sequence[str]) -> None:
    """Follow the records of standard input; arguments: the results folder and the names of trackers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the launch, which then ends the input
    warnings.simplefilter("ignore")
    out, sys.stdout = sys.stdout, sys.stderr  # what a tool prints is no record
    location, *names = arguments
    Follower(open_store(location), names, out).follow(sys.stdin)


if __name__ == "__main__":
    main(sys.argv[1:])
