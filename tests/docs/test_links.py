"""Links and anchors of the documentation resolve."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCE = re.compile(r"(?:methods|orchestrator|backbones|sweeps|tests|docs)/[\w/]+\.(?:py|yaml|md)")
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:|//")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_and_anchors_resolve(page: Path) -> None:
    broken = [link for link in links(page) if not OUTSIDE.match(link) and not resolves(page, link)]
    assert not broken, f"{page.relative_to(ROOT)} links to what does not exist: {', '.join(broken)}"


def test_anchors_follow_githubs_rule(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# `unlearn run` & more\n\n## Two\n\n## Two\n\n<a id='own'></a>\n\n```\n# no heading\n```\n")
    assert anchors(page) == {"unlearn-run--more", "two", "two-1", "own"}


def resolves(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for child in token.children or []:
            if target := child.attrGet("href") or child.attrGet("src"):
                yield str(target)


@cache
def anchors(page: Path) -> set[str]:
    """Return the ids of a page's headings as GitHub derives them, and those of its HTML anchors."""
    found: set[str] = set()
    parsed = tokens(page)
    for opening, inline in itertools.pairwise(parsed):
        if opening.type == "heading_open":
            slug = re.sub(r"[^\w\- ]", "", text_of(inline).lower()).replace(" ", "-")
            found.add(next(name for name in numbered(slug) if name not in found))
    return found | set(re.findall(r"<a (?:id|name)=['\"]([^'\"]+)", page.read_text(encoding="utf-8")))


def numbered(slug: str) -> Iterator[str]:
    yield slug
    for n in range(1, 1_000):
        yield f"{slug}-{n}"


def text_of(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [])


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert {page for page in index.parent.glob("*.md") if page != index} <= listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_source_files_that_a_page_names_exist(page: Path) -> None:
    named = {code for code in code_spans(page) if SOURCE.fullmatch(code)}
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert not missing, f"{page.relative_to(ROOT)} names files that do not exist: {', '.join(missing)}"


def code_spans(page: Path) -> Iterator[str]:
    for token in tokens(page):
        yield from (child.content for child in token.children or [] if child.type == "code_inline")
