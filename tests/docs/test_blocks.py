"""Every block of code in README, CONTRIBUTING and docs is run or checked: each language has a test."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CHECKED = {
    "sh": "tests/docs/test_commands.py",
    "yaml": "tests/docs/test_sweeps.py",
    "python": "below; examples in tests/docs/test_examples.py",
    "toml": "below, and tests/docs/test_examples.py",
    "mermaid": "tests/docs/test_site.py compares the picture of the site with it",
    "bibtex": "no code",
    "text": "no code: what a command prints, or a tree of folders",
}


def blocks(language: str | None = None) -> Iterator[tuple[Path, str, str]]:
    """Yield page, language and content of each block."""
    for page in PAGES:
        for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
            if token.type == "fence" and language in (None, token.info.strip()):
                yield page, token.info.strip(), token.content


def test_every_block_names_a_language_that_a_test_checks():
    unknown = {(page.name, language) for page, language, _ in blocks() if language not in CHECKED}
    assert unknown == set()


@pytest.mark.parametrize(("page", "content"), [(page.name, content) for page, _, content in blocks("toml")])
def test_toml_parses(page, content):
    assert tomllib.loads(content)


LONG = ("python.md",)  # it tunes
SCRIPTS = [
    pytest.param(page.name, code, id=page.name, marks=[pytest.mark.slow] if page.name in LONG else [])
    for page, _, code in blocks("python")
    if not page.name.startswith("add_a_")
]


@pytest.mark.parametrize(("page", "code"), SCRIPTS)
def test_a_documented_script_runs(page, code, finished_small, cache_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNLEARN_CACHE", str(cache_dir))
    shutil.copy(finished_small / "small.yaml", "mine.yaml")
    shutil.copytree(finished_small / "r", "results/mine")
    code = code.replace("trials=8", "trials=1")  # one of each search is enough to see that it runs
    exec(compile(code, page, "exec"), {"__name__": "documented"})
