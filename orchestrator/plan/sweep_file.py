"""Read a sweep file: YAML with `extends:`, `${VARIABLES}` and `--set`, checked key by key."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.plan.plug_in_keys import overridden
from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.plan.sweep_schema import (
    AttributionEntry,
    BudgetEntry,
    CurvesEntry,
    EvidenceEntry,
    RelearningEntry,
    Sweep,
    SweepError,
    TuningEntry,
)
from orchestrator.plan.training_keys import StudyEntry, TrainingEntry, TrainingVariant
from orchestrator.plan.yaml_text import CONDITIONS, NAMES, YamlError, load_yaml
from orchestrator.plugins import suggestion

SHOWN = 100  # how many characters of a wrong value are shown
_HOME = re.compile(r"~[\w.-]*(/|$)")
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> tuple[Sweep, dict[str, Any]]:
    """Read and check a sweep file; also return the merged plain values, which launches record.

    Args:
        path: the YAML file, or the name of a sweep that ships with the package.
        overrides: `key=value` with dots for depth (`training.epochs=2`, `tasks.0.clips=600`); the value is YAML.

    Raises:
        SweepError: each wrong key, with its value and what is allowed.
    """
    path = find_sweep(path)
    values = _extended(path, ())
    for override in overrides:
        _set(values, override)
    values = _expanded(values)
    if lines := [f"  {key} must be a finite number, got {value}" for key, value in _not_finite(values, ())]:
        raise SweepError("\n".join([f"{path}:", *lines]))
    try:
        sweep = Sweep.model_validate(values)
    except ValidationError as error:
        raise SweepError("\n".join([f"{path}:", *_explain(error)])) from None
    if sweep.lock and not os.path.isabs(sweep.lock):
        sweep = sweep.model_copy(update={"lock": str(path.parent / sweep.lock)})
    return sweep, values


def find_sweep(path: Path) -> Path:
    """Return the file itself, or the shipped sweep of that name.

    Raises:
        SweepError: neither exists.
    """
    path = path.expanduser() if str(path).startswith("~/") else path
    if path.is_file():
        return path.resolve()
    shipped = shipped_sweeps()
    if path.name.removesuffix(".yaml") in shipped and len(path.parts) <= 2:
        return shipped[path.name.removesuffix(".yaml")]
    hint = suggestion(path.name.removesuffix(".yaml"), shipped)
    raise SweepError(f"no sweep file {path}{hint}; sweeps that come with the package: {', '.join(shipped)}")


def _extended(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise SweepError(f"{path} extends itself through {' -> '.join(p.name for p in seen)}; remove one `extends:`")
    try:
        values = load_yaml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SweepError(f"{path} is not text in UTF-8: {error}; save it as UTF-8") from None
    except YamlError as error:
        raise SweepError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise SweepError(f"{path} must consist of keys and values: got {type(values).__name__}; see docs/sweeps.md")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise SweepError(f"{path}: extends must be a sweep file or the name of a sweep, got {_shown(parent)}")
    relative = path.parent / os.path.expanduser(parent)
    return overridden(_extended(find_sweep(relative if relative.is_file() else Path(parent)), (*seen, path)), values)


def _set(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SweepError(f"--set needs key=value, got {override!r}")
    at: Any = values
    keys = key.split(".")
    *parents, last = keys
    for depth, part in enumerate(parents):
        try:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        except (IndexError, ValueError, AttributeError):
            raise SweepError(f"--set {key}: the sweep has no {'.'.join(parents[: depth + 1])}") from None
    try:
        value = load_yaml(text, keys)
    except YamlError as error:
        raise SweepError(f"--set {key}: {error}, in {_shown(text)}") from None
    try:
        at[int(last) if isinstance(at, list) else last] = value
    except (IndexError, ValueError, TypeError):
        raise SweepError(f"--set {key}: the sweep has no {key}") from None


def _expanded(value: Any, key: str = "") -> Any:
    """Replace `${NAME}` and `${NAME:-default}` by variables of the environment, then `~` at the beginning of a path.

    An unset variable without default is not replaced.
    """
    if isinstance(value, dict):
        return {name: _expanded(item, key if key in CONDITIONS else str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, key) for item in value]
    if not isinstance(value, str):
        return value
    text = _VARIABLE.sub(lambda m: os.environ.get(m["name"], m["default"] if m["default"] is not None else m[0]), value)
    return os.path.expanduser(text) if key not in (*NAMES, *CONDITIONS) and _HOME.match(text) else text


def _not_finite(value: Any, at: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Yield the keys of NaN and infinite values, with dots for depth."""
    if isinstance(value, float) and not math.isfinite(value):
        yield ".".join(at), value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _not_finite(item, (*at, str(key)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        named = "training" if item["loc"][:1] == ("trainings",) else None  # a list under that key
        where = ".".join(str(named or part) if not at else str(part) for at, part in enumerate(item["loc"]))
        if item["type"] == "extra_forbidden":
            allowed = _allowed_keys(item["loc"])
            near = difflib.get_close_matches(str(item["loc"][-1]), allowed, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            lines.append(f"  unknown key {where}{hint}, allowed: {', '.join(allowed)}")
        elif item["type"] == "missing":
            lines.append(f"  missing key {where}; docs/sweeps.md lists the keys that a sweep needs")
        elif item["type"] == "string_type":
            lines.append(f"  {where} must be text, got {_shown(item['input'])}; quote it")
        else:
            said = item["msg"].removeprefix("Value error, ")
            lines.append(
                f"  {where}: {said}, got {_shown(item['input'])}"
                if where and "got" not in said
                else f"  {where} {said}"
            )
    return lines


def _allowed_keys(location: tuple[int | str, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "training": TrainingVariant if location[0] == "training" else TrainingEntry,
        "trainings": TrainingVariant,
        "time_budget": BudgetEntry,
        "tuning": TuningEntry,
        "study": StudyEntry,
        "evidence": EvidenceEntry,
        "curves": CurvesEntry,
        "relearning": RelearningEntry,
        "attribution": AttributionEntry,
    }
    for part in reversed(location[:-1]):
        if part in models:
            found = models[str(part)].model_fields.items()
            return [field.alias or name for name, field in found if name != "settings"]
    return [name for name in Sweep.model_fields if name != "trainings"]
