"""The Ray that we start listens to this machine only, wants a token, keeps secrets, and stops cleanly on SIGTERM."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from orchestrator import load_sweep, plan_sweep

psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.ray

SECRETS = {
    "AWS_ACCESS_KEY_ID": "canary-of-a-key-id", "AWS_SECRET_ACCESS_KEY": "canary-of-a-secret",
    "AWS_SESSION_TOKEN": "canary-of-a-session", "HF_TOKEN": "canary-of-a-hub-token",
}  # fmt: skip


@pytest.fixture
def home():
    """A short-lived home with a short name: Ray's sockets lie below it, and their paths may have 107 letters."""
    path = Path(tempfile.mkdtemp(prefix="u-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def environment(home, cache_dir):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    return {**kept, **SECRETS, "HOME": str(home), "RAY_TMPDIR": str(home), "UNLEARN_CACHE": str(cache_dir)}


def test_a_ray_of_our_own_is_private_and_stops_on_sigterm(home, small_sweep, cache_dir):
    results = home / "r"
    command = [sys.executable, "-m", "orchestrator.cli", "run", str(small_sweep), "--results", str(results)]
    with (home / "output").open("w") as output:
        process = subprocess.Popen(
            [*command, "--max-concurrent", "1", "--set", "seeds=[0, 1, 2, 3, 4, 5]"],
            env=environment(home, cache_dir), stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 400
            while time.monotonic() < deadline and process.poll() is None and not list(results.glob("rows/*.parquet")):
                time.sleep(0.1)
            family = psutil.Process(process.pid).children(recursive=True)
            listening = [c.laddr.ip for p in family for c in connections(p) if c.status == psutil.CONN_LISTEN]
            raylet = next(p for p in family if p.name() == "raylet" and p.status() != psutil.STATUS_ZOMBIE)
            settings, token = raylet.environ(), raylet.environ().get("RAY_AUTH_TOKEN", "")
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=100)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    said = (home / "output").read_text()
    assert code == 130, said
    assert "give the same command again to go on" in said
    assert "Traceback" not in said
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert settings["RAY_AUTH_MODE"] == "token"
    assert len(token) == 64
    assert not (home / ".ray").exists()  # the token is on no disk

    for path in home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"canary-of" not in content, path
            assert token.encode() not in content, path


def connections(process):
    try:
        return process.net_connections(kind="tcp")
    except psutil.Error:
        return []


def test_sigterm_ends_a_local_run_and_the_same_command_goes_on(small_sweep, tmp_path, cache_dir, injected):
    results = tmp_path / "r"
    command = [sys.executable, "-m", "orchestrator.cli", "run", str(small_sweep), "--results", str(results)]
    command += ["--executor", "local"]
    settings = {**os.environ, "UNLEARN_CACHE": str(cache_dir)}
    process = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and not list(results.glob("rows/*.parquet")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "give the same command again to go on" in said
    kept = {path.name: path.stat().st_mtime_ns for path in results.glob("rows/*.parquet")}
    assert 0 < len(kept) < 5
    subprocess.run(command, env=settings, check=True, timeout=200, stdout=subprocess.DEVNULL)
    planned = [spec.trial_id for spec in plan_sweep(load_sweep(small_sweep)).grid.trials]
    came = "it ends with exit code 130; the same command runs what has no row"
    counted = injected("SIGTERM of the driver", came, results, planned, finished=kept)
    assert (counted["lost"], counted["doubled"]) == (0, 0)
