"""What plots draw, read back from their artists."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.plots.search import searches
from orchestrator.report.plots.style import marks
from orchestrator.report.plots.task import by_ratio, gap_bars, trade_off
from orchestrator.report.tables.model import build_tables


def tables(rows):
    return build_tables(reported(with_gaps(prepare(rows)))[0])


def drawn_texts(figure) -> list:
    """Texts of a figure that say something, after layout."""
    figure.draw_without_rendering()
    found = [t for ax in figure.axes for t in [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_yticklabels()]]
    found += [t for legend in figure.legends for t in legend.get_texts()]
    return [t for t in found if t.get_text() and t.get_visible()]


def test_retrain_is_where_the_dashed_lines_cross(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["sample"]))
    (ax,) = trade_off(table).axes
    target = next(line for line in table.blocks[0].lines if line.method == "retrain")
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed[0].get_xdata()[0] == pytest.approx(100 * target.summaries["forget_accuracy"].mean)
    assert dashed[1].get_ydata()[0] == pytest.approx(100 * target.summaries["test_accuracy"].mean)


def test_every_method_has_a_bar_of_the_length_of_its_gap(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["sample"], superloss=["scrub"]))
    (ax,) = gap_bars(table).axes
    lines = [line for line in table.blocks[0].lines if line.method not in ("original", "retrain")]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([ln.summaries["gap_mean"].mean for ln in lines])
    assert [label.get_text() for label in ax.get_yticklabels()] == [line.label for line in lines]


def test_a_method_without_a_gap_says_why(make_rows, change) -> None:
    (table,) = tables(change(make_rows(kinds=["sample"]), {"method": "scrub"}, status="diverged"))
    (ax,) = gap_bars(table).axes
    assert any("5 diverged" in text.get_text() for text in ax.texts)


def test_curves_over_ratios_pass_through_the_means(make_rows) -> None:
    table = tables(make_rows(kinds=["sample"], ratios=[0.01, 0.05, 0.1]))[-1]
    (ax,) = by_ratio(table).axes
    curve = next(c for c in ax.containers if c.get_label() == "SCRUB")
    means = [
        next(ln for ln in block.lines if ln.method == "scrub").summaries["forget_accuracy"].mean
        for block in table.blocks
    ]
    assert curve.lines[0].get_ydata() == pytest.approx(100 * np.array(means))
    assert curve.lines[0].get_xdata() == pytest.approx([1, 5, 10], abs=0.5)  # moved aside a little


def test_every_line_has_a_mark_of_its_own(make_rows) -> None:
    (table,) = tables(make_rows(kinds=["sample"], superloss=["scrub", "salun", "random_label"]))
    found = marks(list(table.blocks[0].lines))
    assert len(set(found.values())) == len(table.blocks[0].lines)


def test_the_best_so_far_never_rises_and_lost_trials_are_crosses(make_search_rows) -> None:
    (figure,) = searches(prepare(make_search_rows(trials=10))).values()
    for ax in figure.axes:
        best = next(line for line in ax.lines if line.get_label() == "best so far").get_ydata()
        lost = next(line for line in ax.lines if line.get_label() == "diverged or failed")
        assert (np.diff(best) <= 0).all()
        assert lost.get_xdata().tolist() == [4, 9]


def test_no_search_no_plot(make_rows) -> None:
    assert searches(prepare(make_rows())) == {}


@pytest.mark.parametrize("draw", [trade_off, gap_bars])
@pytest.mark.parametrize("kinds", [["sample"], ["sample", "class"], ["sample", "class", "speaker", "mislabeled"]])
def test_no_text_overlaps_another_or_leaves_the_figure(make_rows, draw, kinds) -> None:
    rows = make_rows(
        kinds=kinds, superloss=["grad_ascent", "random_label", "bad_teacher", "scrub", "salun"], seeds=[0, 1, 2]
    )
    figure = draw(tables(rows)[0])
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    for place, (name, box) in enumerate(boxes):
        assert box.x0 >= -1, name
        assert box.y0 >= -1, name
        assert box.x1 <= figure.bbox.x1 + 1, name
        assert box.y1 <= figure.bbox.y1 + 1, name
        for other, another in boxes[place + 1 :]:
            assert not box.padded(-1).overlaps(another.padded(-1)), (name, other)


def test_drawing_leaves_the_users_own_style_alone(make_rows) -> None:
    before = dict(mpl.rcParams)
    gap_bars(tables(make_rows(kinds=["sample"]))[0])
    assert dict(mpl.rcParams) == before
