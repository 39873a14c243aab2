"""The commands of the first page run as they are written, and say what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "start.md").read_text()


@pytest.mark.slow
def test_the_first_sweep_runs_and_its_report_begins_with_what_there_is_to_forget(tmp_path):
    (sweep,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "first.yaml").write_text(sweep)
    said = ""
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            name, *arguments = shlex.split(line, comments=True)
            assert name == "unlearn"
            command = [sys.executable, "-m", "orchestrator.cli", *arguments]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
            assert done.returncode == 0, done.stdout + done.stderr
            said += done.stdout
    assert "Original − Retrain on D_f" in said
    assert "complete" in said
    assert (tmp_path / "results" / "first" / "report" / "report.md").is_file()
