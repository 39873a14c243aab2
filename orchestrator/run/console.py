"""What a launch shows: the plan, live progress with ETA, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from orchestrator.plan.explain import Explanation, rates_of
from orchestrator.plan.spec import TrialSpec
from orchestrator.plan.stages import STAGES
from orchestrator.plan.tuned_settings import Lock
from orchestrator.results.store import STATUSES
from orchestrator.run.launch import SweepPlan

if TYPE_CHECKING:
    from orchestrator.run.scheduling.dispatcher import Dispatcher

GOOD = ("done", "pruned")


def plan_tables(plan: SweepPlan) -> list[Any]:
    """The plan as a table by stage, what was refused, and the estimate."""
    table = Table(title="plan", caption="a trial's id is the hash of its recipe; the same trial is never run twice")
    for column in ("stage", "trials", "done", "diverged", "failed", "refused", "pending"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, policy in STAGES.items():
        specs = [spec for spec in plan.grid.trials if spec.stage == stage]
        if not specs:
            continue
        refused = plan.grid.refused_ids
        found = [plan.statuses.get(s.trial_id, "refused" if s.trial_id in refused else "pending") for s in specs]
        counted = ("done", "diverged", "failed", "refused", "pending")
        table.add_row(policy.title, str(len(specs)), *(str(found.count(status)) for status in counted))
    once = Table(title="made once", caption="found by what they were made from, and never made a second time")
    for column in ("what", "needed", "there", "trials that share them"):
        once.add_column(column, justify="left" if column == "what" else "right")
    for s in plan.shared:
        once.add_row(s.what, str(s.needed), str(s.there), str(s.uses))
    shown: list[Any] = [table, once]
    shown += [f"[yellow]refused[/yellow] {escape(r.what)}: {escape(r.reason)}" for r in plan.grid.refused]
    if plan.estimate_refused.trials:
        shown.append(plan.estimate_refused.sentence("refused"))
    return [*shown, plan.estimate.sentence()]


def explanation_tables(explanation: Explanation) -> list[Any]:
    """Where a trial's recipe differs from that of the nearest finished trial."""
    spec, nearest = explanation.spec, explanation.nearest_id
    shown: list[Any] = [escape(line) for line in (f"{spec.trial_id}: {_what(spec)}", *rates_of(spec))]
    if explanation.status:
        return [*shown, f"it is in the results folder already: {explanation.status}"]
    if nearest is None:
        return [*shown, f"it runs because no {spec.stage} trial there is done, or none says what it was made from"]
    table = Table(title=f"fields that differ from {nearest}, the nearest {spec.stage} trial that is done")
    for column in ("field", "here", "there"):
        table.add_column(column, overflow="fold")
    for d in explanation.differences:
        table.add_row(*(escape("–" if text is None else text) for text in (d.field, d.here, d.there)))
    return [*shown, table]


def _what(spec: TrialSpec) -> str:
    request, knobs = spec.request, {"superloss": spec.superloss, "curriculum": spec.curriculum, "lora": spec.lora}
    ratio = f" {request['forget_ratio']:g}" if request.get("forget_ratio") else ""
    step = f" (request {len(spec.before) + 1} of {spec.sequence['steps']})" if spec.sequence else ""
    line = " + ".join([spec.line, *(name for name, on in knobs.items() if on)])
    line += f" after {spec.training_title}" if spec.training_kind else ""
    asked = f"{request.get('kind', 'train')}{ratio}{step}"
    return f"{spec.task.title} {spec.backbone.title} {asked} {line} seed {spec.seed}"


def lock_table(lock: Lock) -> Table:
    """The choices of a search."""
    table = Table(title=f"chosen by {lock.rule}, {lock.trials} trials a search, seeds {list(lock.seeds)}")
    for column in ("task", "backbone", "unlearning", "method", "settings", "objective", "default"):
        table.add_column(column)
    for c in lock.choices:
        settings = ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in c.settings.items())
        default = "diverged" if c.default_objective is None else f"{c.default_objective:.4f}"
        method = c.method + (" + SuperLoss" if c.superloss else "") + (" + LoRA" if c.lora else "")
        method += f" after {c.training}" if c.training else ""
        table.add_row(c.task, c.backbone, c.unlearning, method, settings, f"{c.objective:.4f}", default)
    return table


class Display:
    """Live progress of a launch; plain lines where the output is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task: Any = None
        self.total = self.seen = 0

    def planned(self, dispatcher: Dispatcher) -> None:
        """The launch knows what it has to do."""
        self.total, self.seen = len(dispatcher.specs), dispatcher.found
        self.console.print(f"{self.total} trials: {self.seen} in the results folder, {self.total - self.seen} to run")
        for refusal in dispatcher.refused:
            said = f"[yellow]refused[/yellow] {escape(refusal.what)}: {escape(refusal.reason)}"
            self.console.print(said, soft_wrap=True)
        self.task = self.bar.add_task("trials", total=self.total, completed=self.seen)
        self.bar.start()

    def settled(self, spec: TrialSpec, row: Mapping[str, Any]) -> None:
        """A trial ended."""
        self.seen = min(self.seen + 1, self.total)  # a trial whose model was lost comes twice
        self.bar.update(self.task, completed=self.seen)
        status = str(row["status"])
        seconds = row.get("total_seconds") or 0.0
        self.bar.console.print(
            f"[{self.seen}/{self.total}] {status:8} {_what(spec)} ({seconds:.1f} s)", highlight=False
        )
        if row.get("note"):
            self.bar.console.print(escape(f"note: {row['note']}"), style="yellow", highlight=False)
        if status not in GOOD and row.get("error"):
            self.bar.console.print(escape(str(row["error"]).strip().splitlines()[-1]), style="red", highlight=False)

    def stop(self) -> None:
        """Take the bar away."""
        self.bar.stop()

    def finish(self, dispatcher: Dispatcher) -> int:
        """Say how the launch ended. The exit code is 1 when a trial failed, is blocked or was refused, 3 when it
        gave up early."""
        self.stop()
        if dispatcher.stopped:
            self.console.print(
                f"[red]stopped early:[/red] {escape(dispatcher.stopped)}", highlight=False, soft_wrap=True
            )
            self.console.print(f"{len(dispatcher.graph.pending)} trials are left", highlight=False)
            return 3
        if not dispatcher.over:
            self.console.print(
                f"stopped with {len(dispatcher.graph.pending)} trials left; give the same command again to go on"
            )
            return 130
        counts = dispatcher.graph.counts()
        self.console.print(", ".join(f"{number} {name}" for name, number in sorted(counts.items())))
        for name in counts:
            if name in STATUSES and name not in GOOD:
                self.console.print(f"{name}: {STATUSES[name]}")
        for blocked in list(dispatcher.graph.blocked.values())[:10]:
            self.console.print(f"blocked {blocked.trial_id}: needs {blocked.because_of}, which is {blocked.status}")
        refused = any(refusal.trials for refusal in dispatcher.refused)
        return 1 if counts.get("failed") or counts.get("blocked") or refused else 0
