"""How plots look: one color a method in every figure, a hollow mark for SuperLoss, quiet axes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from orchestrator.report.frames.select import PAPER_ORDER, REFERENCES
from orchestrator.report.tables.model import Line

P = ParamSpec("P")

DPI = 150
PANELS_IN_ROW = 3
GRAY = "#6b6b6b"
# Okabe and Ito's colors without black and yellow, then darker relatives: told apart by colour-blind readers too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8C564B", "#7F3FBF", "#4D7C0F", "#B91C1C")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
RC: dict[Any, Any] = {
    "font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#e4e4e4", "grid.linewidth": 0.7, "axes.axisbelow": True, "legend.frameon": False, "figure.dpi": DPI,
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """Color, marker and filling of one line."""

    color: str
    marker: str
    filled: bool

    @property
    def keywords(self) -> dict[str, Any]:
        """For `Axes.plot` and `Axes.errorbar`."""
        return {
            "color": self.color, "marker": self.marker, "markersize": 6 if self.filled else 9, "markeredgewidth": 1.4,
            "markerfacecolor": self.color if self.filled else "none", "markeredgecolor": self.color,
        }  # fmt: skip


def marks(lines: list[Line]) -> dict[str, Mark]:
    """Choose a mark for each line, by its variant: methods by color, the lines of one method by marker."""
    others = [m for m in dict.fromkeys(line.method for line in lines) if m not in PAPER_ORDER]
    contenders = [m for m in PAPER_ORDER if m not in REFERENCES] + others
    found: dict[str, Mark] = {}
    of_method: dict[tuple[str, bool], int] = {}
    for line in lines:
        if line.variant in found:
            continue
        if line.method in REFERENCES:
            found[line.variant] = Mark("black", "*" if line.method == "retrain" else "o", line.method == "retrain")
            continue
        place, variant = contenders.index(line.method), (line.method, line.superloss)
        nth = of_method[variant] = of_method.get(variant, -1) + 1
        found[line.variant] = Mark(
            COLORS[place % len(COLORS)], MARKERS[(place + nth) % len(MARKERS)], not line.superloss
        )
    return found


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw a figure in this style, and leave matplotlib's own settings unchanged."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(RC):
            return draw(*args, **kwargs)

    return drawn


def figure(panel: tuple[float, float], panels: int, beside: float = 0.0) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels, at most three in a row; sizes of one panel and of a legend in inches."""
    rows = panel_rows(panels)
    columns = -(-panels // rows)
    made = Figure(figsize=(columns * panel[0] + beside, rows * panel[1]), layout="constrained")
    axes = list(made.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[panels:]:
        spare.remove()
    return made, axes[:panels]


def panel_rows(panels: int) -> int:
    """Return how many rows of panels a figure has."""
    return -(-panels // PANELS_IN_ROW)


def legend(made: Figure, axes: Sequence[Axes], note: str) -> None:
    """Add one legend for all panels, on the right, each name once; `note` says what the bars are."""
    named: dict[str, Any] = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle)
    made.legend(
        list(named.values()), [wrapped(name, 26) for name in named], loc="outside right center", fontsize=8,
        title=wrapped(note, 26), title_fontsize=7.5, alignment="left", labelspacing=0.7,
    )  # fmt: skip


def wrapped(text: str, width: int = 42) -> str:
    """Wrap text over several lines."""
    return "\n".join(textwrap.wrap(text, width))


def png(made: Figure) -> bytes:
    """Render the figure as a PNG file without a date, so that equal rows give equal files."""
    sink = io.BytesIO()
    made.savefig(sink, format="png", dpi=DPI, metadata={"Software": None})
    return sink.getvalue()
