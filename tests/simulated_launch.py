"""A launch of six trials, told to a display event by event, with a clock that tests move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.plan.grid import Refusal, build_grid
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.run.assignment import IntermediateResult
from orchestrator.run.progress.observer import Launch, LaunchObserver, LaunchOutcome

FEATURES = "features of espeak_keywords for logmel_cnn"


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def trials() -> list[TrialSpec]:
    values = {
        "name": "t", "tasks": ["espeak_keywords"], "backbones": ["logmel_cnn"], "unlearning": [{"kind": "class"}],
        "methods": ["original", "retrain", "scrub", "salun", "ssd"], "seeds": [0],
    }  # fmt: skip
    return build_grid(Sweep.model_validate(values)).trials


def launch(specs: list[TrialSpec], **changes: Any) -> Launch:
    found = {"pending": specs, "num_found": 0, "refused": (), "medians": {}, "results": "results/demo", **changes}
    return Launch(**found)


def row(status: str = "done", seconds: float = 4.0, **changes: Any) -> dict[str, Any]:
    return {"status": status, "total_seconds": seconds, "error": "", "note": "", **changes}


def run(display: Any, clock: Clock, *, until: str = "") -> None:
    """Tell the display of a launch in which SalUn fails; stop before the event named `until`."""
    specs = trials()
    train, retrain, scrub, salun = (
        next(s for s in specs if (s.stage, s.method_name) in (stage_line,))
        for stage_line in (("train", "original"), ("retrain", "retrain"), ("unlearn", "scrub"), ("unlearn", "salun"))
    )
    failed = row("failed", 2.0, error="Traceback (most recent call last):\n  File\nValueError: no mask\nsecond line")

    def wait(seconds: float) -> None:
        clock.now += seconds

    def scrub_learns() -> None:
        wait(40)
        learnt = IntermediateResult(phase="unlearning", epoch=2, epochs=3, accuracy=0.7125)
        display.progressed(scrub, learnt)

    steps = {
        "corpus": lambda: display.preparing("corpus of espeak_keywords"),
        "corpus made": lambda: (wait(4.2), display.prepared("corpus of espeak_keywords")),
        "plan": lambda: display.planned(launch(specs, refused=[Refusal("task x", "no files", 0)])),
        "ready": lambda: display.ready(2),
        "first trial": lambda: display.started(train),
        "features": lambda: display.progressed(train, IntermediateResult(phase="preparing", preparing=FEATURES)),
        "features made": lambda: (wait(3), display.progressed(train, IntermediateResult(phase="training"))),
        "first row": lambda: (wait(20), display.finished(train, row(seconds=23.0))),
        "more trials": lambda: (display.started(scrub), display.started(salun)),
        "epoch": scrub_learns,
        "failure": lambda: display.finished(salun, failed),
        "retrain": lambda: (display.finished(scrub, row(seconds=42.0)), display.started(retrain)),
        "end": lambda: display.ended(LaunchOutcome({"done": 5, "failed": 1}, num_left=0)),
    }
    for name, step in steps.items():
        if name == until:
            return
        step()


class Recorder(LaunchObserver):
    """Keeps what it is told, in order: `(event, of what, value)`."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, Any]] = []

    def of(self, event: str) -> list[tuple[str, Any]]:
        return [(what, value) for name, what, value in self.events if name == event]

    def preparing(self, what: str) -> None:
        self.events.append(("preparing", what, None))

    def prepared(self, what: str) -> None:
        self.events.append(("prepared", what, None))

    def planned(self, launch: Launch) -> None:
        self.events.append(("planned", "", launch))

    def ready(self, slots: int) -> None:
        self.events.append(("ready", "", slots))

    def started(self, spec: TrialSpec) -> None:
        self.events.append(("started", spec.trial_id, spec))

    def progressed(self, spec: TrialSpec, result: IntermediateResult) -> None:
        self.events.append(("progressed", spec.trial_id, result))

    def returned(self, spec: TrialSpec) -> None:
        self.events.append(("returned", spec.trial_id, spec))

    def finished(self, spec: TrialSpec, row: Mapping[str, Any]) -> None:
        self.events.append(("finished", spec.trial_id, row["status"]))

    def blocked(self, spec: TrialSpec) -> None:
        self.events.append(("blocked", spec.trial_id, spec))

    def ended(self, outcome: LaunchOutcome | None) -> None:
        self.events.append(("ended", "", outcome))
