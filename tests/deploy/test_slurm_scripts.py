"""SLURM batch scripts are sound bash with options that SLURM knows, and stop and requeue their job when they should."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import pytest

from orchestrator.deploy.manifests import Job, manifest

KINDS = ("slurm", "slurm-plain")
JOBS = {
    "cpus": Job(sweep="demo", results="s3://bucket/demo", nodes=1),
    "gpus": Job(sweep="demo", results="s3://bucket/a b'c", nodes=3, gpus=4, cpus=16, hours=0.5),
    "quoting": Job(sweep='it\'s "mine".yaml', results='/shared/ü $HOME `id` \\ !! {{ x }} "q"', hours=100),
}
OPTIONS = {
    "job-name": r"[a-z0-9-]+", "nodes": r"\d+", "ntasks-per-node": "1", "cpus-per-task": r"\d+",
    "gpus-per-node": r"\d+", "mem": r"\d+G", "time": r"\d{2,}:\d{2}:\d{2}", "signal": r"B:USR1@\d+",
    "open-mode": "append", "requeue": None, "exclusive": None,
}  # fmt: skip


@pytest.fixture(params=JOBS)
def job(request):
    return JOBS[request.param]


@pytest.mark.parametrize("kind", KINDS)
def test_shellcheck_and_bash_accept_the_script(job, kind, tmp_path, shellcheck):
    (tmp_path / "job.sh").write_text(manifest(kind, job))
    subprocess.run(["bash", "-n", tmp_path / "job.sh"], check=True)
    shellcheck(tmp_path / "job.sh")


@pytest.mark.parametrize("kind", KINDS)
def test_slurm_reads_every_option(job, kind):
    script = manifest(kind, job)
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    found = [re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line) for line in lines if "SBATCH" in line]
    options = dict(match.groups() for match in found)
    assert all(line.startswith("#SBATCH") for line in lines[1 : 1 + len(options)])  # SLURM stops at the first command
    for name, value in options.items():
        assert name in OPTIONS
        assert value is None if OPTIONS[name] is None else re.fullmatch(OPTIONS[name], value), name
    assert ("gpus-per-node" in options) == bool(job.gpus)
    assert ("exclusive" in options) == (kind == "slurm")
    assert "RAY_AUTH_MODE=token" in script


FAKES = {
    "scontrol": 'if [ "$1" = show ]; then echo here; else echo "$@" >> "$LOG"; fi',
    "srun": (
        'while [[ "$1" == -* ]]; do if [ "$1" = -w ] || [ "$1" = --exclude ]; then shift; fi; shift; done; exec "$@"'
    ),
    "hostname": "echo 127.0.0.1",
    "ray": (
        'if [ "$1" = symmetric-run ]; then while [ "$1" != -- ]; do shift; done; shift; "$@"; exit $?; fi\n'
        'if [ "$2" = --head ]; then exec python3 -c "import socket, sys, time; s = socket.socket();'
        " s.bind(('127.0.0.1', int(sys.argv[sys.argv.index('--port') + 1]))); s.listen(); time.sleep(60)\" \"$@\"; fi\n"
        "exec sleep 60"
    ),
    "unlearn": (
        'trap "echo stopped >> \\"$LOG\\"; exit 130" TERM; echo "$@" >> "$LOG"; echo up >> "$LOG"; '
        'if [ -n "${QUICK:-}" ]; then exit 0; fi; while true; do sleep 0.05; done'
    ),
}


def start(kind, job, tmp_path, **environment):
    """The script under a SLURM of one-line fakes, and the log that they write."""
    fakes, log = tmp_path / "bin", tmp_path / "log"
    fakes.mkdir()
    for name, body in FAKES.items():
        (fakes / name).write_text(f"#!/bin/bash\n{body}\n")
        (fakes / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(manifest(kind, job))
    slurm = {"SLURM_JOB_NODELIST": "here", "SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NUM_NODES": str(job.nodes)}
    slurm |= {"SLURM_CPUS_PER_TASK": str(job.cpus), "LOG": str(log), "PATH": f"{fakes}:{os.environ['PATH']}"}
    output = (tmp_path / "output").open("w")
    command = ["bash", tmp_path / "job.sh"]
    env = {**os.environ, **slurm, **environment}
    process = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and (not log.exists() or "up" not in log.read_text()):
        time.sleep(0.05)
    return process, log


@pytest.mark.parametrize("kind", KINDS)
def test_the_warning_before_the_time_limit_stops_the_driver_and_requeues(kind, tmp_path):
    process, log = start(kind, JOBS["gpus"], tmp_path)
    process.send_signal(signal.SIGUSR1)
    code = process.wait(timeout=60)
    _, *rest = log.read_text().splitlines()
    assert rest == ["up", "stopped", f"requeue {os.getpid()}"], (tmp_path / "output").read_text()
    assert code == 130


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_sweep_is_not_requeued(kind, tmp_path):
    process, log = start(kind, JOBS["cpus"], tmp_path, QUICK="1")
    assert process.wait(timeout=60) == 0
    assert "requeue" not in log.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_names_with_spaces_and_quotes_reach_the_driver_whole(kind, tmp_path):
    job = JOBS["quoting"]
    process, log = start(kind, job, tmp_path, QUICK="1")
    assert process.wait(timeout=60) == 0, (tmp_path / "output").read_text()
    words = log.read_text().splitlines()[0]
    assert words.startswith(f"run {job.sweep} --results {job.results} --address 127.0.0.1:")
