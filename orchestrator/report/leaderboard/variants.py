"""Variants of a method against its default line: what a setting that it was given does to the gap, paired by seed.

A line is a variant of another line of its method, modifiers and budget if it has all settings that the other has, and
at least one more: a method stores settings that were added to it later only where they differ from their default. What
else differs (a rate that was tuned for one of them) is part of the variant's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from orchestrator.evidence.paired import ALPHA, Paired, compare_paired, holm
from orchestrator.file_names import file_name
from orchestrator.report.charts.differences import differences_chart
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import NOTHING, Summary, of_test, p_text, summarize, with_spread
from orchestrator.report.frames.training_cost import STANDARD
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.ranking import Cell
from orchestrator.report.tables.columns import GAP
from orchestrator.report.tables.markdown import escape, grid_markdown
from orchestrator.report.tables.model import Line

JS = "js_retrain"
SAME = ("budget", "original_seed")  # what a variant and its default have in common
ABOUT = (
    "The variant minus the default line, paired by seed (n): gap in points, JS on D_f in nats; ± is the half-width of "
    "a 95 % interval, Holm the corrected p. Bold: the smallest gap of the cell; italic: Original and Retrain differ "
    "on D_f by no more than noise. More: 'Variants' in docs/results.md."
)


@dataclass(frozen=True)
class Compared:
    """A variant next to its default in one cell, or (`cell` is None) over all cells that have both."""

    method: str
    variant: Line
    default: Line
    cell: Cell | None
    cells: int
    gap: Summary
    default_gap: Summary
    difference: Paired
    js: Paired
    adjusted: float = float("nan")  # p after Holm's correction

    @property
    def name(self) -> str:
        """`target_rule hard`: what the variant has in addition, and what differs."""
        return _joined(_settings(self.variant).items() - _settings(self.default).items())


def compared_variants(cells: Sequence[Cell]) -> list[Compared]:
    """Compare each variant with its default line in each cell that has both, after the mean over those cells."""
    found: list[Compared] = []
    lines = {line.variant: line for cell in reversed(cells) for line in cell.block.lines}
    labels = {row["method"]: row["method_label"] for c in cells for row in c.block.rows.to_dict("records")}
    for line in lines.values():
        theirs = [cell for cell in cells if _has(cell, line)]
        default = _default(line, [other for other in lines.values() if any(_has(cell, other) for cell in theirs)])
        if default is None:
            continue
        own = [cell for cell in theirs if _has(cell, default)]
        label = str(labels.get(line.method) or line.method)
        found.append(_compared(label, line, default, None, own))
        found += [_compared(label, line, default, cell, [cell]) for cell in own]
    found.sort(key=lambda one: (one.method.lower(), one.default.label, one.variant.label))
    return _adjusted(found)


def variants_pieces(cells: Sequence[Cell]) -> list[Piece]:
    """Write a section for each method that has variants: a table, and a chart of the means over cells."""
    found, pieces = compared_variants(cells), list[Piece]()
    for method in dict.fromkeys(one.method for one in found):
        own = [one for one in found if one.method == method]
        several = len({one.default.variant for one in own}) > 1
        titles = ["Variant", "Cell", "Gap", "Default's gap", "Difference", "p (Holm)", "n", "JS"]
        if all(np.isnan(one.js.mean) for one in own):
            titles.remove("JS")
        grid = [_row(one, _smallest(own), several, with_js="JS" in titles) for one in own]
        means = [(_named(one, several), of_test(one.difference), _apart(one)) for one in own if not one.cell]
        text = "Means over cells within a seed. Bars: 95 % interval over seeds (n ≥ 3); filled: p < 0.05 after Holm."
        title = f"Variants of {method} against its default"
        pieces += [f"## Variants of {escape(method)}", "", grid_markdown(titles, grid), "", escape(ABOUT), ""]
        name = file_name("variants", method)
        pieces.append(differences_chart(name, title, text, "gap − default's (points)", means))
    return pieces


def _settings(line: Line) -> dict[str, str]:
    """Return the settings that a line's label has, as text; a list's values stay with its name."""
    found: dict[str, str] = {}
    name = ""
    for part in line.variant.split("|", 2)[2].split(", "):
        first, _, value = part.partition(" ")
        if value:
            name, found[first] = first, value
        elif name:
            found[name] += f", {part}"
    return found


def _has(cell: Cell, line: Line) -> bool:
    return any(there.variant == line.variant for there in cell.block.lines)


def _default(line: Line, lines: Sequence[Line]) -> Line | None:
    """Return the line that a line is a variant of: the one with the fewest settings, then the most equal ones."""
    if line.method in REFERENCES:
        return None
    own, key = _settings(line), line.variant.split("|", 2)[:2]
    known = []
    for other in lines:
        theirs = _settings(other)
        fits = all(own.get(name) == theirs.get(name) for name in SAME)
        if other.variant.split("|", 2)[:2] == key and theirs.keys() < own.keys() and fits:
            known.append((len(theirs), -len(theirs.items() & own.items()), other.label, other))
    return min(known, key=lambda one: one[:3])[3] if known else None


def _by_seed(cells: Sequence[Cell], line: Line, column: str) -> pd.Series[float]:
    """Average over cells within a seed; a seed counts when it has every cell."""
    units = [cell.means.units(line.variant, "seeds") for cell in cells]
    values = {n: own[column].droplevel("backbone") for n, own in enumerate(units) if column in own}
    if len(values) < len(cells):
        return pd.Series(dtype=float)
    return pd.DataFrame(values).dropna().mean(axis=1)


def _compared(method: str, line: Line, default: Line, cell: Cell | None, cells: Sequence[Cell]) -> Compared:
    gaps, theirs = (_by_seed(cells, one, GAP.column) for one in (line, default))
    js, their_js = (_by_seed(cells, one, JS) for one in (line, default))
    return Compared(
        method=method,
        variant=line,
        default=default,
        cell=cell,
        cells=len(cells),
        gap=summarize(gaps.to_numpy()),
        default_gap=summarize(theirs.to_numpy()),
        difference=compare_paired((gaps - theirs).round(DECIMALS).to_numpy()),
        js=compare_paired((js - their_js).round(DECIMALS + 2).to_numpy()),
    )


def _adjusted(found: Sequence[Compared]) -> list[Compared]:
    """Correct p-values: of each method's means together, and of its cells together."""
    families: dict[tuple[str, bool], list[int]] = {}
    for place, one in enumerate(found):
        families.setdefault((one.method, one.cell is None), []).append(place)
    adjusted = list(found)
    for places in families.values():
        for place, p in zip(places, holm([found[at].difference.p for at in places]), strict=True):
            adjusted[place] = replace(found[place], adjusted=p)
    return adjusted


def _smallest(own: Sequence[Compared]) -> dict[tuple[str, str], float]:
    """Return the smallest gap of each cell, of a default and its variants."""
    found: dict[tuple[str, str], float] = {}
    for one in own:
        for gap in (one.gap, one.default_gap):
            if gap.n:
                key = one.default.variant, _where(one)
                found[key] = min(found.get(key, np.inf), round(gap.mean, DECIMALS))
    return found


def _where(one: Compared) -> str:
    """Name a cell shortly, by what distinguishes it from others of a page."""
    if one.cell is None:
        return f"mean of {one.cells} cell{'s' if one.cells > 1 else ''}"
    block = one.cell.block
    rule = str(block.rows["forget_rule"].iloc[0])
    more = [] if rule in ("", "random") else [rule]
    more += [] if block.training == STANDARD else [block.training]
    return f"{one.cell.table.task}, {one.cell.table.backbones[0]}: {', '.join([block.kind, *more])}"


def _named(one: Compared, several: bool) -> str:
    others = _joined(_settings(one.default).items() & _settings(one.variant).items())
    modifiers = one.variant.variant.split("|", 2)[1]
    return one.name + (f" ({', '.join(part for part in (modifiers, others) if part)})" if several else "")


def _joined(settings: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(settings))


def _row(one: Compared, smallest: dict[tuple[str, str], float], several: bool, *, with_js: bool) -> list[str]:
    gray = one.cell is not None and not one.cell.forgettable
    n = one.difference.n
    texts = [with_spread(gap, 2) for gap in (one.gap, one.default_gap)]
    texts += [_text(one.difference, 2), p_text(one.adjusted), str(n), *([_text(one.js, 4)] if with_js else [])]
    figures = [f"*{escape(text)}*" if gray and text != NOTHING else escape(text) for text in texts]
    shown = [escape(_named(one, several)), escape(_where(one)), *figures]
    for place, gap in ((2, one.gap), (3, one.default_gap)):
        if gap.n and not gray and round(gap.mean, DECIMALS) == smallest[one.default.variant, _where(one)]:
            shown[place] = f"**{shown[place]}**"
    return shown


def _text(found: Paired, digits: int) -> str:
    if not found.n:
        return NOTHING
    text = with_spread(of_test(found), digits)
    return text.removeprefix("-") if float(text.split()[0]) == 0 else text  # no negative zero


def _apart(one: Compared) -> bool:
    return bool(one.adjusted < ALPHA)
