"""What there is to choose from: tasks, backbones, trainings, methods and sweeps, as one table each."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from orchestrator import plugins

CAPTIONS = {"methods": "learning_rate auto: rate_share of the rate that the original was trained at"}
KINDS = ("tasks", "backbones", "trainings", "methods", "sweeps")


def listing(kind: str) -> Any:
    """One kind, or `all` of them.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "all":
        return Group(*(listing(each) for each in KINDS))
    if kind not in KINDS:
        raise ValueError(f"unknown kind: got {kind!r}, allowed: {', '.join(KINDS)}")
    return _sweeps() if kind == "sweeps" else _plugins(kind)


def _plugins(kind: str) -> Table:
    table = Table(title=kind, caption=CAPTIONS.get(kind))
    for column in ("name", "what it is", "settings and defaults"):
        table.add_column(column)
    for name in plugins.names(kind):
        cls = plugins.plugin_class(kind, name)
        preset = getattr(plugins.factory(kind, name), "keywords", {})
        settings = [
            f"{f.name}={preset.get(f.name, f.default)!r}" if f.default is not MISSING or f.name in preset else f.name
            for f in fields(cls)
        ]
        what = (inspect.getdoc(inspect.getmodule(cls)) or "").splitlines()[0]
        table.add_row(name, escape(what), escape(", ".join(settings)))
    return table


def _sweeps() -> Table:
    from orchestrator.plan.sweep_file import shipped_sweeps
    from orchestrator.plan.yaml_text import load_yaml

    table = Table(title="sweeps")
    table.add_column("name")
    table.add_column("what it is")
    for name, path in shipped_sweeps().items():
        table.add_row(name, escape(str((load_yaml(path.read_text()) or {}).get("description", ""))))
    return table
