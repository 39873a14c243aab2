"""A trial's log has what it ran with, what it measured as it went, and how it ended."""

from __future__ import annotations

from orchestrator.report.html.log import MOST_POINTS, log_lines, progress_lines
from orchestrator.results.curves import read_curves
from orchestrator.results.store import open_store


def test_a_log_tells_start_each_point_and_end_in_order(finished_small) -> None:
    store = open_store(finished_small / "r")
    row = store.rows().set_index("method", drop=False).loc["scrub"].to_dict()
    curve = read_curves(store, [row["trial_id"]])
    lines = log_lines(row, progress_lines(curve)[row["trial_id"]])
    assert lines[0] == f"{row['started_at']} started"
    assert lines[-1].startswith(f"{row['finished_at']} ended: done")
    points = [line for line in lines if " s  " in line]
    assert len(points) == len(curve)
    assert "epoch 1" in points[1]
    assert f"D_f {100 * curve['forget_accuracy'].iloc[-1]:.1f} %" in points[-1]


def test_a_long_curve_is_cut_in_the_middle(finished_small) -> None:
    row = open_store(finished_small / "r").rows().iloc[0].to_dict()
    lines = log_lines(row, [f"{n} s" for n in range(100)])
    shown = [line for line in lines if line.endswith(" s")]
    assert len(shown) == MOST_POINTS
    assert "… 80 more points are in curves/ …" in lines
    assert [shown[0], shown[-1]] == ["0 s", "99 s"]
