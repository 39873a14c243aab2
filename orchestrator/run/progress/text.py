"""The words of a launch's display, the same in a terminal, in a notebook and in a pipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.plan.duration import exact
from orchestrator.plan.spec import TrialSpec
from orchestrator.run.assignment import IntermediateResult


def describe(spec: TrialSpec) -> str:
    """Name a trial for a reader: task, backbone, request, method with its modifiers, seed."""
    request = spec.request
    names = ("superloss", "curriculum", "lora", "best_epoch")
    modifiers = {name.replace("_", " "): getattr(spec, name) for name in names}
    ratio = f" {request['forget_ratio']:g}" if request.get("forget_ratio") else ""
    step = f" (request {len(spec.before) + 1} of {spec.sequence['steps']})" if spec.sequence else ""
    method = " + ".join([spec.method_name, *(name for name, settings in modifiers.items() if settings)])
    method += f" after {spec.training_title}" if spec.training_kind else ""
    scenario = f"{request.get('kind', 'train')}{ratio}{step}"
    return f"{spec.task.title} {spec.backbone.title} {scenario} {method} seed {spec.seed}"


def doing(result: IntermediateResult | None) -> str:
    """Say what a running trial does: its phase, epoch, and accuracy on D_v or its loss."""
    if result is None:
        return "starting"
    parts = [result.phase]
    if result.epoch:
        parts.append(f"epoch {result.epoch}/{result.epochs}")
    if result.accuracy is not None:
        parts.append(f"D_v {100 * result.accuracy:.1f}%")
    elif result.loss is not None:
        parts.append(f"loss {result.loss:.3g}")
    return ", ".join(parts)


def finished_line(spec: TrialSpec, row: Mapping[str, Any]) -> str:
    """Say how a trial ended, and how long it took."""
    return f"{row['status']:8} {describe(spec)} ({exact(row.get('total_seconds') or 0.0)})"


def first_error_line(row: Mapping[str, Any]) -> str:
    """The message of a row's error, without the traceback before it and the lines after it."""
    lines = [line for line in str(row.get("error") or "").splitlines() if line.strip()]
    if not lines:
        return str(row.get("stop_reason") or "no message")
    if not lines[0].startswith("Traceback"):
        return lines[0].strip()
    message = [line for line in lines[1:] if not line.startswith(" ")]
    return message[0].strip() if message else lines[-1].strip()
