"""The tables of docs/ that are made from the code are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.docs_tables import TABLES, with_tables

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("sweeps.md", "results.md", "tuning.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_a_page_are_those_of_the_code(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert with_tables(text) == text, "run `make docs-tables`"


def test_every_table_is_on_a_page() -> None:
    pages = "".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in TABLES if f"<!-- {name} -->" not in pages] == []


def test_a_table_replaces_what_is_between_its_markers_only() -> None:
    made = with_tables("before\n<!-- keys: training -->\nold\n<!-- /keys -->\nafter")
    assert made.startswith("before\n<!-- keys: training -->\n| key | default | meaning |")
    assert made.endswith("<!-- /keys -->\nafter")
    assert "| `learning_rate` | 1e-4 | of AdamW |" in made
    assert "old" not in made


def test_an_unknown_table_is_named() -> None:
    with pytest.raises(KeyError, match="keys: nothing"):
        with_tables("<!-- keys: nothing -->\n<!-- /keys -->")
