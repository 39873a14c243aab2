"""Manifests for `ray up` and KubeRay parse, fit the published schemas, and keep every value that a user chose."""

from __future__ import annotations

import importlib.util
import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.deploy.manifests import IMAGE_HOME, LAUNCHERS, Job, default_image, manifest
from orchestrator.plan.sweep_file import read_sweep

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[2]
RAY_SCHEMA = Path(importlib.util.find_spec("ray").submodule_search_locations[0], "autoscaler", "ray-schema.json")
RAYJOB_SCHEMA = Path(__file__).parent / "schemas" / "rayjob.yaml"
JOBS = {
    "cpus": Job(sweep="demo", results="s3://bucket/demo", nodes=1),
    "gpus": Job(sweep="demo", results="s3://bucket/a b'c", nodes=3, gpus=2, cpus=16, hours=0.5),
    "quoting": Job(
        sweep="demo", results="""/shared/a: #{{ x }} \\ $HOME `id` "q" é""", gpus=4, image="host:5000/i@sha256:0"
    ),
}


@pytest.fixture(params=JOBS)
def job(request):
    return JOBS[request.param]


@pytest.fixture
def job_with_a_file(tmp_path):
    """A job whose sweep is a local file in a folder with spaces and quotes in its name."""
    folder = tmp_path / 'it\'s a "folder": x'
    folder.mkdir()
    (folder / "my sweep.yaml").write_text("extends: demo\nname: mine\nlock: null\n")
    return Job(sweep=str(folder / "my sweep.yaml"), results="/shared/mine")


def driver_options(words: list[str]) -> dict[str, str]:
    """The options at the end of the driver's command line."""
    return dict(zip(words[-6::2], words[-5::2], strict=True))


def test_the_ray_cluster_file_fits_rays_own_schema(job):
    cluster = yaml.safe_load(manifest("ray", job))
    jsonschema.validate(cluster, json.loads(RAY_SCHEMA.read_text()))
    assert cluster["docker"]["image"] == job.image
    assert cluster["available_node_types"]["head"]["resources"] == {"CPU": 0}  # the driver's node runs no trials
    resources = cluster["available_node_types"]["worker"]["resources"]
    assert resources == {"CPU": job.cpus, **({"GPU": job.gpus} if job.gpus else {})}
    for commands in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert "RAY_AUTH_MODE=token" in cluster[commands][-1]
    assert "--dashboard-host=127.0.0.1" in cluster["head_start_ray_commands"][-1]


def test_the_comments_of_the_ray_cluster_file_start_the_driver(job):
    (line,) = [line for line in manifest("ray", job).splitlines() if line.startswith("#   ray exec ")]
    *_, driver = shlex.split(line.removeprefix("#"))
    expected = {"--results": job.results, "--address": "auto", "--max-concurrent": str(job.max_concurrent)}
    assert driver_options(shlex.split(driver)) == expected


def test_a_local_sweep_file_is_copied_to_the_nodes(job_with_a_file):
    text = manifest("ray", job_with_a_file)
    copied_to = f"{IMAGE_HOME}/sweeps/my sweep.yaml"
    assert yaml.safe_load(text)["file_mounts"][copied_to] == job_with_a_file.sweep
    assert f"unlearn run '\"'\"'{copied_to}'\"'\"'" in text


def test_the_rayjob_fits_its_schema(job):
    config, rayjob = yaml.safe_load_all(manifest("kuberay", job))
    jsonschema.validate(rayjob, yaml.safe_load(RAYJOB_SCHEMA.read_text()))
    assert config["metadata"]["name"] == rayjob["metadata"]["name"]
    spec = rayjob["spec"]
    assert spec["activeDeadlineSeconds"] == job.hours * 3600
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    (workers,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    assert container["image"] == job.image
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert container["resources"]["limits"].get("nvidia.com/gpu") == (str(job.gpus) if job.gpus else None)
    expected = {"--results": job.results, "--address": "auto", "--max-concurrent": str(job.max_concurrent)}
    assert driver_options(shlex.split(spec["entrypoint"])) == expected


def test_the_schema_refuses_what_kuberay_would(job):
    *_, rayjob = yaml.safe_load_all(manifest("kuberay", job))
    rayjob["spec"]["rayClusterSpec"]["headGroupSpec"].pop("template")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(rayjob, yaml.safe_load(RAYJOB_SCHEMA.read_text()))


def sweep_of(manifest_text, folder):
    """The sweep that a RayJob's ConfigMap contains."""
    config, _ = yaml.safe_load_all(manifest_text)
    for name, text in config["data"].items():
        (folder / name).write_text(text)
    return read_sweep(folder / "sweep.yaml")[0]


def test_the_rayjob_contains_the_whole_sweep_and_its_lock_file(tmp_path):
    sent, local = sweep_of(manifest("kuberay", JOBS["gpus"]), tmp_path), read_sweep(Path("demo"))[0]
    assert sent.model_copy(update={"lock": None}) == local.model_copy(update={"lock": None})
    assert Path(sent.lock).read_text() == Path(local.lock).read_text()


def test_the_rayjob_contains_a_local_sweep_with_what_it_extends(tmp_path, job_with_a_file):
    assert sweep_of(manifest("kuberay", job_with_a_file), tmp_path) == read_sweep(Path(job_with_a_file.sweep))[0]


def test_a_lock_file_keeps_its_line_breaks_and_indentation(tmp_path):
    lock = "  # indented\n\nversion: 1\nnote: |\n  two\n  lines\n\n\n"
    (tmp_path / "a.lock.yaml").write_text(lock)
    (tmp_path / "a.yaml").write_text("extends: demo\nlock: a.lock.yaml\n")
    config, _ = yaml.safe_load_all(manifest("kuberay", Job(sweep=str(tmp_path / "a.yaml"), results="r")))
    assert config["data"]["lock.yaml"] == lock


@pytest.mark.parametrize("kind", LAUNCHERS)
def test_the_command_line_prints_a_manifest(kind):
    shown = CliRunner().invoke(app, ["launcher", kind, "demo", "--results", "s3://bucket/x", "--gpus", "1"])
    assert shown.exit_code == 0, shown.output
    assert "s3://bucket/x" in shown.output
    assert (default_image() in shown.output) == (not kind.startswith("slurm"))


def test_a_bad_job_is_refused():
    with pytest.raises(ValueError, match="Choose one of: ray, kuberay, slurm, slurm-plain"):
        manifest("pbs", JOBS["gpus"])
    with pytest.raises(ValueError, match="nodes must be at least 1, got 0"):
        Job(sweep="demo", results="r", nodes=0)
    with pytest.raises(ValueError, match="hours must be above 0"):
        replace(JOBS["gpus"], hours=float("nan"))


@pytest.mark.parametrize("separator", ["\n", "\r", "\0", "\x85", "\u2028"])
@pytest.mark.parametrize("name", ["sweep", "results", "image"])
def test_a_value_that_would_begin_a_new_line_is_refused(name, separator):
    with pytest.raises(ValueError, match=f"{name} must be one line"):
        replace(JOBS["gpus"], **{name: f"demo{separator}#SBATCH --wrap=x"})


def test_a_name_fits_kubernetes():
    assert Job(sweep="/x/My Sweep_ÄÖ.v2.yaml", results="r").name == "unlearn-my-sweep-v2"
    assert Job(sweep="---", results="r").name == "unlearn-sweep"
    assert len(Job(sweep="a" * 200, results="r").name) <= 47
