"""Ours next to the paper's published numbers, where a table has the paper's corpus, kind of unlearning and method.

`published.csv` quotes figures of Tables 1 and 2 of arXiv:2506.00848, in % and hours; its column `source` says which.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from orchestrator.report.frames.summary import NOTHING, with_spread
from orchestrator.report.frames.training_cost import STANDARD
from orchestrator.report.tables.columns import FORGET, MIA, RETAIN, TEST
from orchestrator.report.tables.model import Block, Line, Table

TASKS = {"speech_commands": "keyword_spotting", "voxceleb1": "speaker_identification"}
"""The paper's corpora, as this package and as the paper name them."""
MEASURES = {"test_accuracy": TEST, "forget_accuracy": FORGET, "retain_accuracy": RETAIN, "mia": MIA}
PARTS = ("ours", "paper", "difference")
TITLES = ("Unlearning", "Method", *(f"{measure.title}: {part}" for measure in MEASURES.values() for part in PARTS))
ABOUT = (
    "Paper: {sources}. Ours: means as in the table above. Difference: ours minus the paper's, in points; backbones, "
    "budgets and forget sets differ, so read it as context and not as a test."
)


@dataclass(frozen=True)
class PublishedTable:
    """Cells as text, in the order of `TITLES`."""

    title: str
    about: str
    rows: tuple[tuple[str, ...], ...]


@cache
def published() -> tuple[dict[str, str], ...]:
    """Return the paper's figures, a mapping of text for each line of its tables."""
    text = files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def against_paper(table: Table) -> PublishedTable | None:
    """Compare the lines of a table with the paper's; None if the paper has none of them."""
    task = TASKS.get(str(table.rows["task_name"].iloc[0]))
    known = {(row["unlearning"], row["method"]): row for row in published() if row["task"] == task}
    found, sources = [], set[str]()
    for block in table.blocks if not (table.by_ratio or table.sequence) else ():
        for line in block.lines if block.training == STANDARD else ():
            theirs = known.get(("none" if line.method == "original" else block.kind, line.method))
            if theirs is not None and _is_plain(block, line):
                found.append(_row(block, line, theirs))
                sources.add(theirs["source"])
    if not found:
        return None
    about = ABOUT.format(sources=", ".join(sorted(sources)))
    return PublishedTable(f"{table.title}: next to the paper", about, tuple(found))


def _is_plain(block: Block, line: Line) -> bool:
    """Return whether a line has no modifier: the paper's tables have none."""
    own = block.rows[block.rows["variant"] == line.variant]
    return not own["modifiers"].ne("").any()


def _row(block: Block, line: Line, theirs: dict[str, str]) -> tuple[str, ...]:
    cells: list[str] = []
    for column, measure in MEASURES.items():
        ours, paper = line.summaries[measure.column], float(theirs[column])
        difference = measure.shown(ours.mean) - paper
        cells += [with_spread(ours, measure.digits, measure.scale), f"{paper:.1f}"]
        cells += [f"{difference:+.1f}" if ours.n else NOTHING]
    return (block.kind, line.label, *cells)


def paper_tables(tables: Sequence[Table]) -> list[PublishedTable]:
    """Return the comparison of each task's first table."""
    found: dict[str, Table] = {}
    for table in tables:
        found.setdefault(table.task, table)
    return [one for table in found.values() if (one := against_paper(table)) is not None]
