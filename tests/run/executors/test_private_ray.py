"""The Ray that we start listens to this machine only, wants a token, keeps secrets, and stops cleanly on SIGTERM."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator import load_sweep, plan_sweep

psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.ray

SECRETS = {
    "AWS_ACCESS_KEY_ID": "canary-of-a-key-id", "AWS_SECRET_ACCESS_KEY": "canary-of-a-secret",
    "AWS_SESSION_TOKEN": "canary-of-a-session", "HF_TOKEN": "canary-of-a-hub-token",
}  # fmt: skip


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory, write_small, cache_dir):
    """Run a sweep on a Ray of its own, stop it with SIGTERM after the first row, and say what was there meanwhile.

    Secrets are in the environment, TMPDIR is too long for Ray's sockets, and the current folder has modules with the
    names of others.
    """
    folder = tmp_path_factory.mktemp("recordings")
    long = folder / ("a_rather_long_scratch_folder_" * 4)
    long.mkdir()
    for name in ("timeit", "graphlib", "colorsys", "orchestrator", "methods"):
        (folder / f"{name}.py").write_text(f"open({str(folder / 'ran')!r}, 'a').write({name!r})\nraise SystemExit")
    left_out = ("RAY_AUTH", "RAY_TMPDIR", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    environment = {**kept, **SECRETS, "HOME": str(folder), "TMPDIR": str(long), "UNLEARN_CACHE": str(cache_dir)}
    command = [sys.executable, "-P", "-m", "orchestrator.cli", "run", str(write_small(folder)), "--results", "r"]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [*command, "--max-concurrent", "1", "--set", "seeds=[0, 1, 2, 3, 4, 5]"],
            env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 400
            while time.monotonic() < deadline and process.poll() is None and not list(folder.glob("r/rows/*.parquet")):
                time.sleep(0.1)
            family = psutil.Process(process.pid).children(recursive=True)
            listening = [c.laddr.ip for p in family for c in connections(p) if c.status == psutil.CONN_LISTEN]
            raylet = next(p for p in family if p.name() == "raylet" and p.status() != psutil.STATUS_ZOMBIE)
            temporary = Path(re.search(r"/(tmp|var/tmp|dev/shm)/u-\w+", " ".join(raylet.cmdline()))[0])
            settings = raylet.environ()
            said_by_ray = [path.read_bytes() for path in temporary.rglob("*") if path.is_file()]
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=100)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return SimpleNamespace(
        folder=folder, code=code, said=(folder / "output").read_text(), listening=listening, settings=settings,
        temporary=temporary, said_by_ray=said_by_ray,
    )  # fmt: skip


def test_a_run_stops_on_sigterm_and_says_how_to_go_on(stopped_run):
    assert stopped_run.code == 130, stopped_run.said
    assert "give the same command again to go on" in stopped_run.said
    assert "Traceback" not in stopped_run.said


def test_ray_listens_to_this_machine_only_and_wants_a_token(stopped_run):
    assert stopped_run.listening
    assert set(stopped_run.listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert stopped_run.settings["RAY_AUTH_MODE"] == "token"
    assert len(stopped_run.settings["RAY_AUTH_TOKEN"]) == 64


def test_no_secret_is_on_a_disk(stopped_run):
    assert not (stopped_run.folder / ".ray").exists()
    assert stopped_run.said_by_ray
    files = [path.read_bytes() for path in stopped_run.folder.rglob("*") if path.is_file()]
    for content in [*files, *stopped_run.said_by_ray]:
        assert b"canary-of" not in content
        assert stopped_run.settings["RAY_AUTH_TOKEN"].encode() not in content


def test_modules_among_the_recordings_run_nowhere(stopped_run):
    assert not (stopped_run.folder / "ran").exists()


def test_ray_has_a_short_folder_for_its_sockets_which_is_deleted(stopped_run):
    assert stopped_run.temporary.name.startswith("u-")
    assert not stopped_run.temporary.exists()


def connections(process):
    try:
        return process.net_connections(kind="tcp")
    except psutil.Error:
        return []


def test_sigterm_ends_a_local_run_and_the_same_command_goes_on(small_sweep, tmp_path, cache_dir, injected):
    results = tmp_path / "r"
    command = [sys.executable, "-m", "orchestrator.cli", "run", str(small_sweep), "--results", str(results)]
    more = "seeds=[0, 1, 2]"  # so that the signal comes long before the last trial
    command += ["--executor", "local", "--set", more]
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
    planned = [spec.trial_id for spec in plan_sweep(load_sweep(small_sweep, overrides=[more])).grid.trials]
    assert 0 < len(kept) < len(planned)
    subprocess.run(command, env=settings, check=True, timeout=200, stdout=subprocess.DEVNULL)
    came = "it ends with exit code 130; the same command runs what has no row"
    counted = injected("SIGTERM of the driver", came, results, planned, finished=kept)
    assert (counted["lost"], counted["doubled"]) == (0, 0)
