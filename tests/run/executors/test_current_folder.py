"""Ray's workers do not import from the folder that a sweep is started in, and a long TMPDIR stops nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from orchestrator import read_rows

pytestmark = pytest.mark.ray
ray_start = pytest.importorskip("orchestrator.run.executors.ray_start")


def test_modules_among_the_recordings_run_nowhere_and_a_long_tmpdir_does_not_matter(small_sweep, tmp_path, cache_dir):
    for name in ("timeit", "graphlib", "colorsys", "orchestrator", "methods"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\nraise SystemExit")
    long = tmp_path / ("a_rather_long_scratch_folder_" * 4)
    long.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("RAY_TMPDIR", "PYTHONPATH")}
    command = [sys.executable, "-P", "-m", "orchestrator.cli", "run", str(small_sweep), "--results", "r"]
    done = subprocess.run(
        [*command, "--set", "methods=[original]"],
        env={**kept, "TMPDIR": str(long), "UNLEARN_CACHE": str(cache_dir)},
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_rows(tmp_path / "r")["status"].tolist() == ["done", "done"]
    assert not (tmp_path / "ran").exists()


def test_a_folder_for_sockets_that_is_too_long_is_named_with_the_variable_to_set(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + 60 * "x")
    with pytest.raises(
        ValueError, match=r"RAY_TMPDIR is too long for Ray's sockets: got 65 bytes .* at most \d\d bytes"
    ):
        ray_start._temporary_folder()


def test_a_short_folder_is_left_to_ray(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/scratch/me")
    assert ray_start._temporary_folder() == {}
