"""Tables in the terminal: a plan, why a trial runs, and what a search chose."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from orchestrator.plan.explain import Explanation, rates_of
from orchestrator.plan.stages import STAGES
from orchestrator.plan.tuned_settings import Lock
from orchestrator.run.planned_searches import PlannedSearches
from orchestrator.run.planning import SweepPlan
from orchestrator.run.progress.text import describe


def plan_tables(plan: SweepPlan, searches: PlannedSearches | None = None) -> list[Any]:
    """Show a plan: trials by stage, shared work, refusals, the estimate, and the searches to come."""
    table = Table(title="plan", caption="A trial's id is the hash of its recipe: the same trial never runs twice.")
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
    once = Table(title="made once", caption="Named by the hash of what they are made from, and never made again.")
    for column in ("what", "needed", "available", "trials that share them"):
        once.add_column(column, justify="left" if column == "what" else "right")
    for s in plan.shared:
        once.add_row(s.what, str(s.needed), str(s.there), str(s.uses))
    shown: list[Any] = [table, once]
    shown += [f"[yellow]refused[/yellow] {escape(r.what)}: {escape(r.reason)}" for r in plan.grid.refused]
    if plan.estimate_refused.trials:
        shown.append(plan.estimate_refused.sentence("refused"))
    return [*shown, plan.estimate.sentence(), *(map(escape, searches.sentences(plan.grid.refused)) if searches else ())]


def explanation_tables(explanation: Explanation) -> list[Any]:
    """Show where a trial's recipe differs from that of the closest finished trial."""
    spec, closest = explanation.spec, explanation.closest_id
    shown: list[Any] = [escape(line) for line in (f"{spec.trial_id}: {describe(spec)}", *rates_of(spec))]
    if explanation.status:
        return [*shown, f"The results folder has its row: {explanation.status}."]
    if closest is None:
        return [
            *shown,
            f"It runs because no finished {spec.stage} trial of the results folder has a recipe to compare with.",
        ]
    table = Table(title=f"fields that differ from {closest}, the closest finished {spec.stage} trial")
    for column in ("field", "here", "there"):
        table.add_column(column, overflow="fold")
    for d in explanation.differences:
        table.add_row(*(escape("–" if text is None else text) for text in (d.field, d.here, d.there)))
    return [*shown, table]


def lock_table(lock: Lock) -> Table:
    """Show the settings that a search chose."""
    table = Table(title=f"chosen by {lock.rule}, {lock.trials} trials per search, seeds {list(lock.seeds)}")
    for column in ("task", "backbone", "unlearning", "method", "settings", "objective", "default"):
        table.add_column(column)
    for c in lock.choices:
        settings = ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in c.settings.items())
        default = "diverged" if c.default_objective is None else f"{c.default_objective:.4f}"
        method = c.method + (" + SuperLoss" if c.superloss else "") + (" + LoRA" if c.lora else "")
        method += " + best epoch" if c.best_epoch else ""
        method += f" after {c.training}" if c.training else ""
        method += f" ({', '.join(f'{k}={v}' for k, v in c.given.items())})" if c.given else ""
        method += f" at budget {c.budget:g}" if c.budget is not None else ""
        of = [] if c.known_share is None else [f"{c.known_share:.0%} known"]
        of += [f"{name} {count}" for name, count in c.size.items()]
        kind = f"{c.unlearning} ({', '.join(of)})" if of else c.unlearning
        task = f"{c.task} (corpus {c.corpus})" if c.corpus else c.task
        table.add_row(task, c.backbone, kind, method, settings, f"{c.objective:.4f}", default)
    return table
