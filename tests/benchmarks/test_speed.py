"""The report on speed says of each section what it was measured at, and keeps the sections of other runs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def speed():
    """The report's writer as a module; it sets threads for its own process, not for this one."""
    before = dict(os.environ)
    spec = importlib.util.spec_from_file_location("bench_speed", Path(__file__).parent / "speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    os.environ.clear()
    os.environ.update(before)
    return module


def test_a_section_says_what_it_was_measured_at_and_replaces_the_one_of_an_earlier_commit(speed):
    report = "# Speed\n\n## A\n\nMeasured at commit 1.\n\nold\n\n## B\n\nMeasured at commit 1.\n\nother\n"
    found = speed.with_section(report, speed.with_commit(["## A", "", "new"], "commit 2, with changes"))
    assert "## A\n\nMeasured at commit 2, with changes.\n\nnew\n" in found
    assert "## B\n\nMeasured at commit 1.\n\nother\n" in found
    assert "old" not in found


def test_the_report_itself_is_no_change_of_the_tree(speed, monkeypatch, tmp_path):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True)

    report, source = tmp_path / "docs" / "results" / "bench.md", tmp_path / "source.py"
    report.parent.mkdir(parents=True)
    monkeypatch.setattr(speed, "OUT", report)
    assert speed.commit() == "an unknown commit"
    report.write_text("one")
    source.write_text("one")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    report.write_text("two")
    clean = speed.commit()
    assert clean.startswith("commit ")
    assert "changes" not in clean
    source.write_text("two")
    assert speed.commit() == f"{clean}, with changes"
