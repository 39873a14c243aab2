"""The README's counts and its picture are those of the package."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from orchestrator import plugins
from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.report.evidence.table import GROUPS
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import with_spread
from orchestrator.results.schema import SCHEMA
from tests.docs.scripts import RESULTS, script

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_counts_are_those_of_the_registry() -> None:
    methods = set(plugins.names("methods")) - set(REFERENCES)
    presets = {name for name in methods if name.endswith(("_mubench", "_paper"))}
    auc, _, distances = ([figure for figure in group if figure.pairs or not figure.counts] for group in GROUPS.values())
    counted = {
        "methods": len(methods - presets),
        "presets": len(presets),
        "trainings": len(plugins.names("trainings")),
        "backbones": len(plugins.names("backbones")),
        "corpora": len(plugins.names("tasks")),
        "membership attacks": len(auc) + 1,  # and the SVC behind the MIA column
        "distances": len(distances),
        "sweeps": len(shipped_sweeps()),
        "columns": len(SCHEMA),
    }
    written = {what: int(n) for n, what in re.findall(r"\*\*(\d+)\*\* (membership attacks|\w+)", README)}
    assert written == counted


def test_shipped_sweeps_are_listed_in_the_documentation() -> None:
    text = (RESULTS / "README.md").read_text().partition("## Shipped sweeps")[2]
    assert set(re.findall(r"`(\w+)`(?=[,|` ])", text)) == set(shipped_sweeps())


def test_the_picture_shows_the_gaps_of_the_leaderboard_page() -> None:
    plot = script("plot_leaderboard")
    gaps, cells = plot.mean_gaps(pd.read_parquet(RESULTS / "data" / "leaderboard_real.parquet"))
    page = (RESULTS / "leaderboard_real.md").read_text().partition("## All cells")[2].partition("Gap, D_t lost")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "±" in line]
    assert {line[0]: line[1] for line in lines if len(line) > 2 and line[1] != "target"} == {
        label: with_spread(gap) for label, gap in gaps.items()
    }
    assert cells == 8
