"""YAML in the documentation is a sweep, or keys of one, that plans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from orchestrator import load_sweep
from orchestrator.plan.grid import build_grid

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
REST = {
    "name": "documented",
    "tasks": ["espeak_keywords"],
    "backbones": ["whisper_nano"],
    "unlearning": [{"kind": "class"}],
    "methods": ["original", "retrain"],
    "seeds": [0],
}


def mappings(page: Path) -> Iterator[dict[str, Any]]:
    """Yield the mappings of a page's YAML blocks; a list is an excerpt of one key."""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.info.strip() == "yaml":
            found = yaml.safe_load(token.content)
            if isinstance(found, dict):
                yield found


SHOWN = [(page, found) for page in PAGES for found in mappings(page)]


@pytest.mark.parametrize(("page", "keys"), SHOWN, ids=[f"{page.name}: {', '.join(keys)}" for page, keys in SHOWN])
def test_a_documented_sweep_plans(page: Path, keys: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "documented.yaml"
    file.write_text(yaml.safe_dump(REST | keys), encoding="utf-8")
    grid = build_grid(load_sweep(file).sweep)  # what is not on this machine is refused there, and no error
    assert grid.trials or grid.refused
