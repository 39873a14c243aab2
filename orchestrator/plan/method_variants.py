"""Expand `methods:` of a sweep into variants: one for each combination of swept settings and modifiers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from methods.engine.rates import SHARES, refuse_idle_shares, without_idle_shares
from methods.engine.setting_rules import recipe_settings
from methods.modifiers.best_epoch import BestEpoch
from methods.modifiers.curriculum import ForgetCurriculum
from methods.modifiers.lora import Lora
from methods.modifiers.superloss import MUBENCH, SuperLoss
from orchestrator import plugins
from orchestrator.plan.plug_in_keys import MethodEntry
from orchestrator.plan.spec import PlugIn, canonical

MODIFIERS: dict[str, type[Any]] = {
    "superloss": SuperLoss,
    "curriculum": ForgetCurriculum,
    "lora": Lora,
    "best_epoch": BestEpoch,
}
REFERENCES = ("original", "retrain")  # they take SuperLoss alone
PRESETS = ("faithful", "mubench")
METHOD_PRESETS = (*PRESETS, "paper")


@dataclass(frozen=True)
class MethodVariant:
    """A method with its settings and the modifiers that are applied to it: one line of a table."""

    name: str
    settings: Mapping[str, Any]
    plugin: PlugIn  # created once: a grid has thousands of trials for each variant
    superloss: Mapping[str, Any] | None = None
    curriculum: Mapping[str, Any] | None = None
    lora: Mapping[str, Any] | None = None
    best_epoch: Mapping[str, Any] | None = None

    @property
    def modifiers(self) -> dict[str, Mapping[str, Any] | None]:
        """The modifiers by name, None where one is off."""
        return {name: getattr(self, name) for name in MODIFIERS}


def method_plugin(name: str, settings: Mapping[str, Any]) -> PlugIn:
    """Return a method with all its settings, created once for equal settings.

    Raises:
        ValueError: an unknown setting, one out of range, or a rate and its share at once.
    """
    key = (name, canonical(dict(settings)))
    if key not in _PLUGINS:
        _PLUGINS[key] = _method_plugin(name, settings)
    return _PLUGINS[key]


_PLUGINS: dict[tuple[str, str], PlugIn] = {}


def _method_plugin(name: str, settings: Mapping[str, Any]) -> PlugIn:
    method = plugins.load("methods", name, **settings)
    refuse_idle_shares(settings)
    complete = without_idle_shares(recipe_settings(method))
    made = PlugIn(kind="methods", name=name, settings=complete, identity=complete, version=method.version)
    return made.carrying(method)


def with_choice(chosen: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a search chose, overridden by those of the sweep, of which a share removes the rate."""
    dropped = {rate for rate, share in SHARES.items() if share in settings}
    return {**{name: value for name, value in chosen.items() if name not in dropped}, **settings}


def method_variants(entry: MethodEntry, selection: str = "last") -> list[MethodVariant]:
    """Return the variants of an entry, one for each combination of swept values; `selection` is the sweep's.

    Raises:
        ValueError: an alias, an unknown preset or setting, a value out of range, or a modifier that the method cannot
            take.
    """
    if entry.alias:
        raise ValueError(
            f"a method cannot have an alias: got as: {entry.alias!r} for {entry.name}; remove it (tasks and backbones "
            "can have one)"
        )
    name = preset_name(entry)
    if name in REFERENCES and (entry.curriculum or entry.lora or entry.best_epoch):
        raise ValueError(
            f"{name} takes no curriculum, no lora and no best_epoch: got one; remove it, or use a method that unlearns"
        )
    applied = [modifier for modifier in MODIFIERS if getattr(entry, modifier) not in (None, False)]
    if applied and plugins.plugin_class("methods", name).edits_weights:
        raise ValueError(
            f"{name} edits weights in one step, so it takes no modifier: got {applied[0]}; remove it, or use a method "
            "that trains"
        )
    given = {modifier: getattr(entry, modifier) for modifier in MODIFIERS}
    method = plugins.plugin_class("methods", name)
    if entry.best_epoch and method.edits_last:
        raise ValueError(f"{name} edits weights after its last epoch, so it takes no best_epoch: got one; remove it")
    if entry.best_epoch is None and not (name in REFERENCES or method.edits_weights or method.edits_last):
        given["best_epoch"] = selection == "best_epoch"
    modifiers = [_modifier_variants(modifier, settings) for modifier, settings in given.items()]
    variants = []
    for chosen in _combinations(entry.settings):
        plugin = method_plugin(name, chosen)
        if entry.lora or isinstance(entry.lora, Mapping):
            _must_take_adapters(plugin)
        variants += [MethodVariant(name, chosen, plugin, *combined) for combined in itertools.product(*modifiers)]
    return variants


def _must_take_adapters(method: PlugIn) -> None:
    """Raise ValueError if adapters would break a method, or a method that it runs by name (RUM)."""
    known = plugins.names("methods")
    delegates = [value for value in method.settings.values() if isinstance(value, str) and value in known]
    for name in (method.name, *delegates):
        if not plugins.plugin_class("methods", name).takes_adapters:
            made = {n: plugins.plugin_class("methods", n) for n in plugins.usable("methods") if n != "original"}
            fit = ", ".join(n for n, method in made.items() if method.takes_adapters and not method.edits_weights)
            raise ValueError(
                f"{name} restores or reinitializes weights, so it takes no lora: got lora, allowed on: {fit}"
            )


def _combinations(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the settings with each combination of the values of lists."""
    swept = [key for key, value in settings.items() if isinstance(value, list)]
    if empty := [key for key in swept if not settings[key]]:
        raise ValueError(f"{empty[0]} of a method must be a value or a list of values: got an empty list; add a value")
    for values in itertools.product(*(settings[key] for key in swept)):
        yield {**settings, **dict(zip(swept, values, strict=True))}


def preset_name(entry: MethodEntry) -> str:
    """Return the plug-in of an entry: each preset but `faithful` is a plug-in of its own.

    Raises:
        ValueError: the method does not have the preset.
    """
    if entry.preset in (None, "faithful"):
        return entry.name
    name, known = f"{entry.name}_{entry.preset}", plugins.names("methods")
    if entry.preset not in METHOD_PRESETS or name not in known:
        having = (
            f"{preset} for {', '.join(n.removesuffix(f'_{preset}') for n in known if n.endswith(f'_{preset}'))}"
            for preset in METHOD_PRESETS[1:]
        )
        raise ValueError(
            f"no such preset of {entry.name}: got {entry.preset!r}, allowed: faithful; {'; '.join(having)}"
        )
    return name


def _modifier_variants(modifier: str, given: Mapping[str, Any] | bool | None) -> list[Mapping[str, Any] | None]:
    """Return all settings of a modifier for each combination of swept values; None if it is off."""
    if not given and not isinstance(given, Mapping):
        return [None]
    return [
        _modifier_settings(modifier, settings) for settings in _combinations({} if given is True else dict(given or {}))
    ]


def _modifier_settings(modifier: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    made, values = MODIFIERS[modifier], dict(settings)
    allowed = [f.name for f in fields(made)]
    if modifier == "superloss":
        preset = values.pop("preset", "faithful")
        if preset not in PRESETS:
            raise ValueError(f"superloss.preset is not known: got {preset!r}, allowed: {', '.join(PRESETS)}")
        values = {**(asdict(MUBENCH) if preset == "mubench" else {}), **values}
        allowed.append("preset")
    for key in settings:
        if key not in allowed:
            raise ValueError(f"unknown setting of {modifier}: got {key!r}, allowed: {', '.join(allowed)}")
    plugins.require_no_booleans(f"of {modifier}", values, made)
    try:
        complete = recipe_settings(made(**values))
        plugins.require_finite(f"of {modifier}", complete)
    except TypeError:
        raise ValueError(
            f"{modifier} has a setting of the wrong type: got {dict(settings)}; write numbers without quotes"
        ) from None
    return complete
