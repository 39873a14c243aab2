"""A sweep file: YAML with `extends:`, `${VARIABLES}` and `--set`, checked key by key."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from orchestrator.plan.sweep import (
    AttributionEntry,
    BudgetEntry,
    EvidenceEntry,
    KindOfTraining,
    RelearningEntry,
    StudyEntry,
    Sweep,
    SweepError,
    TrainingEntry,
    TuningEntry,
)

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> tuple[Sweep, dict[str, Any]]:
    """Read and check a sweep file; also return the merged plain values, for the record.

    Args:
        path: the YAML file, or the name of a sweep that ships with the package.
        overrides: `key=value` with dots for depth (`training.epochs=2`, `tasks.0.clips=600`); the value is YAML.

    Raises:
        SweepError: with every wrong key, what came and what is allowed.
    """
    path = find_sweep(path)
    values = _extended(path, ())
    for override in overrides:
        _set(values, override)
    values = _expanded(values)
    try:
        sweep = Sweep.model_validate(values)
    except ValidationError as error:
        raise SweepError("\n".join([f"{path}:", *_explain(error)])) from None
    if sweep.lock and not os.path.isabs(sweep.lock):
        sweep = sweep.model_copy(update={"lock": str(path.parent / sweep.lock)})
    return sweep, values


def shipped_sweeps() -> dict[str, Path]:
    """Sweeps that come with the package: name to file."""
    here = Path(__file__).resolve().parents[1]
    folder = here / "sweeps" if (here / "sweeps").is_dir() else here.parent / "sweeps"
    return {file.stem: file for file in sorted(folder.glob("*.yaml")) if not file.stem.endswith(".lock")}


def find_sweep(path: Path) -> Path:
    """The file itself, or the shipped sweep of that name."""
    if path.is_file():
        return path.resolve()
    shipped = shipped_sweeps()
    if path.name.removesuffix(".yaml") in shipped and len(path.parts) <= 2:
        return shipped[path.name.removesuffix(".yaml")]
    raise SweepError(f"no sweep file {path}; sweeps that come with the package: {', '.join(shipped)}")


def _extended(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise SweepError(f"{path}: extends itself through {' -> '.join(p.name for p in seen)}")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise SweepError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise SweepError(f"{path} must hold keys and values, got {type(values).__name__}")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    beside = path.parent / parent
    return _merged(_extended(find_sweep(beside if beside.is_file() else Path(parent)), (*seen, path)), values)


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _set(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SweepError(f"--set takes key=value, got {override!r}")
    at: Any = values
    *folders, last = key.split(".")
    for depth, part in enumerate(folders):
        try:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        except (IndexError, ValueError, AttributeError):
            raise SweepError(f"--set {key}: nothing at {'.'.join(folders[: depth + 1])}") from None
    try:
        at[int(last) if isinstance(at, list) else last] = yaml.safe_load(text)
    except (IndexError, ValueError, TypeError):
        raise SweepError(f"--set {key}: nothing at {key}") from None


def _expanded(value: Any) -> Any:
    """`${NAME}` and `${NAME:-default}` from the environment; an unset one without default stays as it is."""
    if isinstance(value, dict):
        return {key: _expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda m: os.environ.get(m["name"], m["default"] if m["default"] is not None else m[0]), value)


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        named = "training" if item["loc"][:1] == ("trainings",) else None  # a list under that key
        where = ".".join(str(named or part) if not at else str(part) for at, part in enumerate(item["loc"]))
        if item["type"] == "extra_forbidden":
            allowed = _keys_beside(item["loc"])
            near = difflib.get_close_matches(str(item["loc"][-1]), allowed, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            lines.append(f"  unknown key {where}{hint}, allowed: {', '.join(allowed)}")
        else:
            said = item["msg"].removeprefix("Value error, ")
            lines.append(
                f"  {where}: {said}, got {item['input']!r}" if where and "got" not in said else f"  {where} {said}"
            )
    return lines


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "training": KindOfTraining if location[0] == "training" else TrainingEntry,
        "trainings": KindOfTraining,
        "time_budget": BudgetEntry,
        "tuning": TuningEntry,
        "study": StudyEntry,
        "evidence": EvidenceEntry,
        "relearning": RelearningEntry,
        "attribution": AttributionEntry,
    }
    for part in reversed(location[:-1]):
        if part in models:
            found = models[str(part)].model_fields.items()
            return [field.alias or name for name, field in found if name != "settings"]
    return [name for name in Sweep.model_fields if name != "trainings"]
