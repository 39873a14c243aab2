"""Markdown of tables."""

from __future__ import annotations

import re

import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.markdown import escape as markdown_escape
from orchestrator.report.tables.markdown import table_markdown
from orchestrator.report.tables.model import build_tables


@pytest.fixture
def table(make_rows):
    return build_tables(reported(with_gaps(prepare(make_rows())))[0])[0]


def test_markdown_rows_have_as_many_cells_as_the_header(table) -> None:
    grid = [line for line in table_markdown(table).splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in grid}) == 1
    assert len(grid) == 2 + sum(1 + len(block.lines) for block in table.blocks)


def test_markdown_shows_one_bold_line_a_block(table) -> None:
    bold = [line for line in table_markdown(table).splitlines() if line.startswith("| **")]
    assert len(bold) == len(table.blocks)


def test_markdown_text_is_not_read_as_markup() -> None:
    assert markdown_escape("D_f of a|b, _unknown_, x*y") == r"D_f of a\|b, \_unknown\_, x\*y"
    assert markdown_escape("see `un_ a|b*` and a`b") == r"see `un_ a\|b*` and a\`b"  # code stays code
