"""The columns of a row that do not depend on the model: what ran, where, and when."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from time import time
from typing import Any

import torch

from orchestrator import plugins
from orchestrator.plan.method_variants import MODIFIERS
from orchestrator.plan.spec import canonical
from orchestrator.run.assignment import Assignment
from orchestrator.run.setup.context import WorkerContext, device_name


def start_columns(assignment: Assignment, context: WorkerContext, started: float) -> dict[str, Any]:
    """Return the columns that are known before the trial runs."""
    return {
        **_what_is_run(assignment),
        "device": device_name(context.device),
        "hardware": platform.processor() or platform.machine(),
        "git_commit": git_commit(),
        "torch_version": torch.__version__,
        "started_at": utc(started),
    }


def _what_is_run(assignment: Assignment) -> dict[str, Any]:
    spec = assignment.spec
    request = spec.request
    return {
        "trial_id": spec.trial_id,
        "sweep": spec.sweep,
        "stage": spec.stage,
        "task": spec.task.title,
        "task_kind": spec.task.instance.kind,
        "backbone": spec.backbone.title,
        "method": spec.method_name,
        "method_label": plugins.plugin_class("methods", spec.method_name).label,
        **{knob: canonical(dict(found)) if (found := getattr(spec, knob)) else "" for knob in MODIFIERS},
        "settings": canonical(dict(assignment.training if spec.policy.trains_original else assignment.method)),
        "recipe": canonical(spec.recipe()),
        "original_settings": canonical(dict(assignment.training)),
        "training": spec.training_title,
        "unlearning": request.get("kind", "none"),
        "forget_rule": rule_of(request),
        "requested_forget_ratio": request.get("forget_ratio"),
        "known_share": request.get("known_share"),
        "requests_before": canonical([dict(r.identity) for r in spec.before]) if spec.before else "",
        "sequence": spec.sequence["name"] if spec.sequence else "",
        "sequence_step": len(spec.before) + 1 if spec.sequence else None,
        "sequence_steps": spec.sequence["steps"] if spec.sequence else None,
        "seed": spec.seed,
        "original_seed": spec.original_seed,
        "tuning": spec.policy.is_tuning,
        "lock": spec.lock,
        "tuned_settings": canonical(list(spec.tuned)) if spec.tuned else "",
        "objective_rule": assignment.objective_rule,
        "study_id": spec.study["id"] if spec.study else None,
        "study_trial": spec.study["trial"] if spec.study else None,
        "parent_original": spec.parents.get("original"),
        "parent_retrain": spec.retrain_id or None,
        "parent_step": spec.parents.get("step"),
        "budget_fraction": spec.budget["fraction"] if spec.budget else None,
        "threads": spec.loop["threads"],
        "corpus_fingerprint": spec.task.content,
        "backbone_content": spec.backbone.content,
        "package_version": package_version(),
        "error": "",
        "note": "",
        "collapsed": False,
    }


def rule_of(request: Mapping[str, Any]) -> str:
    """Return by what rule utterances are selected: that of a sample, or the attribute as the request names it."""
    if request.get("kind") != "attribute":
        return request.get("rule") or ""
    bounds = {f"{name} {request[name]:g}" for name in ("at_least", "below") if request.get(name) is not None}
    return " ".join([request["attribute"], *([str(v)] if (v := request.get("value")) else []), *sorted(bounds)])


def end_columns(started: float) -> dict[str, Any]:
    """Return the columns that are known when the trial has ended."""
    return {"finished_at": utc(time()), "total_seconds": time() - started}


def utc(seconds: float) -> str:
    """Return a point in time as rows have it; the texts sort as the times do."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


@cache
def package_version() -> str:
    """Return the version of this package."""
    return importlib.metadata.version("speech-unlearning")


@cache
def git_commit() -> str:
    """Return the commit of this checkout, with `-dirty` if it has changes; empty outside a checkout."""
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("-dirty" if changed else "")


def failed_row(assignment: Assignment, error: str) -> dict[str, Any]:
    """Return the row of a trial that could not write its own."""
    now = utc(time())
    ended = {"status": "failed", "stop_reason": "error", "error": error, "started_at": now, "finished_at": now}
    return {**_what_is_run(assignment), **ended}
