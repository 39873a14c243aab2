"""A Markdown document as a page: every cell and sentence of it, escaped, with tables that the script works on."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from orchestrator.report.charts.differences import differences_chart
from orchestrator.report.frames.summary import summarize
from orchestrator.report.frames.tuned import UNTUNED
from orchestrator.report.html.document import document_page
from orchestrator.report.leaderboard.page import write_leaderboard
from orchestrator.report.tables.markdown import escape
from orchestrator.results.store import open_store

TEXT = r"""# Title of `all`

Lead.

## All

Some *noise* <script>alert(1)</script>.

| Method | Gap |
|:--|--:|
| Original | 3.0 |
| **SCRUB \| b \<img src=x\>** | **1.0** |

- one

## Original

The end.
"""


def test_tables_lists_and_text_are_there_and_markup_in_names_is_text() -> None:
    page = document_page(TEXT, "Kind of page")
    assert "<h1>Title of all</h1>" in page
    assert "Some <em>noise</em> &lt;script&gt;alert(1)&lt;/script&gt;." in page
    assert '<tr class="best"><th scope="row"><strong>SCRUB | b &lt;img src=x&gt;</strong></th>' in page
    (section,) = re.findall(r'<th scope="row"><a href="#([\w-]+)">Original</a></th>', page)
    assert f'<section id="{section}">\n  <h2>Original</h2>' in page
    assert re.findall(r"<h2>(\w+)</h2>", page) == ["All", "Original"]
    assert "<li>one</li>" in page
    assert page.count("<script") == 1


def test_code_in_a_title_is_code_without_backticks() -> None:
    page = document_page(f"# Leaderboard{escape(UNTUNED)}", "Kind of page")
    assert "<h1>Leaderboard (settings not tuned, see unlearn tune)</h1>" in page


def test_an_image_of_a_known_chart_is_drawn_on_the_page_and_any_other_stays_an_image() -> None:
    drawn = differences_chart("d", "A <chart>", "Text.", "points", [("a", summarize([1.0]), False)])
    page = document_page("# T\n\n## S\n\n![A](x/d.svg)\n\n![B](x/e.svg)\n", "Kind", {"x/d.svg": drawn})
    assert page.count("<figure") == 1
    assert "<figcaption>A &lt;chart&gt;</figcaption>" in page
    assert page.count("<svg") == 1
    assert '<img src="x/e.svg"' in page
    assert "x/d.svg" not in page


def test_a_drawn_chart_stays_as_it_is_and_the_script_does_not_look_for_its_data(visit, tmp_path) -> None:
    drawn = differences_chart("d", "A chart", "Text.", "points", [("a", summarize([1.0]), False)])
    path = tmp_path / "page.html"
    path.write_text(document_page("# T\n\n## S\n\n![A](x/d.svg)\n", "Kind", {"x/d.svg": drawn}))
    seen = visit(path)
    seen.page.wait_for_timeout(300)  # what the load event starts
    assert seen.errors == []
    expect(seen.page.locator("figure svg")).to_be_visible()


@pytest.fixture(scope="module")
def leaderboard(finished_small, tmp_path_factory):
    """The leaderboard page of a finished sweep."""
    path = tmp_path_factory.mktemp("leaderboard") / "leaderboard.md"
    return write_leaderboard(open_store(finished_small / "r"), path).with_suffix(".html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_leaderboard_sorts_says_nothing_to_the_console_and_axe_finds_nothing(visit, leaderboard, scheme) -> None:
    from axe_playwright_python.sync_playwright import Axe

    seen = visit(leaderboard, color_scheme=scheme, viewport={"width": 390, "height": 844})
    header = seen.page.locator("thead th", has_text="Gap").first
    header.locator("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = Axe().run(seen.page, options={"runOnly": {"type": "tag", "values": tags}})
    assert [one["id"] for one in found.response["violations"]] == []
    assert seen.errors == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []
