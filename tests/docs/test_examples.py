"""The examples of the pages on adding a method, a backbone and a task are short, and run together as a package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import read_rows

DOCS = Path(__file__).parents[2] / "docs"
KINDS = ("method", "backbone", "task")
LONGEST = 60  # lines of an example


def blocks(kind: str, language: str) -> list[str]:
    """Return the blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / f"add_a_{kind}.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_is_short(kind):
    (code,) = blocks(kind, "python")
    assert 20 < len(code.splitlines()) < LONGEST


def test_the_three_examples_run_in_one_sweep(tmp_path):
    package, metadata = tmp_path / "site" / "my_package", tmp_path / "site" / "my_package-1.0.dist-info"
    package.mkdir(parents=True)
    metadata.mkdir()
    (package / "__init__.py").touch()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    entry_points = ""
    for kind in KINDS:
        (code,), (declared,) = blocks(kind, "python"), blocks(kind, "toml")
        (package / f"{kind}.py").write_text(code)
        entry_points += re.sub(r'"', "", declared.replace('project.entry-points."', "").partition("    #")[0]) + "\n"
    (metadata / "entry_points.txt").write_text(entry_points)
    (tmp_path / "mine.yaml").write_text(blocks("task", "text")[0])
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "UNLEARN_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "orchestrator.cli", "run", "mine.yaml", "--results", "r", "--executor", "local"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=250, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read_rows(tmp_path / "r")
    assert set(rows["status"]) == {"done"}
    assert set(rows["method"]) == {"original", "retrain", "undecided"}
    by_method = rows[rows["stage"] != "train"].set_index("method")
    assert by_method.loc["original", "forget_accuracy"] > 0.9  # the network learns the tones
    assert by_method.loc["undecided", "forget_accuracy"] < by_method.loc["original", "forget_accuracy"]
    assert not by_method["unchanged"].fillna(False).any()
