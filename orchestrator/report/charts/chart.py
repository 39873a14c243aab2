"""A chart: its specification, the data that it shares with others, and what it looks like before anybody clicks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt

from orchestrator.report.charts.style import CONFIG, FONT, HEIGHT, WIDTH

Records = Sequence[Mapping[str, Any]]
SHORTER = {
    re.compile(r' (?:class|role|aria-[a-z]+|stroke-miterlimit|font-family|pointer-events)="[^"]*"(?=[^<>]*>)'): "",
    re.compile(r"(?<=[\d])(\.\d\d)\d+(?=[^<>]*>)"): r"\1",
    re.compile(r"<g></g>"): "",
}
"""What a picture of a chart does not need."""
REFERENCES = re.compile(rb"(?:^ *\/\w+ \d+ 0 R\n){2,}", re.MULTILINE)
VIEW = "view"
"""Name of the parameter that selects which table of a task a chart shows: the mean, one backbone, or one sweep."""


@dataclass(frozen=True)
class Chart:
    """A chart of the report, for the page and for files."""

    name: str  # of its files, without their ending
    title: str  # what it shows, in a few words
    text: str  # how to read it: n, unit, error bar
    spec: Mapping[str, Any]  # Vega-Lite; its data are named, so that charts share them
    datasets: Mapping[str, Records]
    group: str = ""  # title of the block that it is of
    views: tuple[int, ...] = ()  # places of the tables that it can show; empty if it always shows the same

    @property
    def svg(self) -> str:
        """The chart's default view, without a background; text in the color of the page around it."""
        return render(json.dumps({**self.spec, "datasets": self.datasets}, sort_keys=True))

    def svg_file(self) -> bytes:
        """Return the SVG as a file of its own: black on white."""
        return re.sub(
            r"<svg ", f'<svg font-family="{FONT}" style="background:#fff;color:#1c1f24" ', self.svg, count=1
        ).encode()

    def pdf_file(self) -> bytes:
        """Return the SVG as a PDF file, for LaTeX."""
        import vl_convert

        return in_order(bytes(vl_convert.svg_to_pdf(self.svg)))


def in_order(pdf: bytes) -> bytes:
    """Sort the references of each dictionary of a PDF, which vl-convert orders by chance; no offset changes."""
    return REFERENCES.sub(lambda found: b"".join(sorted(found[0].splitlines(keepends=True))), pdf)


@cache
def render(spec: str) -> str:
    """Draw a specification as SVG, in hundredths of a pixel."""
    import vl_convert

    drawn = str(vl_convert.vegalite_to_svg(spec, config=CONFIG))
    for pattern, kept in SHORTER.items():
        drawn = pattern.sub(kept, drawn)
    return drawn


def chart(
    name: str,
    title: str,
    text: str,
    made: Any,
    datasets: Mapping[str, Records],
    group: str = "",
    views: Iterable[int] = (),
) -> Chart:
    """Make a chart of an Altair chart, whose data have names; it shows the first view until one is chosen."""
    places = tuple(sorted(set(views)))
    made = made.add_params(alt.param(VIEW, value=0)) if places else made
    with alt.data_transformers.disable_max_rows():
        spec = made.to_dict(validate=False)
    for key in ("$schema", "config", "datasets"):
        spec.pop(key, None)
    for layer in spec.get("layer", ()):
        if layer.get("data") == {"name": "empty"}:  # Altair's, of a line at a fixed place; Vega draws it once a record
            layer["data"] = {"values": [{}]}
    return Chart(name, title, text, spec, datasets, group, places)


def sized(made: Any, height: int = HEIGHT, width: int = WIDTH) -> Any:
    """Give a chart its size in a file; the page stretches it to its column."""
    return made.properties(width=width, height=height)
