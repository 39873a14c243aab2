"""Entries of a sweep's `unlearning:` as forget requests, each with the tasks and backbones that it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from orchestrator import plugins
from orchestrator.plan.spec import PlugIn
from orchestrator.tasks.forget_requests import ForgetRequest, MissingFile

INTERNAL = ("file_sha256",)  # filled in from the file
ABSENT = "absent"  # in its place, where there is no file: a plan can still be counted


@dataclass(frozen=True)
class Asked:
    """A request, and where it is made; an empty list means everywhere."""

    request: ForgetRequest
    tasks: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    missing: str = ""  # why its file cannot be read here

    def is_for(self, task: str, backbone: str) -> bool:
        """Whether the request is made of this cell."""
        return (not self.tasks or task in self.tasks) and (not self.backbones or backbone in self.backbones)


def read_requests(entries: Sequence[Mapping[str, Any]], tasks: Sequence[str], backbones: Sequence[str]) -> list[Asked]:
    """All requests of a sweep that has these tasks and backbones; a list of ratios is spread out.

    Raises:
        ValueError: an unknown key, a task or backbone that the sweep has not, or a setting out of range.
    """
    found = [asked for entry in entries for asked in _spread(entry)]
    for kind, named, allowed in (
        ("task", {name for asked in found for name in asked.tasks}, tasks),
        ("backbone", {name for asked in found for name in asked.backbones}, backbones),
    ):
        for name in sorted(named - set(allowed)):
            raise ValueError(
                f"unlearning names a {kind} that the sweep has not: got {name!r}, allowed: {', '.join(allowed)}"
            )
    return found


def _spread(entry: Mapping[str, Any]) -> Iterator[Asked]:
    values = dict(entry)
    only = {key: tuple(values.pop(key, ())) for key in ("tasks", "backbones")}
    ratios = values.pop("forget_ratio", None)
    if ratios == []:
        raise ValueError("forget_ratio must be a number or a list of numbers, got an empty list")
    allowed = [*only, *(f.name for f in fields(ForgetRequest) if f.name not in INTERNAL)]
    for key in values:
        if key not in allowed:
            hint = plugins.suggestion(key, allowed)
            raise ValueError(f"unknown key of unlearning: got {key!r}{hint}, allowed: {', '.join(allowed)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    for ratio in ratios if isinstance(ratios, list) else [ratios]:
        given = {**values, **({} if ratio is None else {"forget_ratio": ratio})}
        missing = ""
        try:
            request = ForgetRequest(**given)
        except MissingFile as error:
            request, missing = ForgetRequest(**given, file_sha256=ABSENT), str(error)
        yield Asked(request, only["tasks"], only["backbones"], missing)


def unsuitable(request: ForgetRequest, task: PlugIn) -> str:
    """Why a task cannot meet a request, or nothing."""
    made = plugins.load("tasks", task.name, **task.settings)
    if request.kind == "mislabelled" and not made.label_noise:
        return "the task has no wrong labels; set its label_noise: {share: 0.05, seed: 0}"
    if request.kind == "speaker" and made.kind == "speakers":
        return "a speaker is a class here; use kind: class"
    return ""
