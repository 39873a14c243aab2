"""Three nodes with a logical GPU each give the rows of one process, whatever is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from orchestrator import load_sweep, plan_sweep, run_sweep
from orchestrator.run.executors import ray_tune as executor

pytestmark = pytest.mark.ray
QUICK = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 5}


@pytest.fixture(scope="module")
def local_rows(finished_small, comparable):
    """Return the reference: rows of the same sweep in one process, undisturbed."""
    return comparable(finished_small / "r")


@pytest.fixture(scope="module")
def cluster():
    """A node on this machine, with one processor and one logical GPU, that other nodes can join."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLEARN_LOGICAL_GPUS", "1")
        made = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "num_gpus": 1, "include_dashboard": False, "_system_config": QUICK},
        )
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def nodes(cluster, monkeypatch):
    """That node and two more like it: those of an earlier test, as far as they are alive."""
    monkeypatch.setenv("UNLEARN_LOGICAL_GPUS", "1")
    while len(cluster.list_all_nodes()) < 3:
        cluster.add_node(num_cpus=1, num_gpus=1)
    return cluster


def workers(node) -> list[int]:
    """Process ids of trials on a node."""
    raylet = node.all_processes["raylet"][0].process.pid
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line for line in status.read_text().splitlines() if line.startswith("PPid")).split()[1]
            title = (status.parent / "cmdline").read_text()
        except (OSError, StopIteration):
            continue
        if int(parent) == raylet and title.startswith("ray::TrialActor"):
            found.append(int(status.parent.name))
    return found


class Trouble(threading.Thread):
    """Watches which nodes run trials and which rows come; does its harm once, at a random moment after the first."""

    def __init__(self, cluster, results, harm, seed):
        super().__init__(daemon=True)
        self.cluster, self.rows, self.harm = cluster, results / "rows", harm
        self.random = random.Random(seed)
        self.used, self.struck, self.over = set(), None, threading.Event()
        self.nodes = len(cluster.list_all_nodes())
        self.finished = {}  # when each row was written first, by the name of its file

    def run(self):
        due = None
        while not self.over.wait(0.05):
            busy = {node: workers(node) for node in self.cluster.list_all_nodes()}
            self.used |= {node.unique_id for node, running in busy.items() if running}
            for path in self.rows.glob("*.parquet"):
                self.finished.setdefault(path.name, path.stat().st_mtime_ns)
            if due is None and self.finished:
                due = time.monotonic() + self.random.uniform(0, 3)
            if due is not None and time.monotonic() >= due and self.struck is None:
                self.struck = self.harm(self.cluster, busy, self.random)


def no_harm(cluster, busy, rng):
    """Nothing."""
    return "nothing"


def kill_a_worker(cluster, busy, rng):
    """SIGKILL one trial's process."""
    found = [pid for running in busy.values() for pid in running]
    if not found:
        return None
    os.kill(rng.choice(found), signal.SIGKILL)
    return "worker"


def kill_a_node(cluster, busy, rng):
    """SIGKILL a node that runs a trial, with everything on it; not the head, where the driver is."""
    found = [node for node, running in busy.items() if running and node is not cluster.head_node]
    if not found:
        return None
    node = rng.choice(found)
    pids = [node.all_processes["raylet"][0].process.pid, *busy[node]]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)
    return "node"


FAULTS = {
    no_harm: "none: three nodes, undisturbed",
    kill_a_worker: "SIGKILL of a trial's worker process",
    kill_a_node: "SIGKILL of a node with all that runs on it",
}
CAME = {
    no_harm: "trials run on all nodes",
    kill_a_worker: "the trial runs again",
    kill_a_node: "its trials run again on the other nodes",
}


@pytest.fixture
def disturbed(nodes, local_rows, small_sweep, tmp_path, cache_dir, monkeypatch, comparable, injected):
    """Runs the sweep on the three nodes, does harm meanwhile, and compares."""
    monkeypatch.setattr(executor, "REUSE_BELOW_SECONDS", 0.0)  # fresh processes, or one warm one would run them all

    def run(harm, seed):
        loaded = load_sweep(small_sweep, ["methods=[retrain, {name: grad_ascent, learning_rate: 1.0e-4}]"])
        ids = [spec.trial_id for spec in plan_sweep(loaded).grid.trials]
        undisturbed = local_rows[local_rows["trial_id"].isin(ids)].reset_index(drop=True)
        trouble = Trouble(nodes, tmp_path / "r", harm, seed)
        trouble.start()
        try:
            dispatcher = run_sweep(loaded, tmp_path / "r", executor="ray", address=nodes.address, cache_dir=cache_dir)
        finally:
            trouble.over.set()
            trouble.join()
        injected(
            FAULTS[harm], CAME[harm], tmp_path / "r", undisturbed, finished=trouble.finished,
            injections=int(harm is not no_harm and bool(trouble.struck)), section="Three nodes with a logical GPU each",
            nodes_and_gpus=trouble.nodes, nodes_that_ran_trials=len(trouble.used),
            nodes_at_the_end=len(nodes.list_all_nodes()),
        )  # fmt: skip
        assert dispatcher.over, (dispatcher.stopped, dispatcher.graph.counts())
        assert trouble.struck
        assert len(trouble.used) > 1  # a node has one GPU, so what ran at the same time ran on several
        pd.testing.assert_frame_equal(comparable(tmp_path / "r"), undisturbed)

    return run


@pytest.mark.slow
def test_three_nodes_give_the_rows_of_one_process(disturbed):
    disturbed(no_harm, 0)


def test_a_killed_worker_costs_nothing(disturbed, kill_seed):
    disturbed(kill_a_worker, kill_seed)


def test_a_killed_node_costs_nothing(disturbed, kill_seed):
    disturbed(kill_a_node, kill_seed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
def test_a_gpu_that_torch_does_not_see_ends_the_launch_before_anything_trains(
    small_sweep, tmp_path, cache_dir, monkeypatch
):
    monkeypatch.delenv("UNLEARN_LOGICAL_GPUS", raising=False)
    ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        dispatcher = run_sweep(
            load_sweep(small_sweep), tmp_path / "r", executor="ray", cache_dir=cache_dir, max_concurrent=1
        )
    finally:
        ray.shutdown()
    assert dispatcher.stopped.startswith("Ray assigned a GPU to this trial, but torch")
    assert "start its Ray with --num-gpus 0" in dispatcher.stopped
    assert not dispatcher.over
    assert not list((tmp_path / "r" / "rows").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("harm", [kill_a_worker, kill_a_node])
def test_nothing_is_lost_at_other_moments(disturbed, harm, seed):
    disturbed(harm, seed)
