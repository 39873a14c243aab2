"""The wheel contains every file of the packages: templates, weights, tables and sweeps as well as modules."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("orchestrator", "methods", "backbones")


def files_below(folder: Path) -> set[str]:
    """Names of files, relative to the repository, without what Python writes."""
    found = [path.relative_to(ROOT) for path in folder.rglob("*") if path.is_file()]
    return {str(path) for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> set[str]:
    """Build a wheel; return the names of what is in it."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_packages_are_whole(packed):
    expected = set().union(*(files_below(ROOT / name) for name in PACKAGES))
    assert {name for name in packed if not name.startswith("orchestrator/sweeps/")} == expected


def test_the_shipped_sweeps_are_part_of_the_package(packed):
    assert {f"orchestrator/{name}" for name in files_below(ROOT / "sweeps")} <= packed
