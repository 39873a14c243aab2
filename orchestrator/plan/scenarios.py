"""Entries of a sweep's `unlearning:` as forget requests, alone or in sequence, and the tasks and backbones of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from orchestrator import plugins
from orchestrator.forgetting.requests import SETTINGS, ForgetRequest, MissingFile
from orchestrator.plan.spec import PlugIn

INTERNAL = ("file_sha256",)  # filled in from the file
ABSENT = "absent"  # in its place, where there is no file: a plan can still be counted
WHERE = ("tasks", "backbones")
NAMED = ("classes", "speakers", "ids")  # what a request may name one by one


@dataclass(frozen=True)
class Scenario:
    """Requests that are met one after another, mostly one alone, and where; an empty list means everywhere."""

    requests: tuple[ForgetRequest, ...]
    tasks: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    name: str = ""  # of a sequence
    missing: str = ""  # why its file cannot be read here

    def is_for(self, task: str, backbone: str) -> bool:
        """Whether this is asked of a cell."""
        return (not self.tasks or task in self.tasks) and (not self.backbones or backbone in self.backbones)

    @property
    def what(self) -> str:
        """For people."""
        return f"sequence {self.name}" if self.name else f"{self.requests[0].kind} unlearning"


def read_requests(
    entries: Sequence[Mapping[str, Any]], tasks: Sequence[str], backbones: Sequence[str]
) -> list[Scenario]:
    """All requests of a sweep that has these tasks and backbones; a list of ratios is spread out.

    Raises:
        ValueError: an unknown key, a task or backbone that the sweep has not, a setting out of range, or a sequence
            that is empty, holds another, or forgets something twice.
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
    of_name: dict[str, tuple[ForgetRequest, ...]] = {}
    for asked in found:
        if asked.name and of_name.setdefault(asked.name, asked.requests) != asked.requests:
            raise ValueError(f"different sequences with one name: got {asked.name!r}, allowed: a name: of its own each")
    return found


def each_alone(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The entries with those of sequences as requests of their own: what `unlearn tune` searches on."""
    alone: list[Mapping[str, Any]] = []
    for entry in entries:
        if entry.get("kind") != "sequence":
            alone.append(entry)
            continue
        list(_spread(entry))  # refuses one that is wrong
        alone += [{**request, **{key: entry[key] for key in WHERE if key in entry}} for request in entry["requests"]]
    return alone


def removed_ids(requests: Sequence[Scenario], task: str) -> list[str]:
    """Utterances of a task that requests of kind ids name: its holdout must not take them from train."""
    asked = [one for one in requests if not one.missing and (not one.tasks or task in one.tasks)]
    named = [request for one in asked for request in one.requests if request.kind == "ids"]
    return sorted({name for request in named for name in (request.lines() if request.ids_file else request.ids)})


def _spread(entry: Mapping[str, Any]) -> Iterator[Scenario]:
    values = dict(entry)
    for key in WHERE:
        if not isinstance(values.get(key, []), list | tuple):
            raise ValueError(f"{key} of a request must be a list of names, got {values[key]!r}")
    tasks, backbones = (tuple(values.pop(key, ())) for key in WHERE)
    if (kind := values.get("kind", "sample")) not in (*SETTINGS, "sequence"):
        hint = plugins.suggestion(str(kind), [*SETTINGS, "sequence"])
        raise ValueError(
            f"unknown kind of unlearning: got {kind!r}{hint}, allowed: {', '.join([*SETTINGS, 'sequence'])}"
        )
    if kind == "sequence":
        yield _sequence(values, tasks, backbones)
        return
    ratios = values.pop("forget_ratio", None)
    if ratios == []:
        raise ValueError("forget_ratio must be a number or a list of numbers, got an empty list")
    _require_keys("unlearning", values, [*WHERE, *(f.name for f in fields(ForgetRequest) if f.name not in INTERNAL)])
    if empty := [key for key in ("classes", "speakers", "ids") if values.get(key) == []]:
        raise ValueError(f"{empty[0]} must be a list of names, got an empty list; leave it out to draw by seed")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    for ratio in ratios if isinstance(ratios, list) else [ratios]:
        given = {**values, **({} if ratio is None else {"forget_ratio": ratio})}
        missing = ""
        try:
            request = ForgetRequest(**given)
        except MissingFile as error:
            request, missing = ForgetRequest(**given, file_sha256=ABSENT), str(error)
        yield Scenario((request,), tasks, backbones, missing=missing)


def _require_keys(where: str, values: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for key in values:
        if key not in allowed:
            hint = plugins.suggestion(key, allowed)
            raise ValueError(f"unknown key of {where}: got {key!r}{hint}, allowed: {', '.join(allowed)}")


def _sequence(values: Mapping[str, Any], tasks: tuple[str, ...], backbones: tuple[str, ...]) -> Scenario:
    _require_keys("a sequence", values, ["kind", "name", "requests", *WHERE])
    entries = values.get("requests")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"a sequence needs requests: got {entries!r}, allowed: a list of at least one request")
    steps = [_step(number, entry) for number, entry in enumerate(entries, start=1)]
    requests = tuple(step.requests[0] for step in steps)
    _require_something_new(requests)
    name = str(values.get("name") or " > ".join(map(in_short, requests)))
    return Scenario(requests, tasks, backbones, name, next((step.missing for step in steps if step.missing), ""))


def _step(number: int, entry: Any) -> Scenario:
    if not isinstance(entry, Mapping):
        raise ValueError(f"request {number} of a sequence is none: got {entry!r}, allowed: keys and values")
    if entry.get("kind") == "sequence":
        raise ValueError(f"a sequence holds no other: got one as request {number}, allowed: {', '.join(SETTINGS)}")
    if stray := [key for key in WHERE if key in entry]:
        raise ValueError(
            f"a sequence is for its tasks and backbones as a whole: got {' and '.join(stray)} in request {number}, "
            "allowed: beside requests"
        )
    if isinstance(entry.get("forget_ratio"), list):
        raise ValueError(
            f"forget_ratio is not swept in a sequence: got {entry['forget_ratio']} in request {number}, allowed: one "
            "number a request, and a sequence for each combination"
        )
    (asked,) = _spread(entry)
    return asked


def _require_something_new(requests: Sequence[ForgetRequest]) -> None:
    """Refuse what can be seen without a corpus to forget the same thing twice, or everything."""
    for name in NAMED:
        times = Counter(value for request in requests for value in getattr(request, name))
        if twice := [value for value, number in times.items() if number > 1]:
            raise ValueError(f"{name} are forgotten once: got {twice[0]!r} twice in a sequence, allowed: once")
    if sum(request.kind == "mislabeled" for request in requests) > 1:
        raise ValueError("kind mislabeled forgets all wrong labels: got it twice in a sequence, allowed: once")
    if sum(ratios := [request.forget_ratio for request in requests if request.forget_ratio]) >= 1:
        raise ValueError(f"a sequence must leave some of D: got forget_ratio {ratios}, allowed: less than 1 together")


def in_short(request: ForgetRequest) -> str:
    """`sample 0.02`, `class go`: in the name of a sequence that is given none."""
    details = [] if request.forget_ratio is None else [f"{request.forget_ratio:g}"]
    details += [request.rule] if request.rule != "random" else []
    for names in (getattr(request, name) for name in NAMED):
        details += names if len(names) < 4 else [str(len(names))]
    return " ".join([request.kind, *details])


def unsuitable(asked: Scenario, task: PlugIn) -> str:
    """Why a task cannot meet what is asked, or nothing."""
    kinds = {request.kind for request in asked.requests}
    if "mislabeled" in kinds and not task.instance.label_noise:
        return "the task has no wrong labels; set its label_noise: {share: 0.05, seed: 0}"
    if "speaker" in kinds and task.instance.kind == "speakers":
        return "a speaker is a class here; use kind: class"
    return ""
