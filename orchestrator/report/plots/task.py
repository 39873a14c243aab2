"""Plots of a task: forgetting against utility, gaps to Retrain, forgetting by ratio, and a sequence by request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.summary import Summary
from orchestrator.report.frames.training_cost import STANDARD
from orchestrator.report.plots.style import GRAY, Mark, figure, legend, marks, panel_rows, styled, wrapped
from orchestrator.report.tables.columns import FORGET, FORGOTTEN_BEFORE, GAP, TEST, TEST_KEPT, Measure
from orchestrator.report.tables.model import Block, Line, Table

IN_WORDS = {TEST: "$D_t$", FORGET: "$D_f$ of the request", FORGOTTEN_BEFORE: "forgotten before"}


@styled
def trade_off(table: Table) -> Figure:
    """Draw D_f against D_t accuracy, a panel a block; Retrain, the target, is where the dashed lines cross."""
    made, axes = figure((3.9, _height(table)), len(table.blocks), beside=2.1)
    styles = marks([line for block in table.blocks for line in block.lines])
    for ax, block in zip(axes, table.blocks, strict=True):
        utility = TEST_KEPT if block.kind == "class" else TEST
        for line in block.lines:
            _point(ax, line, utility, styles[line.variant])
        _within_percent(ax)
        kept = ", kept classes" if block.kind == "class" else ""
        ax.set(xlabel="$D_f$ accuracy (%)", ylabel=f"$D_t$ accuracy{kept} (%)")
        ax.set_title(wrapped(block.title))
    legend(made, axes, f"bars: {_spread_name(table.blocks)}")
    return made


@styled
def gap_bars(table: Table) -> Figure:
    """Draw the mean gap to Retrain of every method, a panel a block; smaller is closer to Retrain."""
    most = max(len(_methods(block)) for block in table.blocks)
    made, axes = figure((4.6, 1.3 + 0.33 * max(most, 2)), len(table.blocks))
    styles = marks([line for block in table.blocks for line in block.lines])
    for ax, block in zip(axes, table.blocks, strict=True):
        lines = _methods(block)
        for place, line in enumerate(lines):
            _bar(ax, place, line, styles[line.variant])
        ax.set_yticks(range(len(lines)), [wrapped(_name(line), 26) for line in lines])
        ax.set_ylim(len(lines) - 0.4, -0.6)
        ax.set_xlim(0, 1.22 * ax.get_xlim()[1])  # room for what went wrong
        ax.grid(axis="y", visible=False)
        ax.set(xlabel="mean gap to Retrain (points)")
        ax.set_title(wrapped(block.title))
    made.supxlabel(f"bars: {_spread_name(table.blocks)}", fontsize=7.5, color=GRAY)
    return made


@styled
def by_ratio(table: Table) -> Figure:
    """Draw D_f accuracy against the forget ratio, a panel for each rule of sampling D_f."""
    rules: dict[str, list[Block]] = {}
    for block in table.blocks:
        rule = str(block.rows["forget_rule"].iloc[0])
        rules.setdefault(rule if block.training == STANDARD else f"{rule}, training {block.training}", []).append(block)
    made, axes = figure((4.8, _height(table)), len(rules), beside=2.1)
    styles = marks([line for block in table.blocks for line in block.lines])
    for ax, (rule, blocks) in zip(axes, rules.items(), strict=True):
        _curves(ax, [(_ratio(block), block) for block in blocks], FORGET, styles)
        ax.set(xlabel="forget ratio (% of D)", ylabel="$D_f$ accuracy (%)")
        ax.set_title(wrapped(f"{table.task}, forget sets: {rule}"))
    legend(made, axes, f"bars: {_spread_name(table.blocks)}")
    return made


@styled
def by_request(table: Table) -> Figure:
    """Draw accuracy on D_t, on each request's D_f and on all forgotten before it, over a sequence's requests."""
    shown = [
        (training, measure)
        for training in dict.fromkeys(block.training for block in table.blocks)
        for measure in (TEST, FORGET, FORGOTTEN_BEFORE)
        if any(line.has(measure) for block in table.blocks if block.training == training for line in block.lines)
    ]
    made, axes = figure((3.6, _height(table)), len(shown) or 1, beside=2.1)
    styles = marks([line for block in table.blocks for line in block.lines])
    for ax, (training, measure) in zip(axes, shown, strict=False):
        blocks = [(block.request, block) for block in table.blocks if block.training == training]
        _curves(ax, blocks, measure, styles)
        ax.set(xlabel="request", ylabel="accuracy (%)")
        ax.set_title(IN_WORDS[measure] if training == STANDARD else f"{IN_WORDS[measure]}, training {training}")
    legend(made, axes, f"bars: {_spread_name(table.blocks)}")
    return made


def _curves(ax: Axes, blocks: Sequence[tuple[float, Block]], measure: Measure, styles: Mapping[str, Mark]) -> None:
    """A curve for each line: its mean in each block at the block's place, with its spread; references are dashed."""
    keys = list(dict.fromkeys(line.variant for _, block in blocks for line in block.lines))
    span = max(at for at, _ in blocks) - min(at for at, _ in blocks)
    for place, key in enumerate(keys):
        found = [(at, ln) for at, block in blocks for ln in block.lines if ln.variant == key and ln.has(measure)]
        if not found:
            continue
        line, (low, high) = found[0][1], _reach([ln.summaries[measure.column] for _, ln in found], measure)
        keywords = styles[key].keywords | ({"markersize": 10} if line.method == "retrain" else {})
        means = [measure.shown(ln.summaries[measure.column].mean) for _, ln in found]
        aside = 0.008 * span * (place - (len(keys) - 1) / 2)  # so that bars do not hide each other
        ax.errorbar(
            [at + aside for at, _ in found], means, yerr=(low, high), label=_name(line), linewidth=1.3,
            linestyle="--" if line.method in REFERENCES else "-", zorder=4 if line.method == "retrain" else 3,
            capsize=2, elinewidth=0.9, **keywords,
        )  # fmt: skip
    ax.set_xticks([at for at, _ in blocks])
    ax.set_ylim(max(-3, ax.get_ylim()[0]), min(103, ax.get_ylim()[1]))


def _point(ax: Axes, line: Line, utility: Measure, mark: Mark) -> None:
    across, up = line.summaries[FORGET.column], line.summaries[utility.column]
    if not across.n or not up.n:
        return
    x, y = FORGET.shown(across.mean), utility.shown(up.mean)
    size = {"markersize": 14} if line.method == "retrain" else {}
    ax.errorbar(
        x, y, xerr=_reach([across], FORGET), yerr=_reach([up], utility), label=_name(line), linestyle="none",
        elinewidth=1, capsize=2, zorder=2 if line.method == "retrain" else 3, **mark.keywords | size,
    )  # fmt: skip
    if line.method == "retrain":
        ax.axvline(x, color=GRAY, linestyle="--", linewidth=0.9, zorder=1)
        ax.axhline(y, color=GRAY, linestyle="--", linewidth=0.9, zorder=1)


def _within_percent(ax: Axes) -> None:
    """Intervals may reach past 0 and 100 %; the axes need not."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    ax.set(xlim=(max(-3, left), min(103, right)), ylim=(max(-3, bottom), min(103, top)))


def _bar(ax: Axes, place: int, line: Line, mark: Mark) -> None:
    summary = line.summaries[GAP.column]
    if not summary.n:
        ax.text(0, place, f" no gap: {line.flags_text or 'no Retrain'}", va="center", fontsize=7.5, color=GRAY)
        return
    ax.barh(
        place, summary.mean, height=0.62, color=mark.color if mark.filled else "white", edgecolor=mark.color,
        linewidth=1.3, hatch="" if mark.filled else "////",
    )  # fmt: skip
    low, high = _reach([summary], GAP)
    low = [min(low[0], summary.mean)]  # an absolute gap has no part below 0
    ax.errorbar(summary.mean, place, xerr=(low, high), color="black", elinewidth=1, capsize=2.5, linestyle="none")
    if line.flags_text or not line.coverage.complete:
        text = line.flags_text or f"{line.coverage.seeds_text} seeds"
        edge = summary.mean + (0 if np.isnan(high[0]) else high[0])
        ax.annotate(text, (edge, place), (4, 0), textcoords="offset points", va="center", fontsize=7, color=GRAY)


def _methods(block: Block) -> list[Line]:
    return [line for line in block.lines if line.method not in REFERENCES]


def _name(line: Line) -> str:
    return f"{line.label} (target)" if line.method == "retrain" else line.label


def _height(table: Table) -> float:
    """Of a panel, inches: enough for a legend that names every line once."""
    lines = {line.variant for block in table.blocks for line in block.lines}
    return max(3.7, (1.0 + 0.3 * len(lines)) / panel_rows(len(table.blocks)))


def _ratio(block: Block) -> float:
    return 100 * float(block.rows["requested_forget_ratio"].iloc[0])


def _reach(summaries: Sequence[Summary], measure: Measure) -> tuple[list[float], list[float]]:
    """How far the bars reach below and above the means, in the measure's unit; 0 where there is no spread."""
    low = [0.0 if np.isnan(s.low) else measure.shown(s.mean - s.low) for s in summaries]
    high = [0.0 if np.isnan(s.high) else measure.shown(s.high - s.mean) for s in summaries]
    return low, high


def _spread_name(blocks: Sequence[Block]) -> str:
    """What error bars mean, from the largest number of units that any mean has."""
    most = max((s.n for block in blocks for line in block.lines for s in line.summaries.values()), default=0)
    over = "backbones" if any(block.over == "backbones" for block in blocks) else "seeds"
    return (
        f"95 % t-interval over {over}" if most >= 3 else f"range over 2 {over}" if most == 2 else f"none, one of {over}"
    )
