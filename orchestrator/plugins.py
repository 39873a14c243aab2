"""Plug-ins by name: the files of methods/, methods/trainings/, backbones/ and orchestrator/tasks/ are the registry."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import cache, partial
from typing import Any

from pydantic import TypeAdapter, ValidationError

KINDS = {
    "methods": "methods",
    "trainings": "methods.trainings",
    "backbones": "backbones",
    "tasks": "orchestrator.tasks",
}
TABLES = {"backbones": "VARIANTS", "tasks": "TASKS"}  # a module of these kinds may offer several plug-ins
TYPED = ("methods", "trainings")  # one class a file, whose settings are turned into the types of its fields


@cache
def registry(kind: str) -> Mapping[str, Callable[..., Any]]:
    """Every plug-in of a kind: name to factory, in order of names."""
    package = importlib.import_module(KINDS[kind])
    found: dict[str, Callable[..., Any]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.ispkg:
            continue
        module = importlib.import_module(f"{KINDS[kind]}.{info.name}")
        if kind in TYPED:
            from methods.base import Method

            own = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__]
            for method in (c for c in own if issubclass(c, Method) and not inspect.isabstract(c)):
                found[info.name] = method
        else:
            found.update(getattr(module, TABLES[kind], {}))
    return dict(sorted(found.items()))


def names(kind: str) -> list[str]:
    """Names of all plug-ins of a kind: methods, trainings, backbones or tasks."""
    return list(registry(kind))


def factory(kind: str, name: str) -> Callable[..., Any]:
    """The plug-in's factory.

    Raises:
        ValueError: unknown name; the message lists what there is.
    """
    found = registry(kind)
    if name not in found:
        raise ValueError(f"unknown {kind[:-1]}: got {name!r}{suggestion(name, found)}, allowed: {', '.join(found)}")
    return found[name]


def plugin_class(kind: str, name: str) -> type[Any]:
    """The class behind a plug-in's factory."""
    made = factory(kind, name)
    return made.func if isinstance(made, partial) else made  # type: ignore[return-value]


def load(kind: str, name: str, **settings: Any) -> Any:
    """The plug-in with these settings.

    Raises:
        ValueError: unknown name, unknown setting (with the nearest right one), or a setting out of range.
    """
    allowed = [f.name for f in fields(plugin_class(kind, name))]
    for key in settings:
        if key not in allowed:
            raise ValueError(
                f"unknown setting of {kind[:-1]} {name}: got {key!r}{suggestion(key, allowed)}, "
                f"allowed: {', '.join(allowed) or 'none'}"
            )
    made = factory(kind, name)
    preset = getattr(made, "keywords", {})
    for f in fields(plugin_class(kind, name)):
        if f.default is MISSING and f.default_factory is MISSING and f.name not in {**preset, **settings}:
            raise ValueError(f"{kind[:-1]} {name} needs the setting {f.name!r}, got {', '.join(settings) or 'none'}")
    return _typed(kind, name, settings) if kind in TYPED else made(**settings)


@cache
def _adapter(kind: str, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(plugin_class(kind, name))


def _typed(kind: str, name: str, settings: Mapping[str, Any]) -> Any:
    """The plug-in, its settings turned into the types of its fields; YAML reads 1e-4 as text."""
    try:
        return _adapter(kind, name).validate_python(dict(settings))
    except ValidationError as error:
        wrong = error.errors()[0]
        if not wrong["loc"]:
            raise ValueError(str(wrong["ctx"]["error"])) from None
        where = wrong["loc"][0]
        raise ValueError(f"setting {where!r} of {kind[:-1]} {name}: {wrong['msg']}, got {wrong['input']!r}") from None


def suggestion(word: str, known: Any) -> str:
    """What may have been meant, in brackets, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
