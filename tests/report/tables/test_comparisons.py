"""Which methods are statistically distinguishable from the closest, and which difference could have been seen."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.comparisons import apart_sentence, comparisons
from orchestrator.report.tables.model import build_tables


def block_of(rows):
    return build_tables(reported(with_gaps(prepare(rows)))[0])[0].blocks[0]


def test_every_other_method_is_compared_with_the_closest_and_corrected_together(make_rows) -> None:
    block = block_of(make_rows(kinds=["sample"]))
    found = comparisons(block)
    best = next(line for line in block.lines if line.best)
    assert {one.line.label for one in found} == {"GradAscent", "RandLabel", "Bad-T", "SCRUB", "SalUn"} - {best.label}
    raw = [one.found.p for one in found]
    assert min(one.adjusted for one in found) == pytest.approx(len(found) * min(raw))
    assert all(one.adjusted >= one.found.p for one in found)


def test_differences_are_those_of_the_same_seeds(make_rows) -> None:
    block = block_of(make_rows(kinds=["sample"]))
    for one in comparisons(block):
        mine, theirs = (
            block.rows[block.rows["variant"] == line.variant].set_index("seed")["gap_mean"]
            for line in (one.line, one.best)
        )
        assert one.found.mean == pytest.approx((mine - theirs).mean())
        assert one.found.n == 5


def test_the_sentence_names_test_correction_effect_and_power(make_rows) -> None:
    rows = make_rows(kinds=["sample"], methods=["retrain", "grad_ascent", "scrub", "salun"], noise=0.0)
    wobble = np.array([0.01, -0.01, 0.012, -0.012, 0.001])
    for part in ("forget", "retain", "test"):
        rows.loc[rows["method"] == "scrub", f"{part}_accuracy"] = 0.8
        rows.loc[rows["method"] == "salun", f"{part}_accuracy"] = 0.799 + wobble
    said = apart_sentence(block_of(rows))
    assert "(paired by seed, paired t, Holm over 2 methods): SalUn (+" in said
    assert "With 5 seeds, a difference under " in said
    assert said.endswith("points could not have been seen (power 80 %).")
    assert "GradAscent" not in said  # which is far away


def test_with_two_seeds_nothing_is_tested(make_rows) -> None:
    block = block_of(make_rows(kinds=["sample"], seeds=[0, 1]))
    assert apart_sentence(block) == "With fewer than 3 seeds no difference between methods is tested."
    assert not any(one.apart for one in comparisons(block))


def test_from_ten_seeds_on_it_is_a_bootstrap(make_rows) -> None:
    block = block_of(
        make_rows(kinds=["sample"], seeds=range(10), methods=["original", "retrain", "scrub", "bad_teacher"])
    )
    assert [one.found.test for one in comparisons(block)] == ["bootstrap"]
    assert comparisons(block)[0].apart


def test_without_a_closest_method_there_is_nothing_to_compare(make_rows) -> None:
    assert comparisons(block_of(make_rows(kinds=["sample"], methods=["original", "scrub", "salun"]))) == []
    assert apart_sentence(block_of(make_rows(kinds=["sample"], methods=["retrain", "scrub"]))) == ""
