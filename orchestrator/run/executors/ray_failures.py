"""What Ray's errors mean for a launch: whether a trial, its process or its machine failed.

Fields of the exceptions decide where there are any. The table `MESSAGES` has the phrases of Ray that are needed where
there are none; tests/run/executors/test_ray_failures.py makes Ray write each of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ray import cloudpickle
from ray.exceptions import RayActorError

Failure = Literal["machine", "death", "error"]
"""A machine that is gone or was taken away, a worker process that died, or an error that the trial raised."""

MESSAGES: dict[Literal["node died", "start timed out"], str] = {
    "node died": "node has died",  # in the text of a RayActorError
    "start timed out": "timed out during startup",  # in the text of a bare Exception of `ray.init`
}


def failure_of(error: BaseException | None) -> Failure:
    """Return which part failed, by the error that Tune kept of a trial."""
    if not isinstance(error, RayActorError) or error.actor_init_failed:
        return "error"
    return "machine" if error.preempted or MESSAGES["node died"] in str(error) else "death"


def failure_of_trial(trial: Any) -> tuple[Failure, str]:
    """Return which part of a Tune trial failed, and the text of its error; empty if Tune kept none.

    Both are read from Tune's own folder of the trial on the driver's machine.
    """
    pickled, written = Path(trial.pickled_error_file or ""), Path(trial.error_file or "")
    error = cloudpickle.loads(pickled.read_bytes()) if pickled.is_file() else None
    text = written.read_text(errors="replace").partition("\n")[2] if written.is_file() else ""
    return failure_of(error), text


def start_timed_out(error: BaseException) -> bool:
    """Return whether `ray.init` gave up on a machine that is busy; a second try may help."""
    return MESSAGES["start timed out"] in str(error)
