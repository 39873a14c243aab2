"""Why a trial has no row yet: the fields of its recipe that differ from the closest finished trial of its stage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from methods.engine.rates import SHARES
from orchestrator.plan.spec import TrialSpec, canonical

PARENTS = "parents."  # a parent's id differs whenever a field of the parent's recipe does


@dataclass(frozen=True)
class Difference:
    """A field that differs between two recipes, with dots for depth; None where a recipe lacks the field."""

    field: str
    here: str | None
    there: str | None


@dataclass(frozen=True)
class Explanation:
    """A planned trial, and the finished trial whose recipe is closest to it."""

    spec: TrialSpec
    status: str | None  # of its own row, where it has one
    closest_id: str | None  # None when no finished trial of its stage has a recipe
    differences: tuple[Difference, ...]


def planned_trial(trials: Iterable[TrialSpec], prefix: str) -> TrialSpec:
    """Find the trial whose id starts with `prefix`.

    Raises:
        ValueError: no trial, or more than one, has such an id.
    """
    found = [spec for spec in trials if spec.trial_id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(
            f"No trial of this sweep has an id that starts with {prefix!r}. Give the start of a planned id."
        )
    some = ", ".join(spec.trial_id for spec in found[:5]) + (", …" if len(found) > 5 else "")
    raise ValueError(f"{len(found)} trials have an id that starts with {prefix!r}. Give more digits of one of {some}")


def explain(spec: TrialSpec, rows: Sequence[Mapping[str, Any]]) -> Explanation:
    """Compare a trial with `rows`: mappings with `trial_id`, `status`, `stage` and `recipe` (JSON; empty in old rows).

    The closest row has the fewest fields that differ. Ids of parents break ties only, since they differ whenever a
    parent does; after that the first row wins.
    """
    status = next((str(row["status"]) for row in rows if row["trial_id"] == spec.trial_id), None)
    here = fields_of(json.loads(canonical(spec.recipe())))
    best: tuple[tuple[int, int], str, tuple[Difference, ...]] | None = None
    for row in rows:
        if row["stage"] != spec.stage or row["status"] != "done" or not isinstance(row["recipe"], str):
            continue
        found = differences(here, fields_of(json.loads(row["recipe"])))
        own = sum(not d.field.startswith(PARENTS) for d in found)
        if best is None or (own, len(found)) < best[0]:
            best = (own, len(found)), str(row["trial_id"]), found
    return Explanation(spec, status, best[1] if best else None, best[2] if best else ())


def rates_of(spec: TrialSpec) -> list[str]:
    """Say which number each `auto` rate of a trial is, one line each."""
    own = spec.training.get("learning_rate")
    of = "the rate that a search chooses for its original" if own is None else f"its original's {own:g}"
    settings, found = spec.method.settings, []
    for rate, share in SHARES.items():
        if settings.get(rate) == "auto":
            number = "" if own is None else f" = {settings[share] * own:g}"
            found.append(f"{rate} is {share} {settings[share]:g} of {of}{number}")
    return found


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> tuple[Difference, ...]:
    """List the fields in which two flat recipes differ, ids of parents last."""
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    names.sort(key=lambda name: (name.startswith(PARENTS), name))
    return tuple(Difference(name, here.get(name), there.get(name)) for name in names)


def fields_of(value: Any, under: str = "") -> dict[str, str]:
    """Flatten a nested recipe: `training.epochs` -> `3`; lists stay whole."""
    if not isinstance(value, Mapping) or not value:
        return {under: canonical(value)}
    flat: dict[str, str] = {}
    for name, inner in value.items():
        flat.update(fields_of(inner, f"{under}.{name}" if under else str(name)))
    return flat
