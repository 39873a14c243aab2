"""Listings of recordings: a manifest, file names that follow a pattern, or one folder per class."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestrator.tasks.sources.found_files import shown
from orchestrator.tasks.sources.tables import Cell, cell, read_table


@dataclass(frozen=True)
class Listed:
    """One recording as listed: a path inside the root, and what is known about it."""

    path: str  # relative to the root, POSIX, as on disk
    columns: Mapping[str, Cell]
    where: str  # `manifest.csv row 7`; empty where the file itself is the listing
    defect: str = ""  # why it cannot be used

    @property
    def utterance_id(self) -> str:
        """The path as text."""
        return shown(self.path)


@dataclass(frozen=True)
class Listing:
    """All recordings of a corpus, and what is known about each."""

    recordings: list[Listed]
    columns: tuple[str, ...]  # without `path`
    name: str  # as messages show it: of the manifest, or of what replaces one

    def require(self, column: str, setting: str) -> None:
        """Refuse a column that is not there, naming those that are.

        Raises:
            ValueError: see above.
        """
        if column not in self.columns:
            raise ValueError(
                f"{setting} names a column that {self.name} does not have: got {column!r}, "
                f"allowed: {', '.join(self.columns) or 'none, as there is only `path`'}"
            )


def from_manifest(manifest: Path, root: Path) -> Listing:
    """Rows of a CSV, TSV or Parquet file with a `path` column; rows count from 1, without the header.

    Raises:
        ValueError: there is no `path` column, or a path is missing, given twice, or leads out of `root`.
    """
    table = read_table(manifest)
    table.require("path")
    listed: list[Listed] = []
    first_row: dict[str, int] = {}
    for row, cells in enumerate(table.rows, start=1):
        where = f"{manifest.name} row {row}"
        path = _on_disk(inside(str(cells.pop("path") or ""), where, root), root)
        if path in first_row:
            raise ValueError(f"path given twice in {manifest}: got {path!r} in rows {first_row[path]} and {row}")
        first_row[path] = row
        listed.append(Listed(path, cells, where))
    return Listing(listed, tuple(name for name in table.columns if name != "path"), manifest.name)


def from_names(paths: Iterable[str], pattern: str) -> Listing:
    """Files whose names say what they hold: named groups of `pattern` become columns.

    The whole stem must match or, where the pattern has a slash in it, the whole relative path without its suffix.

    Raises:
        ValueError: `pattern` is not a regular expression with named groups.
    """
    try:
        compiled = re.compile(unicodedata.normalize("NFC", pattern))
    except re.error as error:
        raise ValueError(f"pattern is not a regular expression: got {pattern!r} ({error})") from None
    if not compiled.groupindex:
        raise ValueError(
            f"pattern has no named groups: got {pattern!r}, allowed: such as (?P<label>\\w+)_(?P<speaker>\\w+)"
        )
    listed = []
    for path in paths:
        name = PurePosixPath(shown(path)).with_suffix("")
        match = compiled.fullmatch(str(name) if "/" in pattern else name.name)
        defect = "" if match else f"the name does not match pattern {pattern!r}"
        groups = {group: cell(value) for group, value in match.groupdict().items()} if match else {}
        listed.append(Listed(path, groups, "", defect))
    return Listing(listed, tuple(compiled.groupindex), "the pattern")


def from_folders(paths: Iterable[str], column: str) -> Listing:
    """Files in one folder per class: the first folder below the root becomes `column`."""
    listed = []
    for path in paths:
        folder, _, rest = path.partition("/")
        defect = "" if rest else "the file is in no class folder"
        listed.append(Listed(path, {column: cell(shown(folder))} if rest else {}, "", defect))
    return Listing(listed, (column,), "a class folder")


def inside(path: str, where: str, root: Path) -> str:
    """`path` relative to the root, in its shortest form.

    Raises:
        ValueError: it is empty, or leads out of the root.
    """
    shortest = posixpath.normpath(path) if path else ""
    if shortest.startswith("/"):
        for base in (str(root), os.path.realpath(root)):
            if shortest.startswith(f"{base.rstrip('/')}/"):
                shortest = posixpath.relpath(shortest, base)
    if shortest in ("", ".", "..") or shortest.startswith(("/", "../")):
        raise ValueError(
            f"bad path in {where}: got {path!r}, allowed: a path inside {root}, relative to it or absolute"
        )
    return shortest


def _on_disk(path: str, root: Path) -> str:
    """The path in the Unicode form in which the file system has it, which may be another than the manifest's."""
    decomposed = unicodedata.normalize("NFD", path)
    return path if decomposed == path or not (root / decomposed).exists() else decomposed
