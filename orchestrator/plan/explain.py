"""Why a trial has no row yet: which fields of its recipe differ from the nearest finished trial of its stage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from methods.engine.rates import SHARES
from orchestrator.plan.spec import TrialSpec, canonical

FOLLOWS = "parents."  # an id of a parent differs because some field of the parent's recipe does


@dataclass(frozen=True)
class Difference:
    """One field of two recipes, dots for depth; None where a recipe has no such field."""

    field: str
    here: str | None
    there: str | None


@dataclass(frozen=True)
class Explanation:
    """A planned trial beside the finished one that is nearest to it."""

    spec: TrialSpec
    status: str | None  # of its own row, where it has one
    nearest_id: str | None  # None when no trial of its stage is finished, or none says what it was made from
    differences: tuple[Difference, ...]


def planned_trial(trials: Iterable[TrialSpec], prefix: str) -> TrialSpec:
    """The trial whose id begins so.

    Raises:
        ValueError: none does, or more than one.
    """
    found = [spec for spec in trials if spec.trial_id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(f"no trial of this sweep has that id: got {prefix!r}, allowed: the beginning of a planned id")
    some = ", ".join(spec.trial_id for spec in found[:5]) + (", …" if len(found) > 5 else "")
    raise ValueError(
        f"more than one trial has an id like that: got {prefix!r}, allowed: enough digits of one of {some}"
    )


def explain(spec: TrialSpec, rows: Sequence[Mapping[str, Any]]) -> Explanation:
    """Compare with `rows`: mappings with `trial_id`, `status`, `stage` and `recipe` (JSON, or empty in old rows).

    The nearest has the fewest different fields; ids of parents count only between equals, since they differ as soon as
    a parent does. Of equals the first is taken.
    """
    status = next((str(row["status"]) for row in rows if row["trial_id"] == spec.trial_id), None)
    here = fields_of(json.loads(canonical(spec.recipe())))
    best: tuple[tuple[int, int], str, tuple[Difference, ...]] | None = None
    for row in rows:
        if row["stage"] != spec.stage or row["status"] != "done" or not isinstance(row["recipe"], str):
            continue
        found = differences(here, fields_of(json.loads(row["recipe"])))
        own = sum(not d.field.startswith(FOLLOWS) for d in found)
        if best is None or (own, len(found)) < best[0]:
            best = (own, len(found)), str(row["trial_id"]), found
    return Explanation(spec, status, best[1] if best else None, best[2] if best else ())


def rates_of(spec: TrialSpec) -> list[str]:
    """Say what `auto` is in a trial's rates, a line each."""
    own = spec.training.get("learning_rate")
    of = "the rate that a search chooses for its original" if own is None else f"its original's {own:g}"
    settings, found = spec.method.settings, []
    for rate, share in SHARES.items():
        if settings.get(rate) == "auto":
            number = "" if own is None else f" = {settings[share] * own:g}"
            found.append(f"{rate} is {share} {settings[share]:g} of {of}{number}")
    return found


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> tuple[Difference, ...]:
    """Fields in which two flat recipes differ; ids of parents last."""
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    names.sort(key=lambda name: (name.startswith(FOLLOWS), name))
    return tuple(Difference(name, here.get(name), there.get(name)) for name in names)


def fields_of(value: Any, under: str = "") -> dict[str, str]:
    """A nested recipe as one level: `training.epochs` -> `3`; lists stay whole."""
    if not isinstance(value, Mapping) or not value:
        return {under: canonical(value)}
    flat: dict[str, str] = {}
    for name, inner in value.items():
        flat.update(fields_of(inner, f"{under}.{name}" if under else str(name)))
    return flat
