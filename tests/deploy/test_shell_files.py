"""Every shell file of the repository passes shellcheck."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def shell_files() -> list[Path]:
    """Tracked files that are shell scripts by name or by first line."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: shell files of the repository are found with git ls-files")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and _is_shell(path)]


def _is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline()
    return path.suffix in (".sh", ".bash") or (first.startswith(b"#!") and first.rstrip().endswith(b"sh"))


def test_every_shell_file_passes_shellcheck(shellcheck):
    found = shell_files()
    assert ROOT / ".ci" / "run" in found
    for path in found:
        shellcheck(path)
