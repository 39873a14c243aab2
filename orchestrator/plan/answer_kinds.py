"""Whether the parts of a sweep fit what its models answer with: classes, or transcripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from methods.engine.answers import CLASSES, TRANSCRIPTS
from orchestrator.plan.spec import PlugIn

NEED_CLASSES = {
    "zrf": "its score compares probabilities of classes",
    "attribution": "its maps explain the logit of a class",
}
"""Tests under `evidence:` that recognizers do not have."""
NEED_TRANSCRIPTS = {"canaries": "its recordings have no transcripts, and no planted secrets"}
"""Tests under `evidence:` that classifiers do not have."""


def target_of_task(task: PlugIn) -> str:
    """Return what a model of this task answers with."""
    return TRANSCRIPTS if task.instance.text_normalizer else CLASSES


def reason_untrainable(task: PlugIn, kind: PlugIn, training: Mapping[str, Any], clip: Mapping[str, Any]) -> str:
    """Return why a task's models cannot be trained so; empty if they can."""
    target = target_of_task(task)
    if reason := kind.instance.reason_target_unsupported(target):
        return f"training {kind.title}: {reason}"
    if target == CLASSES:
        return ""
    if clip["seconds"] is not None:
        return "a part of a recording does not have its transcript; remove training.clip_seconds and training.crop"
    if training.get("length_buckets"):
        return "a teacher's answers have the steps of whole clips; set training.length_buckets to false"
    return ""


def not_applicable(task: PlugIn, requested: Mapping[str, Any] | None) -> dict[str, str]:
    """Return which of the requested tests a task's models do not have, with the reasons."""
    missing = NEED_TRANSCRIPTS if target_of_task(task) == CLASSES else NEED_CLASSES
    return {name: reason for name, reason in missing.items() if requested and requested.get(name)}
