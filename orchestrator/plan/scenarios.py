"""Read `unlearning:` of a sweep: scenarios of one forget request or a sequence, each for some tasks and backbones."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from orchestrator import plugins
from orchestrator.forgetting.requests import SETTINGS, WRONG_LABELS, ForgetRequest, MissingFile
from orchestrator.forgetting.requests import reason_unsuitable as reason_kind_unsuitable
from orchestrator.forgetting.spoken import containing
from orchestrator.plan.spec import PlugIn
from orchestrator.tasks.normalizers import normalizer_of

INTERNAL = ("file_sha256",)  # a setting that is computed from the file
ABSENT = "absent"  # in place of an identity if the file is missing, so that the plan can still count its trials
WHERE = ("tasks", "backbones")
SWEPT = ("forget_ratio", "known_share")  # settings of which a list makes a scenario for each value
NAMED = ("classes", "speakers", "ids", "entities", "canaries")  # settings that list what is forgotten by name


@dataclass(frozen=True)
class Scenario:
    """One forget request, or a sequence of them, and the tasks and backbones that it is for; empty means all."""

    requests: tuple[ForgetRequest, ...]
    tasks: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    name: str = ""  # of a sequence
    missing: str = ""  # why its file cannot be read on this machine

    def is_for(self, task: str, backbone: str) -> bool:
        """Return whether the scenario is for a task and backbone, by their titles."""
        return (not self.tasks or task in self.tasks) and (not self.backbones or backbone in self.backbones)

    @property
    def what(self) -> str:
        """Title in messages."""
        return f"sequence {self.name}" if self.name else f"{self.requests[0].kind} unlearning"


def read_scenarios(
    entries: Sequence[Mapping[str, Any]], tasks: Sequence[str], backbones: Sequence[str]
) -> list[Scenario]:
    """Read all scenarios of a sweep with these tasks and backbones; each of several ratios is a scenario.

    Raises:
        ValueError: an unknown key, a task or backbone that the sweep does not have, a setting out of range, or a
            sequence that is empty, contains a sequence, or forgets something twice.
    """
    found = [scenario for entry in entries for scenario in _scenarios(entry)]
    for kind, named, allowed in (
        ("task", {name for scenario in found for name in scenario.tasks}, tasks),
        ("backbone", {name for scenario in found for name in scenario.backbones}, backbones),
    ):
        for name in sorted(named - set(allowed)):
            raise ValueError(
                f"unlearning names a {kind} that the sweep does not have: got {name!r}, allowed: {', '.join(allowed)}"
            )
    of_name: dict[str, tuple[ForgetRequest, ...]] = {}
    for scenario in found:
        if scenario.name and of_name.setdefault(scenario.name, scenario.requests) != scenario.requests:
            raise ValueError(
                f"two different sequences have the same name: got {scenario.name!r}; set another `name:` on one of them"
            )
    return found


def without_sequences(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Replace each sequence by its requests as single entries, on which `unlearn tune` searches."""
    single: list[Mapping[str, Any]] = []
    for entry in entries:
        if entry.get("kind") != "sequence":
            single.append(entry)
            continue
        list(_scenarios(entry))  # raises if it is wrong
        single += [{**request, **{key: entry[key] for key in WHERE if key in entry}} for request in entry["requests"]]
    return single


def removed_ids(scenarios: Sequence[Scenario], task: str) -> list[str]:
    """Return the utterances of a task that requests of kind `ids` name: its holdout set must not contain them."""
    readable = [scenario for scenario in scenarios if not scenario.missing and task in (scenario.tasks or (task,))]
    named = [request for scenario in readable for request in scenario.requests if request.kind == "ids"]
    return sorted({name for request in named for name in (request.lines() if request.ids_file else request.ids)})


def _scenarios(entry: Mapping[str, Any]) -> Iterator[Scenario]:
    values = dict(entry)
    for key in WHERE:
        if not isinstance(values.get(key, []), list | tuple):
            raise ValueError(f"{key} of a request must be a list of names: got {values[key]!r}; write {key}: [NAME]")
    tasks, backbones = (tuple(values.pop(key, ())) for key in WHERE)
    if (kind := values.get("kind", "sample")) not in (*SETTINGS, "sequence"):
        hint = plugins.suggestion(str(kind), [*SETTINGS, "sequence"])
        raise ValueError(
            f"unknown kind of unlearning: got {kind!r}{hint}, allowed: {', '.join([*SETTINGS, 'sequence'])}"
        )
    if kind == "sequence":
        yield _sequence(values, tasks, backbones)
        return
    swept = {name: values.pop(name) for name in SWEPT if values.get(name) is not None}
    if empty := [name for name, several in swept.items() if several == []]:
        raise ValueError(f"{empty[0]} must be a number or a list of numbers: got an empty list; add a number")
    _require_keys("unlearning", values, [*WHERE, *(f.name for f in fields(ForgetRequest) if f.name not in INTERNAL)])
    if empty := [key for key in NAMED if values.get(key) == []]:
        raise ValueError(f"{empty[0]} must be a list of names: got an empty list; omit it to sample by seed")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    for chosen in itertools.product(*(v if isinstance(v, list) else [v] for v in swept.values())):
        given = {**values, **dict(zip(swept, chosen, strict=True))}
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
        raise ValueError(f"a sequence needs requests: got {entries!r}; list at least one request")
    steps = [_step(number, entry) for number, entry in enumerate(entries, start=1)]
    requests = tuple(step.requests[0] for step in steps)
    _require_something_new(requests)
    name = str(values.get("name") or " > ".join(map(in_short, requests)))
    return Scenario(requests, tasks, backbones, name, next((step.missing for step in steps if step.missing), ""))


def _step(number: int, entry: Any) -> Scenario:
    if not isinstance(entry, Mapping):
        raise ValueError(f"request {number} of a sequence must have keys and values: got {entry!r}; write {{kind: …}}")
    if entry.get("kind") == "sequence":
        raise ValueError(
            f"a sequence cannot contain a sequence: got one as request {number}, allowed: {', '.join(SETTINGS)}"
        )
    if stray := [key for key in WHERE if key in entry]:
        raise ValueError(
            f"tasks and backbones belong to a whole sequence: got {' and '.join(stray)} in request {number}; move them "
            "next to `requests:`"
        )
    if several := [name for name in SWEPT if isinstance(entry.get(name), list)]:
        raise ValueError(
            f"{several[0]} cannot be swept in a sequence: got {entry[several[0]]} in request {number}; give one "
            "number for each request, and write one sequence for each combination"
        )
    (scenario,) = _scenarios(entry)
    return scenario


def _require_something_new(requests: Sequence[ForgetRequest]) -> None:
    """Raise ValueError if a sequence forgets something twice, or everything, as far as that is known without data."""
    for name in NAMED:
        times = Counter(value for request in requests for value in getattr(request, name))
        if twice := [value for value, number in times.items() if number > 1]:
            raise ValueError(
                f"{name} can be forgotten only once: got {twice[0]!r} twice in a sequence; remove one of them"
            )
    for kind in WRONG_LABELS:
        shares = [1 if r.known_share is None else r.known_share for r in requests if r.kind == kind]
        if sum(shares) > 1 + 1e-9:
            raise ValueError(
                f"kind {kind} forgets a wrong label once: got it twice in a sequence; remove one of them, or give each "
                f"a known_share, at most 1 in all (got {', '.join(f'{share:g}' for share in shares)})"
            )
    if sum(ratios := [request.forget_ratio for request in requests if request.forget_ratio]) >= 1:
        raise ValueError(f"a sequence must leave some of D: got forget_ratio {ratios}; their sum must be below 1")


def in_short(request: ForgetRequest) -> str:
    """Name a request in the name of a sequence without `name:`, such as `sample 0.02` or `class go`."""
    details = [] if request.forget_ratio is None else [f"{request.forget_ratio:g}"]
    details += [] if request.known_share is None else [f"{request.known_share:g}"]
    details += [request.rule] if request.rule != "random" else []
    if request.kind == "attribute":
        band = ("at_least", "below")
        details += [str(v) for v in (request.attribute, request.value) if v is not None]
        details += [f"{name} {bound:g}" for name in band if (bound := getattr(request, name)) is not None]
    for names in (getattr(request, name) for name in NAMED):
        details += names if len(names) < 4 else [str(len(names))]
    return " ".join([request.kind, *details])


def reason_unfit(task: PlugIn, backbone: PlugIn) -> str:
    """Return why a backbone cannot be trained on a task; empty if it can."""
    wanted, given = "transcripts" if task.instance.text_normalizer else "classes", backbone.instance.target
    if wanted == given:
        return ""
    return (
        f"the recordings of the task are labeled with {wanted}, and the backbone answers with {given}; use a backbone "
        f"that answers with {wanted} (see `unlearn ls backbones`), or another task"
    )


def reason_unsuitable(scenario: Scenario, task: PlugIn) -> str:
    """Return why a scenario does not fit a task; empty if it does."""
    kinds = {request.kind for request in scenario.requests}
    reasons = [reason for kind in sorted(kinds) if (reason := reason_kind_unsuitable(kind, task.instance.kind))]
    if reasons:
        return reasons[0]
    if "mislabeled" in kinds and not task.instance.label_noise:
        return "the task has no wrong labels; set its label_noise: {share: 0.05, seed: 0}"
    if "poisoned" in kinds and not task.instance.poison:
        return "the task has no poisoned recordings; set its poison: {share: 0.05, target: CLASS}"
    found = (_reason_absent(request, task.instance) for request in scenario.requests)
    return next((reason for reason in found if reason), "")


def _reason_absent(request: ForgetRequest, task: Any) -> str:
    """Return why the corpus will have no recording for a request, as far as the task's settings tell; else empty."""
    if request.kind not in ("attribute", "canary", "entity"):
        return ""
    known = task.foretold()
    if request.kind == "attribute":
        if known.attributes is None or task.poison or request.attribute in known.attributes:
            return ""
        return f"the corpus has no attribute {request.attribute!r}; its attributes: {', '.join(known.attributes)}"
    if request.kind == "canary":
        return "" if known.canaries is None else _reason_no_canary(request, known.canaries)
    if known.texts is None or not request.entities:
        return ""
    normalize = normalizer_of(task.text_normalizer)
    unsaid = [
        name for name in request.entities if not (said := normalize(name)) or not any(containing(known.texts, said))
    ]
    return f"no transcript of the corpus contains {unsaid[0]!r}; name words that are said there" if unsaid else ""


def _reason_no_canary(request: ForgetRequest, planted: Sequence[str]) -> str:
    if not planted:
        return (
            "the corpus has no planted secrets; use a task with canaries, such as espeak_sentences, or kind: entity "
            "with words that are said there"
        )
    if unknown := [name for name in request.canaries if name not in planted]:
        return f"the corpus has no canary {unknown[0]!r}; its canaries: {', '.join(planted)}"
    if (count := request.num_canaries or 1) > len(planted):
        return f"the corpus has too few canaries: got a request for {count}, allowed: {len(planted)} or fewer"
    return ""
