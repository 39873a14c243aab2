"""What Ray's errors mean for a launch: whether a trial, its process or its machine failed.

Tune keeps a trial's error as text, and its exception in a pickle; nothing is unpickled here. The table `MESSAGES` has
the phrases of Ray that decide. tests/run/executors/test_ray_failures.py makes Ray write each of them except a
preemption, which only a cloud can cause.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

Failure = Literal["machine", "death", "error"]
"""A machine that is gone or was taken away, a worker process that died, or an error that the trial raised."""

Phrase = Literal["actor", "not made", "node died", "preempted", "start timed out"]
MESSAGES: dict[Phrase, str] = {
    "actor": "The actor ",  # first words of an error about an actor's process, not of one that its code raised
    "not made": "creation task",  # of an actor whose constructor failed
    "node died": "node has died",
    "preempted": "preempt",
    "start timed out": "timed out during startup",  # in the text of a bare Exception of `ray.init`
}


def failure_of(text: str) -> Failure:
    """Return which part failed, by the text of the error that Tune kept of a trial."""
    if not text.startswith(MESSAGES["actor"]) or MESSAGES["not made"] in text:
        return "error"
    return "machine" if MESSAGES["node died"] in text or MESSAGES["preempted"] in text else "death"


def failure_of_trial(trial: Any) -> tuple[Failure, str]:
    """Return which part of a Tune trial failed, and the text of its error; empty if Tune kept none.

    The text is read from Tune's own folder of the trial on the driver's machine.
    """
    written = Path(trial.error_file or "")
    text = written.read_text(errors="replace").partition("\n")[2] if written.is_file() else ""
    return failure_of(text), text


def start_timed_out(error: BaseException) -> bool:
    """Return whether `ray.init` gave up on a machine that is busy; a second try may help."""
    return MESSAGES["start timed out"] in str(error)
