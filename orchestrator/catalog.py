"""What a sweep can choose from: tasks, backbones, trainings, methods and sweeps, one table each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from orchestrator.plugin_registry import TABLES, Entry, entries, entry_of
from orchestrator.plugin_sources import NO_DEFAULT, parsed

CAPTIONS = {"methods": "learning_rate auto: rate_share of the rate that the original was trained at"}
KINDS = ("tasks", "backbones", "trainings", "methods", "sweeps")
_DESCRIPTION = re.compile(r"^description:.*(?:\n[ \t]+.*)*", re.MULTILINE)  # of a sweep


def listing(kind: str) -> Any:
    """List one kind, or `all` of them.

    Raises:
        ValueError: unknown kind.
    """
    if kind == "all":
        return Group(*(listing(each) for each in KINDS))
    if kind not in KINDS:
        raise ValueError(f"There is no kind {kind!r}. Kinds: {', '.join(KINDS)}, all.")
    return _sweeps() if kind == "sweeps" else _plugins(kind)


def described(kind: str, name: str) -> tuple[str, Mapping[str, Any]]:
    """Describe a plug-in, and return its settings with their defaults, or `NO_DEFAULT`.

    This project's own are read without being imported; those of other packages are imported.

    Raises:
        ValueError: it cannot be used: two have its name, or it is another package's and broken.
    """
    entry = entry_of(kind, name)
    return _imported(entry) if entry.package else _read(entry)


def _read(entry: Entry) -> tuple[str, Mapping[str, Any]]:
    source = parsed(entry.module)
    if entry.kind not in TABLES:
        return source.about, source.settings(str(source.labeled()))
    table = {name: (cls, preset) for name, cls, preset in source.table(TABLES[entry.kind])}
    cls, preset = table[entry.name]
    return source.about, {**source.settings(cls), **preset}


def _imported(entry: Entry) -> tuple[str, Mapping[str, Any]]:
    import inspect
    from dataclasses import MISSING, fields

    from orchestrator import plugins

    cls, preset = plugins.plugin_class(entry.kind, entry.name), plugins.preset_of(entry.kind, entry.name)
    about = next(iter((inspect.getdoc(inspect.getmodule(cls)) or "").splitlines()), "")
    defaults = {f.name: NO_DEFAULT if f.default is MISSING else f.default for f in fields(cls)}
    return f"{about} ({entry.package})".strip(), {**defaults, **preset}


def _plugins(kind: str) -> Table:
    table = Table(title=kind, caption=CAPTIONS.get(kind))
    for column in ("name", "what it is", "settings and defaults"):
        table.add_column(column)
    for name in entries(kind):
        try:
            about, settings = described(kind, name)
        except ValueError as error:
            table.add_row(name, f"[red]cannot be used:[/red] {escape(str(error))}", "")
            continue
        shown = [each if value is NO_DEFAULT else f"{each}={value!r}" for each, value in settings.items()]
        table.add_row(name, escape(about), escape(", ".join(shown)))
    return table


def _sweeps() -> Table:
    from orchestrator.plan.shipped_sweeps import shipped_sweeps
    from orchestrator.plan.yaml_text import load_yaml

    table = Table(title="sweeps")
    table.add_column("name")
    table.add_column("what it is")
    for name, path in shipped_sweeps().items():
        line = _DESCRIPTION.search(
            path.read_text(encoding="utf-8")
        )  # the whole file takes a tenth of a second to parse
        table.add_row(name, escape(str(load_yaml(line[0])["description"]) if line else ""))
    return table
