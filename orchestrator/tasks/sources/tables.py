"""Tables about recordings: CSV, TSV or Parquet, read without guessing types."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Cell = str | int | float | None
DELIMITERS = {".csv": ",", ".tsv": "\t"}
EXTRA_CELLS = {
    ",": "put a cell that contains ',' into double quotes",
    "\t": "a cell of a TSV file cannot contain a tab",
}
SHOWN = 10  # values of a column in a message
LONGEST_SHOWN = 60  # characters of a cell in a message


@dataclass(frozen=True)
class Table:
    """Rows of a table, each with a cell for every column; a missing cell is None."""

    name: str
    columns: tuple[str, ...]
    rows: list[dict[str, Cell]]

    def require(self, column: str, setting: str = "") -> None:
        """Refuse a table without a column, naming those that are there.

        Raises:
            ValueError: see above.
        """
        if column not in self.columns:
            wanted = f"{setting}: {column!r}" if setting else f"`{column}`"
            raise ValueError(f"{self.name} has no column for {wanted}; its columns: {', '.join(self.columns)}")


def read_table(path: Path) -> Table:
    """Read a `.csv`, `.tsv` or `.parquet` file; texts are stripped of blanks and in Unicode's composed form (NFC).

    In Parquet numbers stay numbers, and whole ones are whole numbers (`2.0` is 2). Only null, NaN and empty text are
    missing: 0 is a value. Empty cells after the last column of a row are ignored. In TSV quotes are characters, except
    around a whole cell.

    Raises:
        ValueError: the suffix is another, the file cannot be parsed, a row is longer than the header, a cell has
            several lines, or two columns have one name.
    """
    suffix = path.suffix.lower()
    if suffix in DELIMITERS:
        columns, rows = _delimited(path, DELIMITERS[suffix])
    elif suffix == ".parquet":
        columns, rows = _parquet(path)
    else:
        raise ValueError(f"unknown kind of table: got {path}, allowed: .csv, .tsv, .parquet")
    if twice := [name for name, times in Counter(columns).items() if times > 1]:
        raise ValueError(f"{path} has two columns with one name: got {twice[0]!r} twice; rename one")
    return Table(path.name, tuple(columns), [dict(zip(columns, row, strict=True)) for row in rows])


def rows_by(table: Table, column: str) -> dict[str, dict[str, Cell]]:
    """Return the rows of a table without a column, by its value.

    Raises:
        ValueError: the table lacks the column, or two rows have one value.
    """
    table.require(column)
    found: dict[str, dict[str, Cell]] = {}
    for row in table.rows:
        value = text(row[column])
        if value in found:
            raise ValueError(f"{table.name} has two rows for one {column}: got {value!r}; keep one")
        found[value] = {name: given for name, given in row.items() if name != column}
    return found


def cell(value: Any) -> Cell:
    """A value as it is compared and kept: whole floats as whole numbers, texts stripped and in NFC, NaN and '' None."""
    if value is None or isinstance(value, bool):
        return None if value is None else str(value)
    if isinstance(value, bytes):  # text, as some writers of Parquet leave it
        value = value.decode("utf-8", errors="backslashreplace")
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    if isinstance(value, int):
        return value
    return unicodedata.normalize("NFC", str(value)).strip() or None


def text(value: Any) -> str:
    """A value as a name: of a class, a speaker or a split; empty where it is missing."""
    found = cell(value)
    return "" if found is None else str(found)


def equals(known: Cell, wanted: Any) -> bool:
    """Whether a cell is a value that a sweep names: numbers in any spelling, booleans in any case."""
    if isinstance(wanted, bool):
        return text(known).lower() == str(wanted).lower()
    return text(known) == text(wanted)


def matches(known: Mapping[str, Cell], condition: Mapping[str, Any] | None) -> bool:
    """Whether a recording's columns fit `{column: value or list of values}`; a column that it lacks fits any."""
    for column, wanted in (condition or {}).items():
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        if column in known and not any(equals(known[column], value) for value in values):
            return False
    return True


def values_of(rows: Sequence[Mapping[str, Cell]], condition: Mapping[str, Any] | None) -> str:
    """What the columns of a condition that fits nothing have in them, for a message."""
    said = ""
    for column in condition or {}:
        values = sorted({text(row.get(column)) for row in rows})
        said += f"; values of {column}: {', '.join(values[:SHOWN])}{', …' if len(values) > SHOWN else ''}"
    return said


def require_separate_columns(named: Mapping[str, str]) -> None:
    """Check `{setting: column}`: no column stands for two things, and `split` has its own use.

    Raises:
        ValueError: two settings name one column, or one names `split`.
    """
    setting_of: dict[str, str] = {}
    for setting, column in sorted(named.items()):
        if column == "split":
            raise ValueError(
                f"column `split` holds train, validation or test: got {setting} 'split'; name another column"
            )
        if column in setting_of:
            raise ValueError(
                f"{setting_of[column]} and {setting} name one column: got {column!r} for both; name two columns "
                "(with target: speakers the speaker is the class)"
            )
        setting_of[column] = setting


def class_name(given: Any) -> str:
    """A class as a sweep names it.

    Raises:
        ValueError: a boolean.
    """
    if isinstance(given, bool):
        raise ValueError(f"classes must be names: got {given!r}, which is how YAML reads an unquoted true; quote it")
    return text(given)


def _delimited(path: Path, delimiter: str) -> tuple[list[str], list[list[Cell]]]:
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: {error}; save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    reader = csv.reader(
        io.StringIO(content, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
        skipinitialspace=True,
        strict=True,
    )
    columns: list[str] = []
    rows: list[list[Cell]] = []
    try:
        for line in reader:
            if delimiter == "\t":
                line = [_unquoted(value) for value in line]
            cells = [cell(value) for value in line]
            if not any(value is not None for value in cells):
                continue
            if broken := [value for value in line if len(value.splitlines()) > 1]:
                raise ValueError(
                    f"cannot read {path}: a cell that ends in line {reader.line_num} has several lines: got "
                    f"{broken[0][:LONGEST_SHOWN]!r}; close its quotes, or remove the line break"
                )
            if not columns:
                columns = [text(value) for value in cells]
                continue
            if any(value is not None for value in cells[len(columns) :]):
                raise ValueError(
                    f"{path.name} row {len(rows) + 1} has {len(cells)} cells, but the header has {len(columns)}: "
                    f"got {delimiter.join(line)!r}; {EXTRA_CELLS[delimiter]}"
                )
            rows.append([*cells, *[None] * len(columns)][: len(columns)])
    except csv.Error as error:
        raise ValueError(
            f"cannot read {path}: {error} (line {reader.line_num}); put a cell that contains quotes into double "
            "quotes, and double those in it"
        ) from None
    if not columns:
        raise ValueError(f"cannot read {path}: it is empty; the first line names the columns")
    return _named(columns, rows)


def _unquoted(value: str) -> str:
    """A cell of a TSV file without quotes around all of it."""
    inside = value.strip()
    quoted = len(inside) > 1 and inside[0] == inside[-1] == '"'
    return inside[1:-1].replace('""', '"') if quoted else value


def _parquet(path: Path) -> tuple[list[str], list[list[Cell]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
    columns = ["" if name.startswith("__index_level_") else text(name) for name in table.column_names]
    values = [[cell(value) for value in column.to_pylist()] for column in table.columns]
    return _named(columns, [list(row) for row in zip(*values, strict=True)])


def _named(columns: Sequence[str], rows: list[list[Cell]]) -> tuple[list[str], list[list[Cell]]]:
    """Without columns that have no name, such as the index that pandas writes."""
    kept = [at for at, name in enumerate(columns) if name]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]
