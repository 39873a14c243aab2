"""Make the tables of keys in docs/sweeps.md from the descriptions of the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from methods.base import Training
from orchestrator.plan.json_schema import EXTENDS
from orchestrator.plan.sweep_keys import SHOWN_DEFAULT
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.plan.training_keys import TrainingEntry, TrainingVariant

SMALL = 1e-3  # numbers below are written as 1e-4
Row = tuple[str, str, str]  # key, default, meaning


def _sweep() -> Iterator[Row]:
    for name, field in Sweep.model_fields.items():
        if name == "tasks":
            yield "extends", "–", EXTENDS["description"]
        if name != "trainings":
            yield _row(name, field)


def _training() -> Iterator[Row]:
    usual: dict[str, Any] = {**asdict(Training()), "crop": "none"}
    for name, field in TrainingEntry.model_fields.items():
        yield _row(name, field, usual.get(name))


def _kind_of_training() -> Iterator[Row]:
    for name, field in TrainingVariant.model_fields.items():
        if name not in TrainingEntry.model_fields and field.description:
            yield _row(name, field)


KEYS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "sweep": _sweep,
    "training": _training,
    "kind_of_training": _kind_of_training,
}


def _row(name: str, field: FieldInfo, usual: Any = None) -> Row:
    """Return the row of a key; `usual` is the value of an unset key."""
    extra = field.json_schema_extra
    shown = str(extra[SHOWN_DEFAULT]) if isinstance(extra, dict) and SHOWN_DEFAULT in extra else ""
    default = "required" if field.is_required() else shown or _said(field.default if usual is None else usual)
    return field.alias or name, default, field.description or ""


def _said(value: Any) -> str:
    """Write a default as the table shows it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, BaseModel):
        return "`{" + ", ".join(f"{name}: {inner}" for name, inner in value.model_dump().items()) + "}`"
    if isinstance(value, str):
        return f"`{value}`"
    return f"{value:g}" if value == 0 or abs(value) >= SMALL else f"{value:.0e}".replace("e-0", "e-")


def key_table(name: str) -> str:
    """Return a table of `KEYS` in Markdown."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in KEYS[name]()]
    return "\n".join(lines)
