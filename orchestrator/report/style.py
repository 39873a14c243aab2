"""How plots look: one colour a method in every figure, a hollow mark for SuperLoss, quiet axes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.lines import PAPER_ORDER, REFERENCES
from orchestrator.report.tables import Line

DPI = 150
GREY = "#6b6b6b"
# Okabe and Ito's colours without black and yellow, then darker relatives: told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C564B", "#7F3FBF", "#4D7C0F", "#B91C1C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
RC: dict[Any, Any] = {
    "font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#e4e4e4", "grid.linewidth": 0.7, "axes.axisbelow": True, "legend.frameon": False, "figure.dpi": DPI,
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """Colour, marker and filling of one line."""

    colour: str
    marker: str
    filled: bool

    @property
    def keywords(self) -> dict[str, Any]:
        """For `Axes.plot` and `Axes.errorbar`."""
        return {
            "color": self.colour, "marker": self.marker, "markersize": 6.5, "markeredgewidth": 1.4,
            "markerfacecolor": self.colour if self.filled else "white", "markeredgecolor": self.colour,
        }  # fmt: skip


def marks(lines: list[Line]) -> dict[str, Mark]:
    """A mark for each line, by its key: methods by colour, the lines of one method by marker."""
    others = [m for m in dict.fromkeys(line.method for line in lines) if m not in PAPER_ORDER]
    contenders = [m for m in PAPER_ORDER if m not in REFERENCES] + others
    found: dict[str, Mark] = {}
    of_method: dict[tuple[str, bool], int] = {}
    for line in lines:
        if line.line in found:
            continue
        if line.method in REFERENCES:
            found[line.line] = Mark("black", "*" if line.method == "retrain" else "o", line.method == "retrain")
            continue
        place, variant = contenders.index(line.method), (line.method, line.superloss)
        nth = of_method[variant] = of_method.get(variant, -1) + 1
        found[line.line] = Mark(
            COLOURS[place % len(COLOURS)], MARKERS[(place + nth) % len(MARKERS)], not line.superloss
        )
    return found


def figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side; inches."""
    with mpl.rc_context(RC):
        made = Figure(figsize=(width, height), layout="constrained")
        axes = made.subplots(1, columns, squeeze=False)
    return made, list(axes[0])


def png(made: Figure) -> bytes:
    """The figure as a PNG file; free of dates, so that equal rows give equal files."""
    sink = io.BytesIO()
    with mpl.rc_context(RC):
        made.savefig(sink, format="png", dpi=DPI, metadata={"Software": None})
    return sink.getvalue()
