"""Tables in the terminal: a plan, why a trial runs, and what a search chose."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from orchestrator.plan.explain import Explanation, rates_of
from orchestrator.plan.stages import STAGES
from orchestrator.plan.tuned_settings import Lock
from orchestrator.run.launch import SweepPlan
from orchestrator.run.progress.text import describe


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
    shown: list[Any] = [escape(line) for line in (f"{spec.trial_id}: {describe(spec)}", *rates_of(spec))]
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
