"""A driver that is killed together with its Ray loses no finished trial: the same command goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

pytestmark = pytest.mark.ray


@pytest.fixture
def killed_and_resumed(finished_small, small_sweep, tmp_path, cache_dir, comparable, injected):
    """Kill a driver and its Ray at a moment drawn from the seed, before the first row or after any, and go on."""

    local_rows = comparable(finished_small / "r")

    def run(seed):
        rng = random.Random(seed)
        wanted, later = rng.randint(0, 3), rng.uniform(0, 1)
        command = [sys.executable, "-m", "orchestrator.cli", "run", str(small_sweep), "--results", str(tmp_path / "r")]
        environment = {**os.environ, "UNLEARN_CACHE": str(cache_dir)}
        process = subprocess.Popen([*command, "--max-concurrent", "2"], env=environment, start_new_session=True)
        rows, deadline = tmp_path / "r" / "rows", time.monotonic() + 400
        while time.monotonic() < deadline and process.poll() is None:
            if (rows.parent / "driver.json").is_file() and len(list(rows.glob("*.parquet"))) >= wanted:
                break
            time.sleep(0.02)
        time.sleep(later)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept = {p.name: p.stat().st_mtime_ns for p in rows.glob("*.parquet")}
        assert len(kept) >= wanted
        subprocess.run([*command, "--executor", "local"], env=environment, check=True, timeout=600)
        counted = injected(
            "SIGKILL of the driver and its Ray", "the same command runs what has no row", tmp_path / "r", local_rows,
            finished=kept, rows_at_the_kill=len(kept),
        )  # fmt: skip
        assert counted["doubled"] == 0  # finished trials were not run again
        pd.testing.assert_frame_equal(comparable(tmp_path / "r"), local_rows)

    return run


def test_killed_at_a_random_moment_it_finishes_with_the_same_rows(killed_and_resumed, kill_seed):
    killed_and_resumed(kill_seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_killed_at_other_moments_it_finishes_with_the_same_rows(killed_and_resumed, seed):
    killed_and_resumed(seed)
