"""Constraints pin what the project installs in versions of the environment, without the project and local packages."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.deploy import constraints

FROZEN = """numpy==2.4.6
local @ file:///home/me/local
# Editable install with no version control (speech-unlearning==0.2.0)
aiohttp==3.14.5
"""
RESOLVED = [("speech-unlearning", "0.2.0"), ("NumPy", "2.4.6"), ("aiohttp-cors", "0.8.1"), ("aiohttp", "3.14.5")]


@pytest.fixture
def pip(monkeypatch):
    """Answer calls of pip as it does, and return the list of constraints that it was given."""
    given: list[str] = []

    def answer(command: str, *arguments: str) -> str:
        if command == "freeze":
            return FROZEN
        options = dict(pairwise(arguments))
        given.extend(Path(options["--constraint"]).read_text().split())
        packages = [{"metadata": {"name": name, "version": version}} for name, version in RESOLVED]
        Path(options["--report"]).write_text(json.dumps({"install": packages}))
        return ""

    monkeypatch.setattr(constraints, "_pip", answer)
    return given


def test_only_packages_of_an_index_constrain(pip):
    assert constraints.installed() == ["numpy==2.4.6", "aiohttp==3.14.5"]


def test_pins_are_sorted_by_name_without_the_project(pip, tmp_path):
    pins = constraints.resolved(tmp_path, ["numpy==2.4.6"])
    assert pins == ["aiohttp==3.14.5", "aiohttp-cors==0.8.1", "numpy==2.4.6"]
    assert pip == ["numpy==2.4.6"]
