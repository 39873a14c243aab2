from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.run.scheduling.trial_graph import TrialGraph


@dataclass
class Node:
    """What the board reads of a spec."""

    trial_id: str
    parents: dict = field(default_factory=dict)
    study: dict | None = None
    training: dict = field(default_factory=dict)


def drain(graph: TrialGraph, outcome=lambda node: "done") -> list[str]:
    ran = []
    while (node := graph.start_next()) is not None:
        ran.append(node.trial_id)
        graph.end(node.trial_id, outcome(node))
    return ran


def chain() -> list[Node]:
    return [
        Node("original"),
        Node("retrain"),
        Node("a", {"o": "original", "r": "retrain"}),
        Node("b", {"o": "original"}),
    ]


def test_runs_in_plan_order_with_parents_first():
    graph = TrialGraph(chain(), {}, {})
    assert drain(graph) == ["original", "retrain", "a", "b"]
    assert graph.over


def test_waits_for_what_still_runs():
    graph = TrialGraph(chain(), {}, {})
    assert [graph.start_next().trial_id, graph.start_next().trial_id] == ["original", "retrain"]
    assert graph.start_next() is None
    assert not graph.over
    graph.end("original", "done")
    assert graph.start_next().trial_id == "b"


def test_a_failure_blocks_its_descendants_and_nothing_else():
    graph = TrialGraph(chain(), {}, {})
    ran = drain(graph, lambda node: "diverged" if node.trial_id == "retrain" else "done")
    assert ran == ["original", "retrain", "b"]
    assert {b.trial_id: b.because_of for b in graph.blocked.values()} == {"a": "retrain"}
    assert graph.over


def test_finished_trials_never_run_again():
    graph = TrialGraph(chain(), {"original": "done", "a": "failed"}, {})
    assert drain(graph) == ["retrain", "b"]
    assert graph.counts() == {"done": 3, "failed": 1}


def test_a_finished_failure_still_blocks():
    graph = TrialGraph(chain(), {"original": "failed"}, {})
    assert drain(graph) == ["retrain"]
    assert set(graph.blocked) == {"a", "b"}


def test_a_search_runs_one_by_one_and_its_original_waits_for_all_whatever_became_of_them():
    studies = {"s": ["s0", "s1", "s2"]}
    nodes = [Node(f"s{n}", study={"id": "s", "trial": n}) for n in range(3)]
    nodes.append(Node("original", training={"study": "s"}))
    graph = TrialGraph(nodes, {}, studies)
    assert graph.start_next().trial_id == "s0"
    assert graph.start_next() is None
    graph.end("s0", "diverged")
    assert drain(graph) == ["s1", "s2", "original"]


def test_blocking_reaches_grandchildren():
    nodes = [Node("a"), Node("b", {"p": "a"}), Node("c", {"p": "b"}), Node("d")]
    graph = TrialGraph(nodes, {}, {})
    assert drain(graph, lambda node: "failed" if node.trial_id == "a" else "done") == ["a", "d"]
    assert set(graph.blocked) == {"b", "c"}


def test_what_is_put_back_comes_again_in_its_old_place():
    graph = TrialGraph(chain(), {}, {})
    assert [graph.start_next().trial_id, graph.start_next().trial_id] == ["original", "retrain"]
    graph.put_back("original")
    assert not graph.over
    assert drain(graph) == ["original", "b"]
    graph.end("retrain", "done")
    assert drain(graph) == ["a"]
    assert graph.over


def test_a_lost_parent_runs_again_before_what_needs_it():
    graph = TrialGraph(chain(), {"original": "done", "retrain": "done"}, {})
    assert graph.start_next().trial_id == "a"
    assert graph.reopen("original")
    graph.put_back("a")
    assert not graph.reopen("original")  # it waits already
    assert drain(graph) == ["original", "a", "b"]
    assert graph.over
    assert graph.counts() == {"done": 4}


def test_a_lost_parent_that_fails_the_second_time_blocks_its_children():
    graph = TrialGraph(chain(), {"original": "done", "retrain": "done"}, {})
    graph.start_next()
    graph.reopen("original")
    graph.put_back("a")
    assert drain(graph, lambda node: "failed") == ["original"]
    assert set(graph.blocked) == {"a", "b"}
    assert graph.over
