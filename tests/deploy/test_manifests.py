"""Manifests of every cluster fit the published schemas, and the batch scripts do what they say."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.deploy.manifests import LAUNCHERS, Job, manifest
from orchestrator.plan.sweep_file import read_sweep

jsonschema = pytest.importorskip("jsonschema")

RAY_SCHEMA = Path(importlib.util.find_spec("ray").submodule_search_locations[0], "autoscaler", "ray-schema.json")
RAYJOB_SCHEMA = Path(__file__).parent / "schemas" / "rayjob.yaml"
JOBS = {
    "processors": Job(sweep="demo", results="s3://bucket/demo", nodes=1),
    "gpus": Job(sweep="demo", results="s3://bucket/a b'c", nodes=3, gpus=2, cpus=16, hours=0.5),
}


@pytest.fixture(params=JOBS)
def job(request):
    return JOBS[request.param]


def test_the_ray_cluster_file_fits_rays_own_schema(job):
    cluster = yaml.safe_load(manifest("ray", job))
    jsonschema.validate(cluster, json.loads(RAY_SCHEMA.read_text()))
    assert cluster["available_node_types"]["head"]["resources"] == {"CPU": 0}  # the driver's node runs no trials
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert "RAY_AUTH_MODE=token" in cluster[commands][-1]
    assert "--dashboard-host=127.0.0.1" in cluster["head_start_ray_commands"][-1]


def test_the_rayjob_fits_its_schema(job):
    config, rayjob = yaml.safe_load_all(manifest("kuberay", job))
    jsonschema.validate(rayjob, yaml.safe_load(RAYJOB_SCHEMA.read_text()))
    assert config["metadata"]["name"] == rayjob["metadata"]["name"]
    spec = rayjob["spec"]
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    (workers,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits.get("nvidia.com/gpu") == (str(job.gpus) if job.gpus else None)
    assert shlex.split(spec["entrypoint"])[-6:] == [
        "--results", job.results, "--address", "auto", "--max-concurrent", str(job.slots),
    ]  # fmt: skip


def test_the_schema_refuses_what_kuberay_would(job):
    *_, rayjob = yaml.safe_load_all(manifest("kuberay", job))
    rayjob["spec"]["rayClusterSpec"]["headGroupSpec"].pop("template")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(rayjob, yaml.safe_load(RAYJOB_SCHEMA.read_text()))


def test_the_sweep_in_the_manifest_is_the_whole_sweep(tmp_path):
    config, _ = yaml.safe_load_all(manifest("kuberay", JOBS["gpus"]))
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text)
    sent, _ = read_sweep(tmp_path / "sweep.yaml")
    here, _ = read_sweep(Path("demo"))
    assert sent.model_copy(update={"lock": None}) == here.model_copy(update={"lock": None})
    assert Path(sent.lock).read_text() == Path(here.lock).read_text()


@pytest.mark.parametrize("kind", ["slurm", "slurm-plain"])
def test_a_batch_script_is_good_bash_with_good_options(job, kind, tmp_path):
    script = manifest(kind, job)
    (tmp_path / "job.sh").write_text(script)
    subprocess.run(["bash", "-n", tmp_path / "job.sh"], check=True)
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    found = [re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line) for line in lines if "SBATCH" in line]
    options = dict(match.groups() for match in found)
    assert all(line.startswith("#SBATCH") for line in lines[1 : 1 + len(options)])  # SLURM stops at the first command
    allowed = {
        "job-name": r"[a-z0-9-]+", "nodes": r"\d+", "ntasks-per-node": "1", "cpus-per-task": r"\d+",
        "gpus-per-node": r"\d+", "mem": r"\d+G", "time": r"\d{2,}:\d{2}:\d{2}", "signal": r"B:USR1@\d+",
        "open-mode": "append", "requeue": None, "exclusive": None,
    }  # fmt: skip
    for name, value in options.items():
        assert name in allowed
        assert value is None if allowed[name] is None else re.fullmatch(allowed[name], value), name
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


def start(kind, tmp_path, **environment):
    """The script under a SLURM of one-line fakes, and the log that they write."""
    fakes, log = tmp_path / "bin", tmp_path / "log"
    fakes.mkdir()
    for name, body in FAKES.items():
        (fakes / name).write_text(f"#!/bin/bash\n{body}\n")
        (fakes / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(manifest(kind, JOBS["gpus"]))
    slurm = {"SLURM_JOB_NODELIST": "here", "SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NUM_NODES": "3"}
    slurm |= {"SLURM_CPUS_PER_TASK": "16", "LOG": str(log), "PATH": f"{fakes}:{os.environ['PATH']}"}
    output = (tmp_path / "output").open("w")
    command = ["bash", tmp_path / "job.sh"]
    env = {**os.environ, **slurm, **environment}
    process = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and (not log.exists() or "up" not in log.read_text()):
        time.sleep(0.05)
    return process, log


@pytest.mark.parametrize("kind", ["slurm", "slurm-plain"])
def test_the_warning_before_the_time_limit_stops_the_driver_and_requeues(kind, tmp_path):
    process, log = start(kind, tmp_path)
    process.send_signal(signal.SIGUSR1)
    code = process.wait(timeout=60)
    first, *rest = log.read_text().splitlines()
    assert rest == ["up", "stopped", f"requeue {os.getpid()}"], (tmp_path / "output").read_text()
    assert code == 130
    assert "s3://bucket/a b'c" in first  # the results folder came through whole


@pytest.mark.parametrize("kind", ["slurm", "slurm-plain"])
def test_a_finished_sweep_is_not_requeued(kind, tmp_path):
    process, log = start(kind, tmp_path, QUICK="1")
    assert process.wait(timeout=60) == 0
    assert "requeue" not in log.read_text()


@pytest.mark.parametrize("kind", LAUNCHERS)
def test_the_command_line_prints_a_manifest(kind, tmp_path):
    shown = CliRunner().invoke(app, ["launcher", kind, "demo", "--results", "s3://bucket/x", "--gpus", "1"])
    assert shown.exit_code == 0, shown.output
    assert "s3://bucket/x" in shown.output


def test_a_bad_job_is_refused():
    with pytest.raises(ValueError, match="allowed: ray, kuberay, slurm, slurm-plain"):
        manifest("pbs", JOBS["gpus"])
    with pytest.raises(ValueError, match="nodes is too small: got 0"):
        Job(sweep="demo", results="r", nodes=0)
    with pytest.raises(ValueError, match="one line"):
        Job(sweep="demo\n#SBATCH --wrap=x", results="r")


def test_a_name_fits_kubernetes():
    assert Job(sweep="/x/My Sweep_ÄÖ.v2.yaml", results="r").name == "unlearn-my-sweep-v2"
    assert Job(sweep="---", results="r").name == "unlearn-sweep"
    assert len(Job(sweep="a" * 200, results="r").name) <= 47
