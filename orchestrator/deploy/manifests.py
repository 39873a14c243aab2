"""Manifests that start a sweep on a cluster: a Ray cluster file, a KubeRay RayJob, and two SLURM batch scripts.

Each kind has a Jinja2 template in `templates/`. Values that users choose reach a shell through the filter
`shell_quote`, and a YAML file through `yaml_quote` or `yaml_mapping`.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestrator.plan.sweep_file import find_sweep, read_sweep

WARNING_SECONDS = 300  # from SLURM's signal to the end of the job: enough to finish steps and write an epoch
RAY_VERSION = "2.60.0"  # as in constraints.txt, which the image is built with
IMAGE_NAME = "speech-unlearning"  # of the image that the Containerfile describes
IMAGE_HOME = "/home/ray"  # of that image's user


def default_image() -> str:
    """Return the name of the image that the Containerfile of this version builds."""
    return f"{IMAGE_NAME}:{importlib.metadata.version('speech-unlearning')}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A sweep to run, where its results go, and the size of the cluster."""

    sweep: str  # a local file, or the name of a sweep that ships with the package
    results: str  # a URI, or a folder that every node mounts
    nodes: int = 2
    cpus: int = 8  # per node
    gpus: int = 0  # per node
    memory_gib: int = 32  # per node
    hours: float = 24.0
    image: str = ""  # with this package in it; "" is `default_image()`

    def __post_init__(self) -> None:
        for name, minimum in (("nodes", 1), ("cpus", 1), ("gpus", 0), ("memory_gib", 1)):
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}")
        if not 0 < self.hours <= 10_000:
            raise ValueError(f"hours must be above 0 and at most 10000, got {self.hours}")
        for name in ("sweep", "results", "image"):
            if not getattr(self, name).isprintable():
                raise ValueError(f"{name} must be one line of printable characters, got {getattr(self, name)!r}")
        if not self.image:
            object.__setattr__(self, "image", default_image())

    @property
    def name(self) -> str:
        """The name of the sweep in the characters that Kubernetes and clouds allow."""
        allowed = re.sub(r"[^a-z0-9]+", "-", Path(self.sweep).stem.lower()).strip("-")[:36].strip("-")
        return f"unlearn-{allowed or 'sweep'}"

    @property
    def max_concurrent(self) -> int:
        """Number of trials that run at once: one per GPU, or one per CPU on nodes without GPUs."""
        return self.nodes * (self.gpus or self.cpus)

    @property
    def sweep_file(self) -> str:
        """Absolute path of the sweep file; "" for a sweep that ships with the package."""
        path = Path(self.sweep).expanduser()
        return str(path.absolute()) if path.is_file() else ""


def ray_cluster(job: Job) -> str:
    """Render a cluster file for `ray up`; a local sweep file is copied to every node."""
    copied_to = f"{IMAGE_HOME}/sweeps/{Path(job.sweep_file).name}" if job.sweep_file else job.sweep
    return _render("ray.yaml.j2", job=job, home=IMAGE_HOME, sweep_file=job.sweep_file, sweep_path=copied_to)


def kuberay(job: Job) -> str:
    """Render a ConfigMap with the sweep and a RayJob that runs it."""
    return _render("kuberay.yaml.j2", job=job, ray_version=RAY_VERSION, sweep_files=_sweep_files(job))


def slurm(job: Job) -> str:
    """Render a batch script that uses `ray symmetric-run`, for a job that has its nodes to itself."""
    return _batch_script("slurm.sh.j2", job)


def slurm_plain(job: Job) -> str:
    """Render a batch script that uses `ray start`, for shared nodes or where `ray symmetric-run` does not work."""
    return _batch_script("slurm-plain.sh.j2", job)


LAUNCHERS: dict[str, Callable[[Job], str]] = {
    "ray": ray_cluster,
    "kuberay": kuberay,
    "slurm": slurm,
    "slurm-plain": slurm_plain,
}


def manifest(kind: str, job: Job) -> str:
    """Render the manifest for one kind of cluster.

    Raises:
        ValueError: `kind` is not in `LAUNCHERS`.
    """
    if kind not in LAUNCHERS:
        raise ValueError(f"Unknown launcher {kind!r}. Choose one of: {', '.join(LAUNCHERS)}")
    return LAUNCHERS[kind](job)


def _batch_script(template: str, job: Job) -> str:
    return _render(template, job=job, sweep_path=job.sweep_file or job.sweep, warning_seconds=WARNING_SECONDS)


def _sweep_files(job: Job) -> dict[str, str]:
    """Return file name → text: the sweep with all that it extends, and its lock file."""
    sweep, values = read_sweep(find_sweep(Path(job.sweep)))
    if not sweep.lock:
        return {"sweep.yaml": _to_yaml(values)}
    return {"sweep.yaml": _to_yaml({**values, "lock": "lock.yaml"}), "lock.yaml": Path(sweep.lock).read_text()}


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestrator.deploy"),
        undefined=StrictUndefined,
        autoescape=False,  # the output is shell and YAML, which the filters below quote
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"shell_quote": shlex.quote, "yaml_quote": _yaml_quote, "yaml_mapping": _yaml_mapping}
    return environment


def _yaml_quote(text: str) -> str:
    """Return a double-quoted YAML scalar on one line: JSON is YAML."""
    return json.dumps(text, ensure_ascii=False)


def _yaml_mapping(content: Mapping[str, Any]) -> str:
    """Return a mapping as YAML blocks, without the last line break and a mark of the document's end after it."""
    return re.sub(r"\n(\.\.\.\n)?\Z", "", _to_yaml(content))


class _BlockDumper(yaml.SafeDumper):
    """Write no anchors, and strings of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_BlockDumper.add_representer(str, _represent_text)


def _to_yaml(content: Mapping[str, Any]) -> str:
    return str(yaml.dump(content, Dumper=_BlockDumper, sort_keys=False, width=1000))
