"""Entries of a sweep's `methods:` as lines of a table: swept settings spread out, presets found, knobs laid over."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from methods.engine.rates import SHARES, refuse_idle_shares, without_idle_shares
from methods.modifiers.curriculum import ForgetCurriculum
from methods.modifiers.lora import Lora
from methods.modifiers.superloss import MUBENCH, SuperLoss
from orchestrator import plugins
from orchestrator.plan.spec import PlugIn, canonical
from orchestrator.plan.sweep_schema import MethodEntry

MODIFIERS: dict[str, type[Any]] = {"superloss": SuperLoss, "curriculum": ForgetCurriculum, "lora": Lora}
PRESETS = ("faithful", "mubench")


@dataclass(frozen=True)
class MethodVariant:
    """One line of a table: a method with its settings, and what is laid over it."""

    name: str
    settings: Mapping[str, Any]
    plugin: PlugIn  # made once: a grid has thousands of trials a line
    superloss: Mapping[str, Any] | None = None
    curriculum: Mapping[str, Any] | None = None
    lora: Mapping[str, Any] | None = None


def method_plugin(name: str, settings: Mapping[str, Any]) -> PlugIn:
    """A method with every setting spelled out, made once; bad settings are refused here.

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
    spelled = without_idle_shares({f.name: getattr(method, f.name) for f in fields(method)})
    made = PlugIn(kind="methods", name=name, settings=spelled, identity=spelled, version=method.version)
    return made.carrying(method)


def with_choice(chosen: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A lock's choice under what the sweep spells out; a share that the sweep gives wins over the lock's rate."""
    dropped = {rate for rate, share in SHARES.items() if share in settings}
    return {**{name: value for name, value in chosen.items() if name not in dropped}, **settings}


def method_lines(entry: MethodEntry) -> list[MethodVariant]:
    """The entry's lines, one for each combination of swept values.

    Raises:
        ValueError: an alias, an unknown preset or setting, a value out of range, or a knob that the method cannot take.
    """
    if entry.alias:
        raise ValueError(
            f"a method has no alias: got as: {entry.alias!r} for {entry.name}, allowed: for tasks and backbones"
        )
    name = _preset_name(entry)
    knobs = [_laid_over(knob, getattr(entry, knob)) for knob in MODIFIERS]
    if name in ("original", "retrain") and (entry.curriculum or entry.lora):
        raise ValueError(f"{name} takes no curriculum and no lora: got one, allowed: on methods that unlearn")
    laid = [knob for knob in MODIFIERS if getattr(entry, knob) not in (None, False)]
    if laid and plugins.plugin_class("methods", name).edits_weights:
        raise ValueError(f"{name} edits weights in one step: got {laid[0]}, allowed: on methods that train")
    lines = []
    for chosen in _combinations(entry.settings):
        plugin = method_plugin(name, chosen)
        if entry.lora or isinstance(entry.lora, Mapping):
            _must_take_adapters(plugin)
        lines += [MethodVariant(name, chosen, plugin, *laid) for laid in itertools.product(*knobs)]
    return lines


def _must_take_adapters(method: PlugIn) -> None:
    """Refuse a method, or one that it hands a part of its work to by name (RUM), that adapters would break."""
    known = plugins.names("methods")
    handed = [value for value in method.settings.values() if isinstance(value, str) and value in known]
    for name in (method.name, *handed):
        if not plugins.plugin_class("methods", name).takes_adapters:
            made = {n: plugins.plugin_class("methods", n) for n in plugins.usable("methods") if n != "original"}
            fit = ", ".join(n for n, method in made.items() if method.takes_adapters and not method.edits_weights)
            raise ValueError(f"{name} puts weights back or draws them anew: got lora, allowed: on {fit}")


def _combinations(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings, once for each combination of values of those that are lists."""
    swept = [key for key, value in settings.items() if isinstance(value, list)]
    if empty := [key for key in swept if not settings[key]]:
        raise ValueError(f"{empty[0]} of a method must be a value or a list of values, got an empty list")
    for values in itertools.product(*(settings[key] for key in swept)):
        yield {**settings, **dict(zip(swept, values, strict=True))}


def _preset_name(entry: MethodEntry) -> str:
    """The plug-in behind a preset: `mubench` variants are files of their own."""
    if entry.preset in (None, "faithful"):
        return entry.name
    name, known = f"{entry.name}_{entry.preset}", plugins.names("methods")
    if entry.preset not in PRESETS or name not in known:
        having = ", ".join(n.removesuffix("_mubench") for n in known if n.endswith("_mubench"))
        raise ValueError(
            f"no such preset of {entry.name}: got {entry.preset!r}, allowed: faithful; mubench for {having}"
        )
    return name


def _laid_over(knob: str, given: Mapping[str, Any] | bool | None) -> list[Mapping[str, Any] | None]:
    """The knob's settings, all spelled out, once for each combination of swept values; None where it is off."""
    if not given and not isinstance(given, Mapping):
        return [None]
    return [_knob(knob, settings) for settings in _combinations({} if given is True else dict(given or {}))]


def _knob(knob: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    made, values = MODIFIERS[knob], dict(settings)
    allowed = [f.name for f in fields(made)]
    if knob == "superloss":
        preset = values.pop("preset", "faithful")
        if preset not in PRESETS:
            raise ValueError(f"superloss.preset is not known: got {preset!r}, allowed: {', '.join(PRESETS)}")
        values = {**(asdict(MUBENCH) if preset == "mubench" else {}), **values}
        allowed.append("preset")
    for key in settings:
        if key not in allowed:
            raise ValueError(f"unknown setting of {knob}: got {key!r}, allowed: {', '.join(allowed)}")
    plugins.require_no_booleans(f"of {knob}", values, made)
    try:
        spelled = asdict(made(**values))
        plugins.require_finite(f"of {knob}", spelled)
    except TypeError:
        raise ValueError(
            f"{knob}: a setting of the wrong kind, got {dict(settings)}, allowed: numbers as numbers"
        ) from None
    if not spelled.get("shuffled", True):
        del spelled["shuffled"]  # a setting that came later stands in a recipe only where it is on
    return spelled
