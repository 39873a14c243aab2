"""The Ray executor: one `Tuner.fit()` per launch, which runs the dispatcher's trials; actors commit the rows."""

from __future__ import annotations

import math
import tempfile
import time
import uuid
import warnings
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from backbones.checkpoints import PACKAGED
from orchestrator.errors import TooLarge, sigterm_as_interrupt
from orchestrator.plan.cost import trial_seconds
from orchestrator.plan.memory import trial_bytes
from orchestrator.plan.spec import PlugIn
from orchestrator.plan.stages import StagePolicy
from orchestrator.results.store import Store
from orchestrator.run.assignment import TRANSIENT, IntermediateResult
from orchestrator.run.cores import available_cores
from orchestrator.run.executors.ray_placement import SHARE, device_classes, family
from orchestrator.run.executors.ray_searcher import (
    DISPATCHERS,
    CommittedRow,
    DispatcherSearcher,
    FirstInFirstOut,
    LeaseStopper,
    StudyAsha,
    TrialPayload,
)
from orchestrator.run.executors.ray_start import start
from orchestrator.run.guards.unseen_gpu import unseen_gpu
from orchestrator.run.scheduling.circuit_breaker import is_retryable
from orchestrator.run.scheduling.dispatcher import Dispatcher
from orchestrator.run.scheduling.driver_lease import LeasedFolder
from orchestrator.run.setup.context import Limits, WorkerContext

if TYPE_CHECKING:
    from orchestrator.run.trial import Row

REUSE_BELOW_SECONDS = 600.0  # on one core, by estimate: longer trials get a fresh process each
STEP_BYTES = 2**20  # by which requests of memory differ

SAID_EVERY_SECONDS = 5.0  # between two messages of a running trial to the driver

ENDED = {"done": True, "ended": True}  # Tune sets `done` itself when a scheduler stops a trial; `ended` is ours

_CONTEXTS: dict[tuple[str, str, str, Limits], WorkerContext] = {}  # of this worker process, warm from trial to trial


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """Runs assignments one after another; all work that can fail is in `step`."""

    def setup(self, config: dict[str, Any]) -> None:
        """Keep the assignment; nothing here can fail."""
        self._points: Generator[IntermediateResult, None, Row] | None = None
        self._config = config
        self._said, self._said_at = IntermediateResult(), time.monotonic()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Keep the next assignment; return True and never raise, since either would hang the controller."""
        self._end()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Run the trial to its end, to its next report, or in a search to its next epoch."""
        if problem := unseen_gpu(ray.get_gpu_ids()):
            return {**ENDED, "given_up": problem}
        assignment = self._config["payload"].assignment
        context = self._worker_context()
        watched = self._config["prune"] and assignment.spec.policy.objective == "rule"
        if self._points is None:
            if row := _committed_by_an_earlier_attempt(self._config["payload"], context):
                return {**ENDED, "committed": CommittedRow(row)}
            from orchestrator.run.trial import run_trial  # here: the driver runs no trial

            self._points = run_trial(assignment, context, points=watched, own_process=True)
        try:
            while True:
                point = next(self._points)
                if watched and point.epoch:
                    said = {"said": point} if self._is_worth_saying(point) else {}
                    return {"done": False, "budget_used": point.budget_used, "objective": point.objective, **said}
                if self._is_worth_saying(point):
                    return {"done": False, "said": point}
        except StopIteration as ended:
            self._points = None
            return {**ENDED, "committed": CommittedRow(ended.value)}
        except TRANSIENT as met:
            self._points = None
            if is_retryable(met):
                raise
            return {**ENDED, "given_up": f"{type(met).__name__}: {met}"}

    def _is_worth_saying(self, result: IntermediateResult) -> bool:
        """Whether the driver gets a message: every few seconds, and at both ends of a preparation."""
        due = result.preparing != self._said.preparing or time.monotonic() - self._said_at >= SAID_EVERY_SECONDS
        if due:
            self._said, self._said_at = result, time.monotonic()
        return due

    def cleanup(self) -> None:
        """Commit the row of a trial that a scheduler stopped."""
        self._end()

    def _end(self) -> None:
        points, self._points = self._points, None
        if points is not None:
            with suppress(OSError):  # it cannot commit, on a full disk or for a driver that lost its lease
                points.close()

    def _worker_context(self) -> WorkerContext:
        share = _gpus_of(self._config["payload"].assignment.spec.policy, self._config["gpus"], self._config["timed"])
        limits = Limits(**{**self._config["limits"], "gpu_share": share})
        key = (self._config["location"], self._config["driver"], self._config["cache_dir"], limits)
        if key not in _CONTEXTS:
            store = Store(LeasedFolder(self._config["location"], token=self._config["driver"]))
            _CONTEXTS[key] = WorkerContext(
                store, Path(key[2]), cache_limit_gb=float(self._config["cache_limit_gb"]), limits=limits
            )
        return _CONTEXTS[key]

    def get_auto_filled_metrics(self, *given: Any, **named: Any) -> dict[str, Any]:
        """Return what Tune adds to every result, without the config, which the driver would keep per trial."""
        filled: dict[str, Any] = tune.Trainable.get_auto_filled_metrics(self, *given, **named)
        return {name: value for name, value in filled.items() if name != "config"}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: the results folder is the state."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing."""


def _committed_by_an_earlier_attempt(payload: TrialPayload, context: WorkerContext) -> Mapping[str, Any] | None:
    """Return the row of an attempt whose process died after it had committed; first attempts read nothing."""
    if not payload.is_retry:
        return None
    row = context.store.row(payload.trial_id)
    return None if row is None or str(row["finished_at"]) == payload.replaced else row


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
    started = start(address, _cpus(dispatcher))
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
        gpu = {"GPU": _gpus_of(spec.policy, gpus, timed)} if has_gpu else {}
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


def _gpus_of(stage: StagePolicy, gpus: float, timed: bool) -> float:
    """Return the GPUs of a trial. If budgets are in seconds (`timed`), a trial that sets or spends one has a GPU to
    itself; trials of a search may share one even then, since they are compared with each other only."""
    return max(1.0, gpus) if timed and not stage.is_tuning else gpus


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
