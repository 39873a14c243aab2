"""Ready manifests that start a sweep on a cluster: Ray's own launcher, KubeRay, and SLURM in two ways."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.plan.sweep_file import find_sweep, read_sweep

WARNING_SECONDS = 300  # from SLURM's signal to the end of the job: enough to end steps and write an epoch
RAY_VERSION = "2.60.0"
HOME = "/home/ray"  # of Ray's images


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to run, and on what."""

    sweep: str  # a file here, or the name of one that ships with the package
    results: str  # a URI, or a folder that every node has
    nodes: int = 2
    cpus: int = 8  # a node
    gpus: int = 0  # a node
    memory_gib: int = 32  # a node
    hours: float = 24.0
    image: str = f"rayproject/ray:{RAY_VERSION}"  # one with this package in it

    def __post_init__(self) -> None:
        for name, least in (("nodes", 1), ("cpus", 1), ("gpus", 0), ("memory_gib", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is too small: got {getattr(self, name)}, allowed: {least} or more")
        if not 0 < self.hours <= 10_000:
            raise ValueError(f"hours is out of range: got {self.hours}, allowed: above 0, up to 10000")
        if any(character in self.sweep + self.results + self.image for character in "\n\r\0"):
            raise ValueError("sweep, results and image must each be one line")

    @property
    def name(self) -> str:
        """The sweep's, as Kubernetes and clouds allow names."""
        found = re.sub(r"[^a-z0-9]+", "-", Path(self.sweep).stem.lower()).strip("-")[:36].strip("-")
        return f"unlearn-{found or 'sweep'}"

    @property
    def slots(self) -> int:
        """Trials at once: one a GPU, or where there are none one a processor."""
        return self.nodes * (self.gpus or self.cpus)

    def command(self, address: str, sweep: str) -> list[str]:
        """The driver's command line."""
        where = ["--results", self.results, "--address", address, "--max-concurrent", str(self.slots)]
        return ["unlearn", "run", sweep, *where]


def ray_cluster(job: Job) -> str:
    """A cluster file for `ray up`: a small head, and workers that may be taken away at any time."""
    start = "export RAY_AUTH_MODE=token; ulimit -n 65536; ray start"
    cluster = {
        "cluster_name": job.name,
        "max_workers": job.nodes,
        "idle_timeout_minutes": 10,
        "provider": {"type": "aws", "region": "us-west-2", "cache_stopped_nodes": False},
        "auth": {"ssh_user": "ubuntu"},
        "docker": {"image": job.image, "container_name": "ray", "pull_before_run": True},
        "file_mounts": {f"{HOME}/.ray/auth_token": "~/.ray/auth_token", **_mounted(job)},
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "node_config": {"InstanceType": "m6i.large"}},
            "worker": {
                "min_workers": job.nodes,
                "max_workers": job.nodes,
                "resources": {"CPU": job.cpus, **({"GPU": job.gpus} if job.gpus else {})},
                "node_config": {
                    "InstanceType": "g5.2xlarge" if job.gpus else "m6i.2xlarge",
                    "InstanceMarketOptions": {"MarketType": "spot"},
                },
            },
        },
        "head_start_ray_commands": [
            "ray stop",
            f"{start} --head --port=6379 --autoscaling-config=~/ray_bootstrap_config.yaml --dashboard-host=127.0.0.1",
        ],
        "worker_start_ray_commands": ["ray stop", f"{start} --address=$RAY_HEAD_IP:6379"],
    }
    sweep = f"{HOME}/sweeps/{_file(job).name}" if _mounted(job) else job.sweep
    driver = f"RAY_AUTH_MODE=token UNLEARN_MIN_NODES={job.nodes + 1} {shlex.join(job.command('auto', sweep))}"
    return _document(
        cluster,
        "Instance types and region are examples: they must have the CPUs and GPUs named here.",
        "Give the nodes an instance profile that may use the results bucket; no key belongs in this file.",
        "  ray get-auth-token --generate       # once; the token stays in ~/.ray/auth_token",
        "  ray up cluster.yaml",
        f"  ray exec cluster.yaml --tmux {shlex.quote(driver)}",
        "  ray down cluster.yaml               # when `unlearn status` says that all is done",
    )


def kuberay(job: Job) -> str:
    """A ConfigMap with the sweep and a RayJob (KubeRay 1.5.1 or newer) that runs it, deletes its cluster, and after a
    lost head starts again, where finished rows are found."""
    sizes = {"cpu": str(job.cpus), "memory": f"{job.memory_gib}Gi"}
    worker = {**sizes, **({"nvidia.com/gpu": str(job.gpus)} if job.gpus else {})}
    spec = {
        "entrypoint": shlex.join(
            ["env", f"UNLEARN_MIN_NODES={job.nodes + 1}", *job.command("auto", "/sweeps/sweep.yaml")]
        ),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 600,
        "activeDeadlineSeconds": round(job.hours * 3600),
        "backoffLimit": 5,
        "rayClusterSpec": {
            "rayVersion": RAY_VERSION,
            "authOptions": {"mode": "token"},
            "headGroupSpec": {
                "rayStartParams": {"num-cpus": "0"},
                "template": _pod(job, "ray-head", {"cpu": "2", "memory": "8Gi"}),
            },
            "workerGroupSpecs": [
                {
                    "groupName": "workers",
                    "replicas": job.nodes,
                    "minReplicas": job.nodes,
                    "maxReplicas": job.nodes,
                    "rayStartParams": {},
                    "template": _pod(job, "ray-worker", worker),
                }
            ],
        },
    }
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": job.name}, "data": _sweep_files(job)},
        {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": job.name}, "spec": spec},
    ]
    first = _document(
        objects[0],
        "Credentials of the object store come from this secret, where it exists, or the pods' service account:",
        f"  kubectl create secret generic {job.name} --from-env-file=credentials.env",
        "  kubectl apply -f this-file.yaml",
    )
    return first + "---\n" + _yaml(objects[1])


def _pod(job: Job, name: str, sizes: dict[str, str]) -> dict[str, Any]:
    container = {
        "name": name,
        "image": job.image,
        "resources": {"requests": sizes, "limits": sizes},
        "envFrom": [{"secretRef": {"name": job.name, "optional": True}}],
        "volumeMounts": [{"name": "sweeps", "mountPath": "/sweeps", "readOnly": True}],
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    return {"spec": {"containers": [container], "volumes": [{"name": "sweeps", "configMap": {"name": job.name}}]}}


def slurm(job: Job) -> str:
    """A batch script on `ray symmetric-run`: one command on every node of a job that has its nodes to itself."""
    return _batch(job, ["#SBATCH --exclusive"], _SYMMETRIC)


def slurm_plain(job: Job) -> str:
    """A batch script on plain `ray start`, for nodes that are shared or where symmetric-run gives trouble."""
    return _batch(job, [], _PLAIN)


LAUNCHERS: dict[str, Callable[[Job], str]] = {
    "ray": ray_cluster,
    "kuberay": kuberay,
    "slurm": slurm,
    "slurm-plain": slurm_plain,
}


def manifest(kind: str, job: Job) -> str:
    """The manifest of one kind of cluster.

    Raises:
        ValueError: a kind that is not in `LAUNCHERS`.
    """
    if kind not in LAUNCHERS:
        raise ValueError(f"no launcher of that name: got {kind!r}, allowed: {', '.join(LAUNCHERS)}")
    return LAUNCHERS[kind](job)


def _file(job: Job) -> Path:
    return Path(job.sweep).expanduser()


def _mounted(job: Job) -> dict[str, str]:
    path = _file(job)
    return {f"{HOME}/sweeps/{path.name}": str(path.absolute())} if path.is_file() else {}


def _sweep_files(job: Job) -> dict[str, str]:
    """The sweep as one file, whatever it extends, with its lock file beside it."""
    sweep, values = read_sweep(find_sweep(Path(job.sweep)))
    if not sweep.lock:
        return {"sweep.yaml": _yaml(values)}
    return {
        "sweep.yaml": _yaml({**values, "lock": "lock.yaml"}),
        "lock.yaml": Path(sweep.lock).read_text(),
    }


class _Plain(yaml.SafeDumper):
    """No anchors, and texts of several lines as blocks."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Plain.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _yaml(content: Any) -> str:
    return str(yaml.dump(content, Dumper=_Plain, sort_keys=False, width=1000))


def _document(content: dict[str, Any], *comments: str) -> str:
    return "".join(f"# {line}\n" for line in comments) + _yaml(content)


def _batch(job: Job, extra: list[str], start: str) -> str:
    minutes = max(1, round(job.hours * 60))
    path = _file(job)
    sweep = str(path.absolute()) if path.is_file() else job.sweep
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={job.name}",
        f"#SBATCH --nodes={job.nodes}",
        "#SBATCH --ntasks-per-node=1",
        f"#SBATCH --cpus-per-task={job.cpus}",
        *([f"#SBATCH --gpus-per-node={job.gpus}"] if job.gpus else []),
        f"#SBATCH --mem={job.memory_gib}G",
        f"#SBATCH --time={minutes // 60:02d}:{minutes % 60:02d}:00",
        f"#SBATCH --signal=B:USR1@{WARNING_SECONDS}",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        *extra,
    ]
    command = shlex.join(job.command("ADDRESS", sweep)).replace("ADDRESS", '"$address"')
    return "\n".join(lines) + _OPENING + start.replace("COMMAND", command).replace("GPUS", str(job.gpus)) + _CLOSING


_OPENING = r"""
# Submit with sbatch; UNLEARN_ENV may name a virtual environment that every node sees.
set -euo pipefail
umask 077
[ -z "${UNLEARN_ENV:-}" ] || source "$UNLEARN_ENV/bin/activate"

# A token for this job alone: whoever reaches Ray's ports without it can do nothing.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python3 -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
export UNLEARN_MIN_NODES=$SLURM_JOB_NUM_NODES

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)  # this script runs there too
host=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}')
address="$host:$((20000 + SLURM_JOB_ID % 10000))"
state=$(mktemp -d)
steps=()

# SLURM warns before the time limit: the driver stops as on Ctrl-C, and the job goes back into the queue.
warned=0
stop() {
    warned=1
    if [ -s "$state/driver" ]; then kill -TERM "$(cat "$state/driver")" 2>/dev/null || true; fi
}
trap stop USR1
trap 'kill "${steps[@]}" 2>/dev/null || true; rm -rf "$state"' EXIT
"""

_SYMMETRIC = r"""
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
srun --kill-on-bad-exit=0 ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus GPUS --include-dashboard=false -- \
    bash -c 'echo $$ > "$0"; exec "$@"' "$state/driver" \
    COMMAND &
driver=$!
"""

_PLAIN = r"""
srun --nodes=1 --ntasks=1 --overlap -w "$head" ray start --head --node-ip-address "$host" --port "${address##*:}" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus GPUS --include-dashboard=false --block &
steps+=($!)
for _ in $(seq 150); do
    if (exec 3<>"/dev/tcp/${address/://}") 2>/dev/null; then break; fi
    sleep 2
done
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude "$head" \
        ray start --address "$address" --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus GPUS --block &
    steps+=($!)
fi
COMMAND &
driver=$!
echo "$driver" > "$state/driver"
"""

_CLOSING = r"""
code=0
while true; do  # a signal ends `wait` early
    wait "$driver" && code=0 || code=$?
    kill -0 "$driver" 2>/dev/null || break
done
if [ "$warned" -eq 1 ] && [ "$code" -ne 0 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
"""
