"""Reference pages name what the code has: plug-ins, and what a method can use."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from methods.base import Method, Pass, UnlearningProblem
from orchestrator import plugins

DOCS = Path(__file__).parents[2] / "docs"


def codes(text: str) -> set[str]:
    """Return the code spans of a text outside fenced blocks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def section(page: str, title: str) -> str:
    """Return a section of a page, up to the next heading of its level or above."""
    level = title.partition(" ")[0]
    text = (DOCS / page).read_text(encoding="utf-8").partition(f"\n{title}\n")[2]
    assert text, f"{page} has no section {title!r}"
    return re.split(rf"\n#{{1,{len(level)}}} ", text)[0]


@pytest.mark.parametrize(
    ("kind", "page", "title"),
    [
        ("methods", "methods.md", "## All methods"),
        ("trainings", "methods.md", "## Unlearning-aware training"),
        ("backbones", "backbones.md", "## Reference"),
        ("tasks", "data.md", "## Tasks"),
    ],
)
def test_every_plug_in_is_documented(kind: str, page: str, title: str) -> None:
    presets = {name for name in plugins.names(kind) if name.endswith(("_mubench", "_paper"))}
    assert set(plugins.names(kind)) - presets <= codes(section(page, title))


def test_what_a_pass_says_are_its_fields() -> None:
    first_cells = re.findall(r"^\| ([^|]+) \|", section("methods.md", "### What a pass says"), re.MULTILINE)
    assert codes(" ".join(first_cells)) <= {field.name for field in fields(Pass)}


def test_what_a_method_can_use_exists() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    table = re.findall(r"^\| ([^|]+) \|", section("methods.md", "### What a method can use"), re.MULTILINE)
    named = {code.partition("(")[0] for code in codes(" ".join(table))} | set(re.findall(r"`problem\.(\w+)", pages))
    attributes = {field.name for field in fields(UnlearningProblem)} | set(dir(UnlearningProblem))
    assert named <= attributes
    assert {"label", "version", "requires_training"} <= Method.__annotations__.keys()
