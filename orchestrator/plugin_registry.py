"""Where plug-ins are: files of this project, and entry points of other packages. One is imported when it is used."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.plugin_sources import parsed

PACKAGES = {
    "methods": ("methods", "methods.mubench", "methods.paper"),
    "trainings": ("methods.trainings",),
    "backbones": ("backbones",),
    "tasks": ("orchestrator.tasks",),
}
TABLES = {"backbones": "VARIANTS", "tasks": "TASKS"}  # a module of these kinds may offer several plug-ins
GROUP = "speech_unlearning"  # of entry points: speech_unlearning.methods and so on
VERBS = {"methods": "passes", "trainings": "passes", "backbones": "build", "tasks": "read"}
_LABELED = re.compile(r"^    label: ClassVar\[str\] = ", re.MULTILINE)  # what a plug-in of one class a file has


@dataclass(frozen=True)
class Entry:
    """One plug-in, and where it is."""

    kind: str
    name: str
    module: str
    attribute: str = ""  # of the module; empty for this project's own, which are found by the rules of their kind
    package: str = ""  # the installed package and its version; empty for this project's own

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.module}:{self.attribute} of {self.package}" if self.package else f"{self.module} of this project"

    def factory(self) -> Callable[..., Any]:
        """Import the module, and take the class, or the `partial` of one.

        Raises:
            ValueError: it is another package's, and cannot be imported or is no plug-in.
        """
        if not self.package:
            return self._own(importlib.import_module(self.module))
        try:
            made = importlib.import_module(self.module)
            for part in self.attribute.split("."):
                made = getattr(made, part)
        except Exception as error:  # whatever importing somebody's module may end in
            raise ValueError(
                f"{self.kind[:-1]} {self.name} cannot be imported from {self.place}: {type(error).__name__}: {error}; "
                "repair or uninstall that package"
            ) from error
        if defect := self._defect(made):
            raise ValueError(f"{self.kind[:-1]} {self.name} ({self.place}) is no {self.kind[:-1]}: {defect}")
        return made  # type: ignore[return-value]

    def _own(self, module: ModuleType) -> Callable[..., Any]:
        if self.kind in TABLES:
            table: Mapping[str, Callable[..., Any]] = getattr(module, TABLES[self.kind])
            return table[self.name]
        own = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__]
        (found,) = [c for c in own if hasattr(c, "passes") and not inspect.isabstract(c)]
        return found

    def _defect(self, made: Any) -> str:
        """What a class of another package lacks, or nothing."""
        cls = made.func if isinstance(made, partial) else made
        if not (inspect.isclass(cls) and is_dataclass(cls)):
            return f"got {made!r}; it must be a frozen dataclass, or a functools.partial of one"
        if inspect.isabstract(cls) or not hasattr(cls, VERBS[self.kind]):
            needed = ", ".join(sorted(getattr(cls, "__abstractmethods__", ()))) or VERBS[self.kind]
            return f"{cls.__name__} has no {needed}"
        for name, wanted in (("label", str), ("version", int)):
            if not isinstance(getattr(cls, name, None), wanted):
                return f"{cls.__name__} has no class variable `{name}`, a {wanted.__name__}"
        return ""


@cache
def entries(kind: str) -> Mapping[str, tuple[Entry, ...]]:
    """Every plug-in of a kind, by name and in order of names; several under one name are a clash."""
    found: dict[str, tuple[Entry, ...]] = {}
    for entry in (*_own_entries(kind), *_installed(kind)):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return dict(sorted(found.items()))


def entry_of(kind: str, name: str) -> Entry:
    """The plug-in of a name that is known.

    Raises:
        ValueError: there are several; the message names all.
    """
    found = entries(kind)[name]
    if len(found) > 1:
        places = " and ".join(entry.place for entry in found)
        raise ValueError(f"{len(found)} {kind} are named {name!r}: {places}; rename one, or uninstall its package")
    return found[0]


def _own_entries(kind: str) -> Iterator[Entry]:
    for package in PACKAGES[kind]:
        (folder,) = importlib.import_module(package).__path__
        for info in pkgutil.iter_modules([folder]):
            if info.ispkg:
                continue
            module, text = f"{package}.{info.name}", Path(folder, f"{info.name}.py").read_text(encoding="utf-8")
            if kind not in TABLES and _LABELED.search(text):
                yield Entry(kind, info.name, module)
            elif kind in TABLES and f"\n{TABLES[kind]}" in text:
                yield from (Entry(kind, name, module) for name, _, _ in parsed(module).table(TABLES[kind]))


@cache
def _entry_points() -> Any:
    """Those of all installed packages; reading them takes a while."""
    return importlib.metadata.entry_points()


def _installed(kind: str) -> Iterator[Entry]:
    for found in _entry_points().select(group=f"{GROUP}.{kind}"):
        package = f"{found.dist.name} {found.dist.version}" if found.dist else "an installed package"
        yield Entry(kind, found.name, found.module, found.attr, package)
