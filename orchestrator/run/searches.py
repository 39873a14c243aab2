"""The searches of `unlearn tune`: one for each line and cell, each of exactly as many trials as the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.forgetting.requests import size_of
from orchestrator.plan.grid import Grid, build_grid
from orchestrator.plan.method_variants import REFERENCES, MethodVariant, method_variants
from orchestrator.plan.scenarios import without_sequences
from orchestrator.plan.spec import TrialSpec, canonical, short_hash
from orchestrator.plan.sweep_schema import Sweep, SweepError
from orchestrator.plan.tuned_settings import settings_of_modifiers
from orchestrator.run.scheduling.optuna_study import Study
from orchestrator.run.search_spaces import space_of


def search_grid(sweep: Sweep) -> Grid:
    """Plan the trials of a sweep on its tuning seeds, and on the recordings that `tune_on` names.

    Raises:
        SweepError: `tuning.backbone` is none of the sweep's.
        ValueError: as `build_grid`.
    """
    backbones = [b for b in sweep.backbones if sweep.tuning.backbone in (None, b.title)]
    if not backbones:
        titles = ", ".join(b.title for b in sweep.backbones)
        raise SweepError(
            f"tuning.backbone is none of the sweep's backbones: got {sweep.tuning.backbone!r}; choose from {titles}"
        )
    changed: dict[str, Any] = {
        "lock": None,
        "tasks": [entry.for_tuning for entry in sweep.tasks],
        "seeds": sweep.tuning.seeds,
        "backbones": backbones,
        "unlearning": without_sequences(sweep.unlearning),  # a request of a sequence gets the choice for its kind
    }
    return build_grid(sweep.model_copy(update=changed))


SEARCHED_MODIFIERS = ("superloss", "lora", "best_epoch")  # a curriculum gets the choice of the variant without it


@dataclass(frozen=True)
class Searches:
    """All searches of a sweep, and the trials that they need besides their own: originals and retrained models."""

    studies: Mapping[str, Study]
    given: Mapping[str, Mapping[str, Any]]  # by study: settings of the sweep that distinguish variants of its method
    trials: list[TrialSpec]  # parents first
    without_space: tuple[str, ...]  # methods that keep their settings: nothing is searched for them


def searches_of(grid: Grid, sweep: Sweep, count: int, rule: str) -> Searches:
    """Return a search of `count` trials for each line and cell of a grid; the first has the line's own settings.

    A line is a method with SuperLoss or without, with LoRA or without, at one budget. Variants for which the sweep
    gives different settings are lines of their own. A cell is a task, backbone, training and kind of request;
    mislabeled requests with different `known_share`, and requests for different numbers of classes or speakers, are
    cells of their own.
    """
    lines: dict[str, dict[str, TrialSpec]] = {}
    found: dict[str, dict[str, Any]] = {}
    given: dict[str, dict[str, Any]] = {}
    others: list[TrialSpec] = []
    variants = [variant for entry in sweep.methods for variant in method_variants(entry, sweep.selection)]
    fixed: dict[str, set[str]] = {}  # by method with settings: those that the sweep gives
    for variant in variants:
        fixed.setdefault(variant.plugin.key, set()).update(variant.settings)
    methods = {spec.method.key: spec.method for spec in grid.runnable if spec.policy.unlearns}
    spaces = {key: space_of(method.name, sweep, fixed[key]) for key, method in methods.items()}
    apart, differ = _settings_of_variants(variants), _settings_of_modifiers(variants)
    for spec in grid.runnable:
        if spec.policy.unlearns and spaces[spec.method.key]:
            spec = replace(spec, curriculum=None)  # a curriculum gets the settings of the variant without one
            forget = {k: v for k, v in spec.forget.identity.items() if k != "forget_ratio"} if spec.forget else {}
            own = {name: spec.method.settings.get(name) for name in apart.get(spec.method.name, ())}
            share = spec.request.get("known_share")
            line: dict[str, Any] = {
                "task": spec.task.recipe(),
                "backbone": spec.backbone.recipe(),
                "method": spec.method.name,
                "superloss": dict(spec.superloss or {}),
                "budget": dict(spec.budget or {}),
                **({"lora": dict(spec.lora)} if spec.lora else {}),
                **({"best_epoch": dict(spec.best_epoch)} if spec.best_epoch else {}),
                **({"training_kind": spec.training_kind.recipe()} if spec.training_kind else {}),
                **({"given": own} if own else {}),
            }
            # One search for all requests of a kind that a lock file does not distinguish.
            kind = {"kind": spec.request["kind"], **({"known_share": share} if share is not None else {})}
            kind |= {"size": size} if (size := size_of(spec.request)) else {}
            key = short_hash({**line, **kind})
            lines.setdefault(key, {})[spec.trial_id] = spec
            applied = _modifier_settings(spec)
            given[key] = own | {name: applied.get(name) for name in differ.get(_with_modifiers(spec), ())}
            search = found.setdefault(key, {**line, "forget": forget})
            if search["forget"] != forget:
                search["forget"] = {"kind": spec.request["kind"]}
        elif not spec.policy.unlearns:
            others.append(spec)
    studies: dict[str, Study] = {}
    by_study: dict[str, Mapping[str, Any]] = {}
    for key, of_line in lines.items():
        members = list(of_line.values())
        space, method = spaces[members[0].method.key], members[0].method
        defaults = dict(method.settings)  # without what was added later and is searched now
        first = {name: getattr(method.instance, name) for name in space if name not in defaults} | defaults
        study_id = short_hash(
            {
                "of": short_hash(found[key]),
                "space": space,
                "trials": count,
                "rule": rule,
                "members": sorted(m.trial_id for m in members),
            }
        )
        trials = tuple(
            _tuning_trial(members[n % len(members)], {"id": study_id, "trial": n}, rule) for n in range(count)
        )
        studies[study_id] = Study(study_id, space, defaults, trials, first=first, objective_rule=rule)
        by_study[study_id] = given[key]
    searched = [spec for study in studies.values() for spec in study.trials]
    untouched = {methods[key].name for key, space in spaces.items() if not space} - set(REFERENCES)
    return Searches(studies, by_study, others + searched, tuple(sorted(untouched)))


def _settings_of_variants(variants: Sequence[MethodVariant]) -> dict[str, list[str]]:
    """Return, for each method with several variants, the given settings in which they differ."""
    named: dict[str, list[Mapping[str, Any]]] = {}
    given: dict[str, set[str]] = {}
    for variant in variants:
        named.setdefault(variant.name, []).append(variant.plugin.settings)
        given.setdefault(variant.name, set()).update(variant.settings)
    found = {}
    for name, several in named.items():
        apart = [key for key in sorted(given[name]) if len({canonical(one.get(key)) for one in several}) > 1]
        if apart:
            found[name] = apart
    return found


def _settings_of_modifiers(variants: Sequence[MethodVariant]) -> dict[tuple[Any, ...], list[str]]:
    """Return, for each method with the same modifiers in several variants, the modifiers' settings that differ."""
    named: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for variant in variants:
        named.setdefault(_with_modifiers(variant), []).append(_modifier_settings(variant))
    return {
        key: [name for name in sorted(set().union(*several)) if len({canonical(one.get(name)) for one in several}) > 1]
        for key, several in named.items()
    }


def _modifier_settings(one: MethodVariant | TrialSpec) -> dict[str, Any]:
    return settings_of_modifiers({name: getattr(one, name) for name in SEARCHED_MODIFIERS})


def _with_modifiers(one: MethodVariant | TrialSpec) -> tuple[Any, ...]:
    name = one.name if isinstance(one, MethodVariant) else one.method.name
    return name, *(bool(getattr(one, modifier)) for modifier in SEARCHED_MODIFIERS)


def _tuning_trial(member: TrialSpec, study: dict[str, Any], rule: str) -> TrialSpec:
    parents = {**member.parents, **({"retrain": member.retrain_id} if rule == "gap_to_retrain" else {})}
    return replace(member, stage="tune", study=study, parents=parents, keep_model=False)
