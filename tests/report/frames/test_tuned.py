"""Tuned and untuned settings: titles, and a warning above tables that mix them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from orchestrator.report.build import build_report
from orchestrator.report.frames.scope import Selection, select
from orchestrator.report.leaderboard.page import write_leaderboard
from orchestrator.report.tables.latex import table_latex
from orchestrator.report.tables.terminal import terminal_tables
from orchestrator.report.write import write_files
from orchestrator.results.store import open_store

METHODS = ["original", "retrain", "scrub", "salun"]


@pytest.fixture
def rows(make_rows) -> pd.DataFrame:
    return make_rows(methods=METHODS, kinds=["sample"], seeds=[0, 1, 2]).assign(num_classes=12)


def printed(shown) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for one in shown:
        console.print(one, soft_wrap=isinstance(one, str))
    return " ".join(console.export_text().split())


def stored(rows: pd.DataFrame, folder):
    store = open_store(folder)
    for row in rows.replace({np.nan: None}).to_dict("records"):
        store.commit(row)
    return store


def test_a_table_without_tuned_settings_says_so_in_its_title(rows) -> None:
    (untuned,), (tuned,) = (build_report(select(r)).tables for r in (rows, rows.assign(lock="rewind")))
    assert untuned.title.endswith("(settings not tuned, see `unlearn tune`)")
    assert "tuned" not in tuned.title
    (references,) = build_report(select(rows[rows["method"].isin(["original", "retrain"])])).tables
    assert "tuned" not in references.title
    (closed_form,) = build_report(select(rows.assign(settings="{}"))).tables  # nothing to tune
    assert "tuned" not in closed_form.title


def test_a_mixture_of_tuned_and_untuned_settings_is_said_above_every_table(rows, change, tmp_path) -> None:
    mixed = change(rows, {"method": "scrub"}, lock="rewind")
    said = "Tuned (rewind): SCRUB. Untuned: SalUn."
    report = build_report(select(mixed))
    (table,) = report.tables
    assert "not tuned" not in table.title
    page = write_files(report, tmp_path / "r")[0].read_text()
    terminal = printed(terminal_tables(report.tables))
    leaderboard = write_leaderboard(stored(mixed, tmp_path / "s"), tmp_path / "l.md").read_text()
    for text in (page, terminal, table_latex(table), leaderboard, leaderboard.split("Cells at a glance")[1]):
        assert said in text
        assert text.index(said) < text.index("Original  ") if text is page else True
    assert terminal.index(said) < terminal.index("espeak_keywords, whisper_nano")
    only = build_report(select(mixed, (), Selection(tuned_only=True)))
    assert {line.label for line in only.tables[0].blocks[0].lines} == {"Original", "Retrain", "SCRUB"}
    assert "mixed" not in printed(terminal_tables(only.tables))
    with pytest.raises(ValueError, match="No run has tuned settings"):
        build_report(select(rows, (), Selection(tuned_only=True)))
