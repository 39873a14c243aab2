from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.run.scheduling.trial_graph import Board


@dataclass
class Node:
    """What the board reads of a spec."""

    trial_id: str
    parents: dict = field(default_factory=dict)
    study: dict | None = None
    training: dict = field(default_factory=dict)


def drain(board: Board, outcome=lambda node: "done") -> list[str]:
    ran = []
    while (node := board.take()) is not None:
        ran.append(node.trial_id)
        board.settle(node.trial_id, outcome(node))
    return ran


def chain() -> list[Node]:
    return [
        Node("original"),
        Node("retrain"),
        Node("a", {"o": "original", "r": "retrain"}),
        Node("b", {"o": "original"}),
    ]


def test_runs_in_plan_order_with_parents_first():
    board = Board(chain(), {}, {})
    assert drain(board) == ["original", "retrain", "a", "b"]
    assert board.over


def test_waits_for_what_still_runs():
    board = Board(chain(), {}, {})
    assert [board.take().trial_id, board.take().trial_id] == ["original", "retrain"]
    assert board.take() is None
    assert not board.over
    board.settle("original", "done")
    assert board.take().trial_id == "b"


def test_a_failure_blocks_its_descendants_and_nothing_else():
    board = Board(chain(), {}, {})
    ran = drain(board, lambda node: "diverged" if node.trial_id == "retrain" else "done")
    assert ran == ["original", "retrain", "b"]
    assert {b.trial_id: b.because_of for b in board.blocked.values()} == {"a": "retrain"}
    assert board.over


def test_finished_trials_never_run_again():
    board = Board(chain(), {"original": "done", "a": "failed"}, {})
    assert drain(board) == ["retrain", "b"]
    assert board.counts() == {"done": 3, "failed": 1}


def test_a_finished_failure_still_blocks():
    board = Board(chain(), {"original": "failed"}, {})
    assert drain(board) == ["retrain"]
    assert set(board.blocked) == {"a", "b"}


def test_a_search_runs_one_by_one_and_its_original_waits_for_all_whatever_became_of_them():
    studies = {"s": ["s0", "s1", "s2"]}
    nodes = [Node(f"s{n}", study={"id": "s", "trial": n}) for n in range(3)]
    nodes.append(Node("original", training={"study": "s"}))
    board = Board(nodes, {}, studies)
    assert board.take().trial_id == "s0"
    assert board.take() is None
    board.settle("s0", "diverged")
    assert drain(board) == ["s1", "s2", "original"]


def test_blocking_reaches_grandchildren():
    nodes = [Node("a"), Node("b", {"p": "a"}), Node("c", {"p": "b"}), Node("d")]
    board = Board(nodes, {}, {})
    assert drain(board, lambda node: "failed" if node.trial_id == "a" else "done") == ["a", "d"]
    assert set(board.blocked) == {"b", "c"}


def test_what_is_put_back_comes_again_in_its_old_place():
    board = Board(chain(), {}, {})
    assert [board.take().trial_id, board.take().trial_id] == ["original", "retrain"]
    board.put_back("original")
    assert not board.over
    assert drain(board) == ["original", "b"]
    board.settle("retrain", "done")
    assert drain(board) == ["a"]
    assert board.over


def test_a_lost_parent_runs_again_before_what_needs_it():
    board = Board(chain(), {"original": "done", "retrain": "done"}, {})
    assert board.take().trial_id == "a"
    assert board.reopen("original")
    board.put_back("a")
    assert not board.reopen("original")  # it waits already
    assert drain(board) == ["original", "a", "b"]
    assert board.over
    assert board.counts() == {"done": 4}


def test_a_lost_parent_that_fails_the_second_time_blocks_its_children():
    board = Board(chain(), {"original": "done", "retrain": "done"}, {})
    board.take()
    board.reopen("original")
    board.put_back("a")
    assert drain(board, lambda node: "failed") == ["original"]
    assert set(board.blocked) == {"a", "b"}
    assert board.over
