"""Tables as the terminal shows them."""

from __future__ import annotations

from rich.console import Console

from orchestrator.report.build import build_report
from orchestrator.report.frames.scope import select
from orchestrator.report.tables.terminal import terminal_tables


def test_the_terminal_shows_a_table_for_each_block(make_rows) -> None:
    console = Console(width=110, record=True)
    for shown in terminal_tables(build_report(select(make_rows())).tables):
        console.print(shown)
    text = console.export_text()
    assert "Sample Unlearning (5 % of D)" in " ".join(text.split())
    assert "Class Unlearning (" in " ".join(text.split())
    assert "Closest to Retrain: SCRUB" in text
    assert "Baselines on D_t: chance 8.3 %" in text
    assert "…" not in text
