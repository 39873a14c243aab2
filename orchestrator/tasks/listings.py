"""Listings of somebody's recordings: a manifest, names that follow a pattern, or one folder a class."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True)
class Listed:
    """One recording as listed: a path inside the root, and what is known about it."""

    path: str  # relative to the root, POSIX
    columns: Mapping[str, str | float | None]
    where: str  # `manifest.csv row 7`; empty where the file itself is the listing
    defect: str = ""  # why it cannot be used


def from_manifest(manifest: Path) -> list[Listed]:
    """Rows of a CSV or Parquet file with a `path` column; rows count from 1, without the header.

    CSV cells are texts; an empty cell is None. Numbers in Parquet stay numbers.

    Raises:
        ValueError: there is no `path` column, or a path is missing, given twice, absolute or climbs out by `..`.
    """
    listed: list[Listed] = []
    first_row: dict[str, int] = {}
    for row, cells in enumerate(read_table(manifest), start=1):
        where = f"{manifest.name} row {row}"
        if "path" not in cells:
            raise ValueError(f"{manifest} has no column `path`: got {', '.join(map(str, cells))}")
        path = inside(str(cells.pop("path") or ""), where)
        if path in first_row:
            raise ValueError(f"path given twice in {manifest}: got {path!r} in rows {first_row[path]} and {row}")
        first_row[path] = row
        listed.append(Listed(path, cells, where))
    return listed


def from_names(paths: Iterable[str], pattern: str) -> list[Listed]:
    """Files whose names say what they hold: named groups of `pattern` become columns.

    The whole stem must match or, where the pattern has a slash in it, the whole relative path without its suffix.

    Raises:
        ValueError: `pattern` is not a regular expression with named groups.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern is not a regular expression: got {pattern!r} ({error})") from None
    if not compiled.groupindex:
        raise ValueError(
            f"pattern has no named groups: got {pattern!r}, allowed: such as (?P<label>\\w+)_(?P<speaker>\\w+)"
        )
    listed = []
    for path in paths:
        name = PurePosixPath(path).with_suffix("")
        match = compiled.fullmatch(str(name) if "/" in pattern else name.name)
        defect = "" if match else f"the name does not match pattern {pattern!r}"
        listed.append(Listed(path, match.groupdict() if match else {}, "", defect))
    return listed


def from_folders(paths: Iterable[str], column: str) -> list[Listed]:
    """Files in one folder a class: the first folder below the root becomes `column`."""
    listed = []
    for path in paths:
        folder, _, rest = path.partition("/")
        defect = "" if rest else "the file lies in no class folder"
        listed.append(Listed(path, {column: folder} if rest else {}, "", defect))
    return listed


def read_table(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a `.csv` or `.parquet` file; missing cells are None.

    Raises:
        ValueError: the suffix is another, or the file cannot be parsed.
    """
    import pandas as pd

    try:
        if path.suffix.lower() == ".csv":
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
        elif path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            raise ValueError(f"unknown kind of table: got {path}, allowed: .csv, .parquet")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    frame = frame.astype(object).where(frame.notna(), None)
    for row in frame.to_dict("records"):
        yield {str(name): _plain(cell) for name, cell in row.items()}


def _plain(cell: Any) -> str | float | None:
    if cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool)):
        return cell
    return str(cell)


def inside(path: str, where: str) -> str:
    """`path` in its shortest form.

    Raises:
        ValueError: it is empty, absolute, or climbs out of the root.
    """
    shortest = posixpath.normpath(path) if path else ""
    if shortest in ("", ".", "..") or shortest.startswith(("/", "../")):
        raise ValueError(f"bad path in {where}: got {path!r}, allowed: a path relative to the root and inside it")
    return shortest
