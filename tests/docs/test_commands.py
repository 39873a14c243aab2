"""Commands in the documentation are ones that `unlearn` accepts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt

from orchestrator.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(page: Path) -> Iterator[tuple[str, ...]]:
    """Yield the arguments of every `unlearn` in a page's shell blocks."""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.info.strip() in {"sh", "bash"}:
            for words in statements(token.content.replace("\\\n", " ")):
                if words and words[0].removeprefix(".venv/bin/") == "unlearn":
                    yield tuple(takewhile(lambda word: word not in {">", "|"}, words[1:]))


def statements(block: str) -> Iterator[list[str]]:
    """Yield the words of each statement; a quoted word may span lines."""
    statement = ""
    for line in block.splitlines(keepends=True):
        statement += line
        try:
            words = shlex.split(statement, comments=True)
        except ValueError:  # an open quotation mark: the next line belongs to it
            continue
        yield words
        statement = ""


SHOWN = sorted({(page.name, command) for page in PAGES for command in commands(page)})


@pytest.mark.parametrize("command", [command for _, command in SHOWN], ids=[f"{p}: {' '.join(c)}" for p, c in SHOWN])
def test_a_documented_command_parses(command: tuple[str, ...]) -> None:
    name, *arguments = command
    group = typer.main.get_command(app)
    found = group.get_command(group.make_context("unlearn", list(command)), name)  # type: ignore[attr-defined]
    assert found is not None, f"there is no command {name}"
    found.make_context(name, arguments)
