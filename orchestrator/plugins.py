"""Plug-ins by name, made with settings that are checked against the types of their fields."""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from functools import cache, partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from orchestrator.plugin_registry import entries, entry_of


def names(kind: str) -> list[str]:
    """Names of all plug-ins of a kind: methods, trainings, backbones or tasks."""
    return list(entries(kind))


def usable(kind: str) -> list[str]:
    """Names of the plug-ins of a kind, without those of other packages that cannot be imported."""
    found = []
    for name in names(kind):
        with contextlib.suppress(ValueError):
            factory(kind, name)
            found.append(name)
    return found


@cache
def factory(kind: str, name: str) -> Callable[..., Any]:
    """The plug-in's factory: its class, or a `partial` of it.

    Raises:
        ValueError: unknown name (the message lists what there is), two plug-ins of that name, or one of another
            package that is broken.
    """
    if name not in entries(kind):
        known = names(kind)
        raise ValueError(f"unknown {kind[:-1]}: got {name!r}{suggestion(name, known)}, allowed: {', '.join(known)}")
    return entry_of(kind, name).factory()


def plugin_class(kind: str, name: str) -> type[Any]:
    """The class behind a plug-in's factory."""
    made = factory(kind, name)
    return made.func if isinstance(made, partial) else made  # type: ignore[return-value]


def preset_of(kind: str, name: str) -> Mapping[str, Any]:
    """Settings that the plug-in's name stands for, such as a backbone's checkpoint."""
    preset: Mapping[str, Any] = getattr(factory(kind, name), "keywords", {})
    return preset


def load(kind: str, name: str, **settings: Any) -> Any:
    """The plug-in with these settings.

    Raises:
        ValueError: unknown name, unknown setting (with the closest valid one), or a setting out of range.
    """
    allowed = [f.name for f in fields(plugin_class(kind, name))]
    for key in settings:
        if key not in allowed:
            raise ValueError(
                f"unknown setting of {kind[:-1]} {name}: got {key!r}{suggestion(key, allowed)}, "
                f"allowed: {', '.join(allowed) or 'none'}"
            )
    preset = preset_of(kind, name)
    for f in fields(plugin_class(kind, name)):
        if f.default is MISSING and f.default_factory is MISSING and f.name not in {**preset, **settings}:
            raise ValueError(f"{kind[:-1]} {name} needs the setting {f.name!r}, got {', '.join(settings) or 'none'}")
    return _typed(kind, name, {**preset, **settings})


@cache
def _adapter(kind: str, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(plugin_class(kind, name))


def _typed(kind: str, name: str, settings: Mapping[str, Any]) -> Any:
    """The plug-in, its settings turned into the types of its fields."""
    require_no_booleans(f"of {kind[:-1]} {name}", settings, plugin_class(kind, name))
    try:
        made = _adapter(kind, name).validate_python(dict(settings))
    except ValidationError as error:
        wrong = error.errors()[0]
        if not wrong["loc"]:
            raise ValueError(str(wrong["ctx"]["error"])) from None
        where, quote = wrong["loc"][0], "; quote it" if wrong["type"] == "string_type" else ""
        raise ValueError(
            f"setting {where!r} of {kind[:-1]} {name}: {wrong['msg']}, got {wrong['input']!r}{quote}"
        ) from None
    require_finite(f"of {kind[:-1]} {name}", {f.name: getattr(made, f.name) for f in fields(made)})
    return made


def require_no_booleans(whose: str, settings: Mapping[str, Any], made: type[Any]) -> None:
    """Refuse booleans, in lists too, where a class has a number: `true` would count as 1.

    Raises:
        ValueError: names the setting.
    """
    booleans = {name: value for name, value in settings.items() if holds_boolean(value)}
    hints = get_type_hints(made) if booleans else {}
    for name, value in booleans.items():
        if name in hints and takes_numbers_only(hints[name]):
            raise ValueError(f"setting {name!r} {whose} must be a number, got {value!r}")


def holds_boolean(value: Any) -> bool:
    """Whether a value, or one in a list, is a boolean."""
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(map(holds_boolean, value)))


def takes_numbers_only(hint: Any) -> bool:
    """Whether a type has numbers in it and no boolean."""
    found = set(_types_in(hint))
    return bool(found & {int, float}) and not found & {bool, Any}


def _types_in(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Literal:
        return
    inner = get_args(hint)
    if not inner:
        yield hint
    for one in inner:
        yield from _types_in(one)


def require_finite(whose: str, settings: Mapping[str, Any]) -> None:
    """Refuse NaN and infinity, in lists and mappings too.

    Raises:
        ValueError: names the setting.
    """
    for name, value in settings.items():
        if any(not math.isfinite(number) for number in _floats(value)):
            raise ValueError(f"setting {name!r} {whose} must be a finite number, got {value!r}")


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        yield from _floats(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _floats(item)


def suggestion(word: str, known: Any) -> str:
    """What may have been meant, in brackets, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
