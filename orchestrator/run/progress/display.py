"""What a display knows of a launch, and a display that prints lines: for pipes, logs and files."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.plan.cost import Kind, kind_of, trial_seconds
from orchestrator.plan.duration import exact
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.stages import STAGES
from orchestrator.results.statuses import STATUSES
from orchestrator.run.assignment import IntermediateResult
from orchestrator.run.progress.eta import Medians, Remaining, Started, remaining
from orchestrator.run.progress.observer import Launch, LaunchObserver, LaunchOutcome
from orchestrator.run.progress.text import describe, doing, finished_line, first_error_line

GOOD = ("done", "pruned")
EVERY_SECONDS = 30.0  # between two lines of a plain display that say how far the launch is
SHOWN = 8  # running trials, and failures at the end


@dataclass
class Running:
    """A trial under way."""

    spec: TrialSpec
    since: float
    result: IntermediateResult | None = None

    @property
    def share_done(self) -> float:
        """Share of the epochs of its pass; 0 where it reported none."""
        return (
            self.result.epoch / self.result.epochs if self.result and self.result.epoch and self.result.epochs else 0.0
        )


class LaunchDisplay(LaunchObserver):
    """Prints a line for each thing that was prepared, each trial that ended, and the end of the launch."""

    def __init__(
        self,
        console: Console,
        *,
        command: str = "unlearn run SWEEP",
        then: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The end shows what comes next: `command` where trials are left, else `then`, by default the report."""
        self.console, self.command, self.then, self.clock = console, command, then, clock
        self.began = clock()
        self.launch: Launch | None = None
        self.slots = 1
        self.preparations: dict[str, float] = {}  # since when
        self.running: dict[str, Running] = {}
        self.failures: list[str] = []
        self.num_ended = 0
        self.stages: dict[str, list[int]] = {}  # trials that ended, and all
        self._pending: Counter[Kind] = Counter()
        self._estimates: dict[Kind, float] = {}
        self._medians = Medians()

    def line(self, text: str, style: str = "") -> None:
        """Print one line that stays."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def tick(self) -> None:
        """Called after each event."""

    def preparing(self, what: str) -> None:
        """Remember it; several trials may wait for the same."""
        self.preparations.setdefault(what, self.clock())
        self.tick()

    def prepared(self, what: str) -> None:
        """Say how long it took, once."""
        if (since := self.preparations.pop(what, None)) is not None:
            self.line(f"prepared {what} in {exact(self.clock() - since)}")

    def planned(self, launch: Launch) -> None:
        """Say what there is to do."""
        self.launch, self.num_ended, self._medians = launch, launch.num_found, Medians(launch.medians)
        for spec in launch.pending:
            self._pending[self._estimated(spec)] += 1
            self.stages.setdefault(spec.stage, [0, 0])[1] += 1
        self.line(f"{launch.num_trials} trials: {launch.num_found} in the results folder, {len(launch.pending)} to run")
        for refusal in launch.refused:
            self.line(f"refused {refusal.what}: {refusal.reason}", style="yellow")

    def _estimated(self, spec: TrialSpec) -> Kind:
        """Return a trial's kind, after estimating how long it takes."""
        kind = kind_of(spec)
        if kind not in self._estimates:
            self._estimates[kind] = trial_seconds(spec) / max(1, int(spec.loop["threads"]))
        return kind

    def ready(self, slots: int) -> None:
        """Say how many trials run at once, and how long they will take."""
        self.slots = slots
        self.line(f"{_trials(slots)} at once, {self.remaining()}")

    def started(self, spec: TrialSpec) -> None:
        """A trial runs; one of the results folder runs again if its model is missing there."""
        kind = self._estimated(spec)
        self._pending[kind] = max(0, self._pending[kind] - 1)
        self.running[spec.trial_id] = Running(spec, self.clock())
        self.tick()

    def progressed(self, spec: TrialSpec, result: IntermediateResult) -> None:
        """Remember what a trial does."""
        if trial := self.running.get(spec.trial_id):
            self._prepared_by(trial, but=result.preparing)
            trial.result = result
            if result.preparing:
                self.preparing(result.preparing)
            self.tick()

    def _prepared_by(self, trial: Running, but: str = "") -> None:
        """What a trial prepared is there as soon as it does something else."""
        what = trial.result.preparing if trial.result else ""
        if what and what != but:
            self.prepared(what)

    def returned(self, spec: TrialSpec) -> None:
        """A trial waits again."""
        if self.running.pop(spec.trial_id, None):
            self._pending[kind_of(spec)] += 1

    def finished(self, spec: TrialSpec, row: Mapping[str, Any]) -> None:
        """Say how a trial ended, and why where it did not end well."""
        if trial := self.running.pop(spec.trial_id, None):
            self._prepared_by(trial)
        status = str(row["status"])
        if status == "done" and row.get("total_seconds"):
            self._medians.add(kind_of(spec), float(row["total_seconds"]))
        self._count(spec)
        self.line(f"[{self.num_ended}/{self.num_trials}] {finished_line(spec, row)}")
        if row.get("note"):
            self.line(f"note: {row['note']}", style="yellow")
        if status not in GOOD:
            self.failures.append(f"{status} {spec.trial_id} {describe(spec)}: {first_error_line(row)}")
            self.line(first_error_line(row), style="red")
        self.tick()

    def blocked(self, spec: TrialSpec) -> None:
        """A trial is not waited for any more."""
        self._pending[kind_of(spec)] -= 1
        self._count(spec)

    def _count(self, spec: TrialSpec) -> None:
        self.num_ended = min(self.num_ended + 1, self.num_trials)  # a trial whose model was lost ends twice
        self.stages.setdefault(spec.stage, [0, 1])[0] += 1

    def ended(self, outcome: LaunchOutcome | None) -> None:
        """Say how the launch ended, what failed, and which command comes next."""
        if outcome is None:
            return
        took, left = exact(self.clock() - self.began), f"{_trials(outcome.num_left)} left"
        if outcome.stopped:
            self.line(f"stopped early: {outcome.stopped}", style="red")
            self.line(f"{left} after {took}")
        elif outcome.num_left:
            self.line(f"stopped after {took} with {left}; give the same command again to go on", style="yellow")
        else:
            self.line(f"finished in {took}")
        self.line(", ".join(f"{number} {status}" for status, number in sorted(outcome.counts.items())))
        for status in outcome.counts:
            if status in STATUSES and status not in GOOD:
                self.line(f"{status}: {STATUSES[status]}")
        for failure in self.failures[:SHOWN]:
            self.line(failure, style="red")
        for text in outcome.blocked[:SHOWN]:
            self.line(f"blocked {text}")
        self.line(f"next: {self.next_command(outcome)}")

    def next_command(self, outcome: LaunchOutcome) -> str:
        """The command that a user gives now."""
        results = shlex.quote(self.launch.results) if self.launch else "RESULTS"
        if outcome.counts.get("failed"):
            return f"{self.command} --retry failed (`unlearn status {results}` lists what failed)"
        return self.then or f"unlearn report {results}" if outcome.is_complete else self.command

    @property
    def num_trials(self) -> int:
        """All trials of the launch."""
        return self.launch.num_trials if self.launch else 0

    def remaining(self) -> Remaining:
        """Time to the end of the launch."""
        now = self.clock()
        running = [Started(kind_of(trial.spec), now - trial.since, trial.share_done) for trial in self.running.values()]
        return remaining(self._pending, running, self._medians.by_kind, self._estimates, self.slots)

    def by_stage(self) -> str:
        """Trials that ended, of those that had to run, by stage."""
        found = ((policy.title, self.stages.get(stage)) for stage, policy in STAGES.items())
        return ", ".join(f"{title} {counts[0]}/{counts[1]}" for title, counts in found if counts)

    def running_line(self, trial: Running) -> str:
        """Say what a trial does, and how long it has run."""
        return f"running {describe(trial.spec)}: {doing(trial.result)} ({exact(self.clock() - trial.since)})"


def _trials(number: int) -> str:
    return f"{number} trial{'' if number == 1 else 's'}"


class PlainDisplay(LaunchDisplay):
    """Says also what is being prepared, and every half minute how far the launch is and what runs."""

    def __init__(self, console: Console, **settings: Any) -> None:
        super().__init__(console, **settings)
        self.said = self.began

    def ready(self, slots: int) -> None:
        """The next line that says how far the launch is comes half a minute from here."""
        super().ready(slots)
        self.said = self.clock()

    def preparing(self, what: str) -> None:
        """Say it before, since it may take long."""
        if what not in self.preparations:
            self.line(f"preparing {what}")
        super().preparing(what)

    def tick(self) -> None:
        """Say how far the launch is."""
        if not self.running or self.clock() - self.said < EVERY_SECONDS:
            return
        self.said = self.clock()
        elapsed = exact(self.clock() - self.began)
        self.line(f"{self.num_ended}/{self.num_trials} ({self.by_stage()}), {elapsed} elapsed, {self.remaining()}")
        for trial in list(self.running.values())[:SHOWN]:
            self.line(self.running_line(trial))
