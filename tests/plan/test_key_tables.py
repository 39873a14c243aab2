from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.plan.key_tables import TABLES, with_tables
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.plan.training_keys import TrainingEntry

PAGE = Path(__file__).parents[2] / "docs" / "sweeps.md"


def test_the_tables_of_the_page_are_those_of_the_keys():
    page = PAGE.read_text()
    assert with_tables(page) == page, "run `make docs-tables`"
    assert all(f"<!-- keys: {name} -->" in page for name in TABLES)


def test_every_key_is_described():
    for model in (Sweep, TrainingEntry):
        assert [name for name, field in model.model_fields.items() if not field.description] in ([], ["trainings"])


def test_a_table_replaces_what_is_between_its_markers_only():
    made = with_tables("before\n<!-- keys: training -->\nold\n<!-- /keys -->\nafter")
    assert made.startswith("before\n<!-- keys: training -->\n| key | default | meaning |")
    assert made.endswith("<!-- /keys -->\nafter")
    assert "| `learning_rate` | 1e-4 | of AdamW |" in made
    assert "old" not in made


def test_an_unknown_table_is_named():
    with pytest.raises(KeyError, match="nothing"):
        with_tables("<!-- keys: nothing -->\n<!-- /keys -->")
