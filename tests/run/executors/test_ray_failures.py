"""Ray itself raises every error that a phrase of its text identifies."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest
import ray
from ray.cluster_utils import Cluster

from orchestrator.run.executors import ray_start
from orchestrator.run.executors.ray_failures import failure_of, failure_of_trial, start_timed_out

pytestmark = pytest.mark.ray
QUICK = {"health_check_initial_delay_ms": 5000, "health_check_period_ms": 1000, "health_check_failure_threshold": 10}


class Worker:
    def __init__(self, fails: bool = False) -> None:
        if fails:
            raise ImportError("no such module")

    def pid(self) -> int:
        return os.getpid()

    def wait(self) -> None:
        time.sleep(120)

    def fail(self) -> None:
        raise OSError("a disk error")


@pytest.fixture(scope="module")
def cluster():
    """Return a head without processors and one node, which a test removes."""
    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
    )
    made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def text_of(reference) -> str:
    with pytest.raises(Exception) as caught:
        ray.get(reference)
    return str(caught.value)


def test_an_error_of_the_trial_is_an_error(cluster):
    assert failure_of(text_of(ray.remote(Worker).remote().fail.remote())) == "error"


def test_an_actor_that_cannot_be_made_is_an_error(cluster):
    assert failure_of(text_of(ray.remote(Worker).remote(fails=True).pid.remote())) == "error"


def test_a_process_that_is_killed_is_a_death(cluster):
    worker = ray.remote(Worker).remote()
    os.kill(ray.get(worker.pid.remote()), signal.SIGKILL)
    assert failure_of(text_of(worker.pid.remote())) == "death"


def test_a_node_that_dies_is_a_lost_machine(cluster):
    worker = ray.remote(Worker).remote()
    ray.get(worker.pid.remote())
    (node,) = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]
    waiting = worker.wait.remote()
    cluster.remove_node(node, allow_graceful=False)
    # On a busy machine Ray may notice the end of the worker's process before that of its node.
    assert failure_of(text_of(waiting)) in ("machine", "death")


def test_the_words_of_a_dead_node_are_those_of_a_lost_machine():
    text = (
        "The actor died unexpectedly before finishing this task.\nThe actor died because its node has died. Node Id: e5"
    )
    assert failure_of(text) == "machine"


def test_the_text_is_the_one_that_tune_kept_of_the_trial(tmp_path):
    (tmp_path / "error.txt").write_text("Failure # 1 (occurred at some time)\nThe actor died\n")
    trial = SimpleNamespace(error_file=str(tmp_path / "error.txt"))
    assert failure_of_trial(trial) == ("death", "The actor died\n")
    assert failure_of_trial(SimpleNamespace(error_file=None)) == ("error", "")


def test_a_start_that_takes_too_long_is_tried_once_more(cluster, monkeypatch):
    from ray._private import node, services

    ray.shutdown()
    seconds, found, said = iter([0.0, 100.0]), services.get_node, []

    def missing(*given):
        raise RuntimeError("the node is not registered")

    def timed_out(error):
        said.append(str(error))
        monkeypatch.setattr(services, "get_node", found)
        monkeypatch.undo()
        return start_timed_out(error)

    monkeypatch.setattr(services, "get_node", missing)
    monkeypatch.setattr(node, "time", SimpleNamespace(sleep=lambda s: None, monotonic=lambda: next(seconds)))
    monkeypatch.setattr(ray_start, "start_timed_out", timed_out)
    ray_start._init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR")
    assert ray.is_initialized()
    assert len(said) == 1
    ray.shutdown()
