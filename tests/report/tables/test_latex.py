"""LaTeX of tables."""

from __future__ import annotations

import re

import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.latex import escape as latex_escape
from orchestrator.report.tables.latex import table_latex
from orchestrator.report.tables.model import build_tables


@pytest.fixture
def table(make_rows):
    return build_tables(reported(with_gaps(prepare(make_rows())))[0])[0]


def test_latex_rows_have_as_many_cells_as_columns(table) -> None:
    text = table_latex(table)
    columns = len(re.search(r"\\begin\{tabular\}\{(l r*)\}".replace(" ", ""), text)[1])
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {columns}
    assert text.count(r"\textbf{") == 2 * len(table.blocks)  # name and gap


def test_latex_environments_braces_and_mathematics_are_balanced(table) -> None:
    text = table_latex(table)
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]
    bare = re.sub(r"\\[{}$%&_#]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert text.isascii()


def test_latex_characters_are_escaped_and_sets_are_mathematics() -> None:
    assert latex_escape("D_f: 5 % of a_b & c ± 1") == r"$D_f$: 5 \% of a\_b \& c $\pm$ 1"
