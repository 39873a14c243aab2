"""What plug-ins say of themselves, read from their source: nothing is imported, so a list of all takes no second."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

OWN = ("methods", "backbones", "orchestrator")  # packages whose modules are read
NO_DEFAULT = object()  # of a setting that must be given


class Code(str):
    """A default that only running the code would tell: shown as it is written."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Source:
    """A module, parsed."""

    name: str
    tree: ast.Module

    @property
    def about(self) -> str:
        """The first line of the module's docstring."""
        return next(iter((ast.get_docstring(self.tree) or "").splitlines()), "")

    @property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The module's own classes."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    def labeled(self) -> str | None:
        """The last class that has a label as tables print it: a plug-in; None where the module has none."""
        found = [name for name, node in self.classes.items() if "label" in _assigned(node)]
        return found[-1] if found else None

    def table(self, name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Entries of a table of plug-ins: name, class, and the settings that `partial` gives it."""
        found = self._constant(name)
        for key, value in zip(found.keys, found.values, strict=True) if isinstance(found, ast.Dict) else ():
            made = value.args[0] if isinstance(value, ast.Call) else value
            given = value.keywords if isinstance(value, ast.Call) else []
            assert isinstance(key, ast.Constant)
            assert isinstance(made, ast.Name)
            yield str(key.value), made.id, {k.arg: self.value(k.value) for k in given if k.arg}

    def settings(self, class_name: str) -> dict[str, Any]:
        """Fields of a dataclass with their defaults, those that it inherits first."""
        if class_name not in self.classes:
            imported = self._imported(class_name)
            return parsed(imported[0]).settings(imported[1]) if imported else {}
        node, found = self.classes[class_name], dict[str, Any]()
        for base in reversed(node.bases):
            if isinstance(base, ast.Name):
                found.update(self.settings(base.id))
        for line in node.body:
            if not isinstance(line, ast.AnnAssign) or "ClassVar" in ast.unparse(line.annotation):
                continue
            found[ast.unparse(line.target)] = NO_DEFAULT if line.value is None else self._default(line.value)
        return found

    def value(self, node: ast.expr) -> Any:
        """A literal, or a constant of a module of this project; other expressions as `Code`."""
        try:
            return ast.literal_eval(node)
        except ValueError:
            pass
        if isinstance(node, ast.Name) and (found := self._constant(node.id)) is not None:
            return self.value(found)
        if isinstance(node, ast.Name) and (imported := self._imported(node.id)):
            return parsed(imported[0]).value(ast.Name(imported[1]))
        return Code(ast.unparse(node))

    def _default(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "added_later":
            return self.value(node.args[0])
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "field"):
            return self.value(node)
        given = {k.arg: k.value for k in node.keywords}
        return self.value(given["default"]) if "default" in given else NO_DEFAULT

    def _constant(self, name: str) -> ast.expr | None:
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                value: ast.expr | None = getattr(node, "value", None)
                return value
        return None

    def _imported(self, name: str) -> tuple[str, str] | None:
        """Module and name of what `from … import` of this project calls by this name."""
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in OWN:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return str(node.module), alias.name
        return None


@cache
def parsed(module: str) -> Source:
    """A module's source; its parent packages are imported, the module itself is not."""
    spec = importlib.util.find_spec(module)
    assert spec
    assert spec.origin
    return Source(module, ast.parse(Path(spec.origin).read_text(encoding="utf-8")))


def _assigned(node: ast.ClassDef) -> list[str]:
    """Names that a class gives a value."""
    lines = [line for line in node.body if isinstance(line, ast.AnnAssign) and line.value is not None]
    return [line.target.id for line in lines if isinstance(line.target, ast.Name)]
