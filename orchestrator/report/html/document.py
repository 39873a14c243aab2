"""A Markdown document of ours as one page: its sections, with tables that are sorted, filtered and saved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markdown_it import MarkdownIt  # rich, which prints our tables, requires it
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from orchestrator.file_names import file_name
from orchestrator.report.charts.chart import Chart
from orchestrator.report.html.page import picture, template
from orchestrator.report.html.scripts import content_policy, own_script, style_sheet

PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
RENDERER = RendererHTML()
BEST = re.compile(r"<strong>.*</strong>")


@dataclass(frozen=True)
class Part:
    """A table, a chart, or a paragraph or list as HTML."""

    html: str = ""  # safe: made by the parser
    title: str = ""  # of a chart
    titles: tuple[Markup, ...] = ()
    rows: tuple[tuple[Markup, ...], ...] = ()

    def is_best(self, row: Sequence[Markup]) -> bool:
        """Return whether a row's first cell is bold."""
        return bool(BEST.fullmatch(row[0]))


@dataclass
class Section:
    """What is below one heading."""

    title: str
    parts: list[Part] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Name of the section in links."""
        return file_name(self.title)


def document_page(markdown: str, kicker: str, charts: Mapping[str, Chart] | None = None) -> str:
    """Render Markdown with one first-level heading; text that looks like HTML stays text.

    Args:
        markdown: with headings of the first two levels, paragraphs, lists and tables.
        kicker: what kind of page it is, in a few words.
        charts: by address of the image that shows each; the page contains them.
    """
    first, *sections = _sections(PARSER.parse(markdown), charts or {})
    return template("document.html.j2").render(
        title=first.title,
        kicker=kicker,
        policy=content_policy([own_script()]),
        style=style_sheet(),
        script=own_script(),
        lead=first.parts,
        sections=sections,
        keys={section.title: section.key for section in sections},
    )


def _sections(tokens: Sequence[Token], charts: Mapping[str, Chart]) -> Iterator[Section]:
    current, place = Section(""), 0
    while place < len(tokens):
        token, end = tokens[place], _end(tokens, place)
        if token.type == "heading_open":
            if current.title or current.parts:
                yield current
            current = Section(_plain(tokens[place + 1]))
        elif token.type == "table_open":
            titles, *rows = _rows(tokens[place:end])
            current.parts.append(Part(titles=titles, rows=tuple(rows)))
        elif chart := charts.get(_image(tokens[place:end])):
            current.parts.append(Part(Markup(picture(chart)), chart.title))
        else:
            current.parts.append(Part(Markup(RENDERER.render(tokens[place:end], PARSER.options, {}))))
        place = end
    yield current


def _end(tokens: Sequence[Token], begin: int) -> int:
    """Return the place after the block that begins at a token."""
    level = tokens[begin].level
    ends = (n for n in range(begin, len(tokens)) if tokens[n].level == level and tokens[n].nesting <= 0)
    return next(ends) + 1


def _rows(tokens: Sequence[Token]) -> Iterator[tuple[Markup, ...]]:
    row: list[Markup] = []
    for token in tokens:
        if token.type == "tr_open":
            row = []
        elif token.type == "inline":
            row.append(Markup(RENDERER.renderInline(token.children or [], PARSER.options, {})))
        elif token.type == "tr_close":
            yield tuple(row)


def _image(tokens: Sequence[Token]) -> str:
    """Return the address of a paragraph's only image; empty if it is anything else."""
    inside = [child for token in tokens for child in token.children or ()]
    return str(inside[0].attrGet("src")) if len(inside) == 1 and inside[0].type == "image" else ""


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or ())
