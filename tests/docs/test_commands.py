"""Commands in the documentation are ones that `unlearn` accepts."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt

from orchestrator.cli import app
from orchestrator.extras import MODULES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def all_commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command in a page's shell blocks; those of `.venv/bin` without that folder."""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.info.strip() in {"sh", "bash"}:
            for words in statements(token.content.replace("\\\n", " ")):
                if words:
                    yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def commands(page: Path) -> Iterator[tuple[str, ...]]:
    """Yield the arguments of every `unlearn` in a page's shell blocks."""
    for words in all_commands(page):
        if words[0] == "unlearn":
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


OTHERS = sorted({(page.name, *words) for page in PAGES for words in all_commands(page) if words[0] != "unlearn"})
NOT_RUN = {"echo", "podman", ".", "pytest", *MODULES}  # what these do is outside of this project
SHOWN = sorted({(page.name, command) for page in PAGES for command in commands(page)})


@pytest.mark.parametrize("command", [command for _, command in SHOWN], ids=[f"{p}: {' '.join(c)}" for p, c in SHOWN])
def test_a_documented_command_parses(command: tuple[str, ...]) -> None:
    name, *arguments = command
    group = typer.main.get_command(app)
    found = group.get_command(group.make_context("unlearn", list(command)), name)  # type: ignore[attr-defined]
    assert found is not None, f"there is no command {name}"
    found.make_context(name, arguments)


@pytest.mark.parametrize("words", OTHERS, ids=[f"{page}: {' '.join(words)}" for page, *words in OTHERS])
def test_a_documented_command_of_another_tool_names_what_exists(words: tuple[str, ...]) -> None:
    _, name, *arguments = words
    if name == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in arguments if "=" not in word} <= targets
    elif name == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = re.findall(r"\[([\w,]+)\]", " ".join(arguments))
        assert {extra for names in named for extra in names.split(",")} <= set(extras)
    elif name == "python":
        assert (ROOT / arguments[0]).is_file()
    else:
        assert name in NOT_RUN
