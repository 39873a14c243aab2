"""The tables of docs/results.md have every column."""

from __future__ import annotations

from orchestrator.results.column_table import column_table
from orchestrator.results.schema import COLUMNS, SCHEMA


def test_every_column_has_a_meaning_and_a_line_in_the_tables() -> None:
    lines = column_table().splitlines()
    assert [column.name for column in COLUMNS if not column.meaning] == []
    assert all(sum(line.startswith(f"| `{name}` |") for line in lines) == 1 for name in SCHEMA.names)
