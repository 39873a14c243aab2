"""The Ray executor: one `Tuner.fit()` per launch, which runs the dispatcher's trials; actors commit the rows."""

from __future__ import annotations

import math
import tempfile
import uuid
import warnings
from dataclasses import asdict
from typing import Any

import ray
from ray import tune

from backbones.checkpoints import PACKAGED
from orchestrator.errors import TooLarge, sigterm_as_interrupt
from orchestrator.plan.cost import trial_seconds
from orchestrator.plan.memory import trial_bytes
from orchestrator.plan.spec import PlugIn
from orchestrator.run.cores import available_cores
from orchestrator.run.executors.ray_actor import TrialActor, gpus_of
from orchestrator.run.executors.ray_early import finish_start
from orchestrator.run.executors.ray_placement import SHARE, device_classes, family
from orchestrator.run.executors.ray_searcher import (
    DISPATCHERS,
    DispatcherSearcher,
    FirstInFirstOut,
    LeaseStopper,
    StudyAsha,
)
from orchestrator.run.executors.ray_start import prepare_tune, start
from orchestrator.run.scheduling.dispatcher import Dispatcher
from orchestrator.run.setup.context import Limits, WorkerContext

REUSE_BELOW_SECONDS = 600.0  # on one core, by estimate: longer trials get a fresh process each
STEP_BYTES = 2**20  # by which requests of memory differ


def run_on_ray(
    dispatcher: Dispatcher,
    context: WorkerContext,
    *,
    address: str | None = None,
    max_concurrent: int | None = None,
    gpus_per_trial: float = 1.0,
    prune: bool = False,
) -> None:
    """Run the dispatcher's trials as trials of one Tuner, on a cluster at `address` or on this machine.

    Raises:
        ValueError: no cluster at the address.
    """
    started = finish_start(_cpus(dispatcher)) or start(address, _cpus(dispatcher))
    prepare_tune(private=started and not address)
    dispatcher.observer.prepared("Ray")
    key = uuid.uuid4().hex
    DISPATCHERS[key] = dispatcher
    try:
        with tempfile.TemporaryDirectory(prefix="unlearn-tune-") as scratch, sigterm_as_interrupt():
            _tuner(dispatcher, key, context, scratch, max_concurrent, gpus_per_trial, prune).fit()
        if not dispatcher.over and dispatcher.owns_folder():
            take_back(dispatcher)
    finally:
        del DISPATCHERS[key]
        if started:
            ray.shutdown()


def take_back(dispatcher: Dispatcher) -> None:
    """Delete rows of a search's trials that an interrupt stopped with the launch: the scheduler did not prune them."""
    rows, pending = dispatcher.store.rows(), set(dispatcher.graph.pending)
    for trial_id in rows.loc[rows["status"] == "pruned", "trial_id"]:
        if trial_id in pending:
            dispatcher.store.files.delete(dispatcher.store.row_files.path(trial_id))


def _threads(dispatcher: Dispatcher) -> int:
    """Return the largest number of CPU threads of any trial."""
    return max((int(spec.loop["threads"]) for spec in dispatcher.specs.values()), default=1)


def _cpus(dispatcher: Dispatcher) -> int:
    return max(_threads(dispatcher), available_cores())


def _tuner(
    dispatcher: Dispatcher,
    key: str,
    context: WorkerContext,
    scratch: str,
    max_concurrent: int | None,
    gpus: float,
    prune: bool,
) -> tune.Tuner:
    available = ray.cluster_resources()
    has_gpu = available.get("GPU", 0) > 0
    slots = available["GPU"] / gpus if has_gpu else available.get("CPU", 1) / _threads(dispatcher)
    at_once = max_concurrent or max(1, int(slots))
    dispatcher.observer.ready(min(at_once, max(1, int(slots))))
    memory = _memory_classes(dispatcher, context.limits, has_gpu, _largest_node_bytes(has_gpu))
    classes = device_classes(dispatcher.specs.values(), available, _measured(dispatcher))
    timed = any(spec.budget and spec.budget["unit"] == "seconds" for spec in dispatcher.specs.values())

    def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        spec = config["payload"].assignment.spec
        bundle = {"CPU": float(spec.loop["threads"]), "memory": memory[spec.backbone.title]}
        where = {classes[here]: SHARE} if (here := family(spec)) in classes else {}
        gpu = {"GPU": gpus_of(spec.policy, gpus, timed)} if has_gpu else {}
        return tune.PlacementGroupFactory([{**bundle, **where, **gpu}])

    fixed = {
        "location": context.store.files.location,
        "driver": context.store.files.driver,
        "cache_dir": str(context.cache_dir),
        "cache_limit_gb": context.cache_limit_gb,
        "limits": asdict(context.limits),
        "gpus": gpus,
        "timed": timed,
        "prune": prune,
    }
    return tune.Tuner(
        tune.with_resources(TrialActor, resources),
        param_space=fixed,
        tune_config=tune.TuneConfig(
            search_alg=DispatcherSearcher(key),
            scheduler=StudyAsha() if prune else FirstInFirstOut(),
            num_samples=-1,
            max_concurrent_trials=at_once,
            reuse_actors=_longest_seconds(dispatcher) < REUSE_BELOW_SECONDS,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            storage_path=scratch,
            name="launch",
            verbose=0,
            stop=LeaseStopper(key),
            failure_config=tune.FailureConfig(max_failures=0),  # the searcher runs lost trials again
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, checkpoint_frequency=0),
        ),
    )


def _measured(dispatcher: Dispatcher) -> dict[tuple[str, str], str]:
    rows = dispatcher.store.rows()
    rows = rows[(rows["stage"] == "retrain") & (rows["status"] == "done")]
    return {(row["task"], row["backbone"]): row["device"] for row in rows.to_dict("records")}


def _longest_seconds(dispatcher: Dispatcher) -> float:
    return max((trial_seconds(spec) for spec in dispatcher.specs.values()), default=0.0)


def _memory_classes(dispatcher: Dispatcher, limits: Limits, on_gpu: bool, largest: float) -> dict[str, float]:
    """Return the bytes that trials of each backbone request, by its title: the need of the largest trial.

    Tune gives a warm actor to any trial with the same request, and a warm actor should get its own backbone again, so
    the requests of backbones differ. Backbones without a checkpoint, or with the package's own, share one request. One
    beyond the largest node (`largest` bytes) would wait forever, and is reduced to all of that node.
    """
    plugs = {spec.backbone.title: spec.backbone for spec in dispatcher.specs.values()}
    needed = dict.fromkeys(plugs, 0)
    for spec in dispatcher.specs.values():
        found = trial_bytes(spec, on_gpu=on_gpu, micro_batch=limits.micro_batch)
        needed[spec.backbone.title] = max(needed[spec.backbone.title], found)
    quick = [title for title, plug in plugs.items() if _is_quick_to_load(plug)]
    needed |= dict.fromkeys(quick, max((needed[title] for title in quick), default=0))
    large = [title for title in sorted(plugs) if title not in quick]
    room = largest / STEP_BYTES - len(large) if largest else math.inf
    for title in (title for title in sorted(plugs) if needed[title] / STEP_BYTES > room):
        said = f"trials of {title} may need {needed[title] / 2**30:.1f} GiB, more than any node has for trials"
        warnings.warn(f"{said} ({largest / 2**30:.1f} GiB): each gets a node to itself", TooLarge, stacklevel=2)
    steps = {title: int(min(math.ceil(needed[title] / STEP_BYTES), room)) for title in plugs}
    places = {title: context for context, title in enumerate(large, 1)}
    return {title: float(max(1, steps[title] + places.get(title, 0)) * STEP_BYTES) for title in plugs}


def _largest_node_bytes(has_gpu: bool) -> float:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max((n.get("memory", 0.0) for n in nodes if not has_gpu or n.get("GPU", 0) > 0), default=0.0)


def _is_quick_to_load(backbone: PlugIn) -> bool:
    made = backbone.instance
    return str(getattr(made, "checkpoint", PACKAGED)).startswith(PACKAGED)
