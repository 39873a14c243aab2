"""Means, intervals, and what they refuse to hide."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from orchestrator.report.frames.summary import BlockMeans, summarize


def block(values: dict[tuple[str, str, int, float], float | None]) -> pd.DataFrame:
    """(line, backbone, seed, ratio) -> value; None for a run that diverged."""
    rows = [
        {"variant": line, "backbone": backbone, "seed": seed, "requested_forget_ratio": ratio, "m": value}
        for (line, backbone, seed, ratio), value in values.items()
    ]
    return pd.DataFrame(rows).assign(status=["diverged" if v is None else "done" for v in values.values()])


def test_interval_is_the_t_interval_of_the_textbook() -> None:
    found = summarize([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776 * math.sqrt(2.5) / math.sqrt(5)  # t(0.975, 4) and the sample variance of 1..5
    assert (found.mean, found.n, found.spread) == (3.0, 5, "95% t-interval")
    assert found.high - found.mean == pytest.approx(half, abs=2e-3)
    assert found.mean - found.low == pytest.approx(half, abs=2e-3)


def test_two_values_give_their_range_and_one_gives_none() -> None:
    two, one, none = summarize([4.0, 2.0]), summarize([7.0]), summarize([])
    assert (two.mean, two.low, two.high, two.spread) == (3.0, 2.0, 4.0, "range")
    assert (one.mean, one.n, one.spread) == (7.0, 1, "none")
    assert none.n == 0
    assert math.isnan(one.low)
    assert math.isnan(none.mean)


def test_absent_values_lower_n() -> None:
    assert summarize([1.0, float("nan"), 3.0]).n == 2


def test_seeds_are_averaged_within_a_backbone_before_backbones() -> None:
    # One backbone has three seeds and the other one: a mean over runs would give 2.5.
    rows = block({("x", "a", s, 0.1): 0.0 for s in range(3)} | {("x", "b", 0, 0.1): 10.0})
    means = BlockMeans.of(rows, ["m"])
    assert means.units("x", "backbones")["m"].tolist() == [0.0, 10.0]
    assert summarize(means.units("x", "backbones")["m"]).mean == 5.0
    assert means.coverage("x").seeds_text == "1–3/1–3"


def test_a_seed_counts_only_when_all_its_forget_sets_are_done() -> None:
    rows = block(
        {("x", "a", 0, 0.01): 1.0, ("x", "a", 0, 0.1): 3.0, ("x", "a", 1, 0.01): 1.0, ("x", "a", 1, 0.1): None}
    )
    means = BlockMeans.of(rows, ["m"])
    assert means.units("x", "seeds")["m"].to_dict() == {("a", 0): 2.0}
    assert means.coverage("x").seeds_text == "1/2"
    assert not means.coverage("x").complete


def test_a_missing_run_is_seen_by_what_other_lines_have() -> None:
    rows = block({("x", "a", s, 0.1): 1.0 for s in range(3)} | {("y", "a", s, 0.1): 1.0 for s in range(2)})
    means = BlockMeans.of(rows, ["m"])
    assert means.coverage("x").complete
    assert means.coverage("y").seeds_text == "2/3"


def test_planned_seeds_count_though_no_line_has_them() -> None:
    rows = block({("x", "a", s, 0.1): 1.0 for s in range(3)})
    assert BlockMeans.of(rows, ["m"], planned_seeds=range(5)).coverage("x").seeds_text == "3/5"


def test_a_line_without_a_backbone_says_so() -> None:
    rows = block({("x", "a", 0, 0.1): 1.0, ("x", "b", 0, 0.1): 1.0, ("y", "a", 0, 0.1): 1.0, ("y", "b", 0, 0.1): None})
    coverage = BlockMeans.of(rows, ["m"]).coverage("y")
    assert (coverage.backbones_text, coverage.seeds_text) == ("1/2", "0–1/1")


def test_a_measure_absent_in_one_forget_set_is_absent_for_its_seed() -> None:
    rows = block({("x", "a", 0, 0.01): 1.0, ("x", "a", 0, 0.1): float("nan")})
    found = BlockMeans.of(rows, ["m"]).units("x", "seeds")["m"]
    assert found.isna().tolist() == [True]


def test_errors_of_several_forget_sets_are_summed_before_they_are_divided_by_all_words() -> None:
    sets = [(0.01, 0.5, 10.0), (0.1, 0.1, 90.0)]
    rows = pd.DataFrame(
        [
            {"requested_forget_ratio": ratio, "forget_wer": wer, "forget_words": words, "forget_accuracy": 1 - wer,
             "wer_of_kept": wer, "wer_of_kept_words": words}
            for ratio, wer, words in sets
        ]
    ).assign(variant="x", backbone="a", seed=0, status="done", task_kind="transcripts")  # fmt: skip
    names = ["forget_wer", "forget_accuracy", "wer_of_kept"]
    found = BlockMeans.of(rows, names).units("x", "seeds").iloc[0]
    assert found.to_dict() == pytest.approx({"forget_wer": 0.14, "forget_accuracy": 0.86, "wer_of_kept": 0.14})
    assert BlockMeans.of(rows.assign(task_kind="keywords"), names).units("x", "seeds")["forget_accuracy"].item() == 0.7
    nothing = rows.assign(forget_words=0.0, forget_wer=float("nan"))
    assert BlockMeans.of(nothing, names).units("x", "seeds")["forget_wer"].isna().all()


def test_a_line_whose_every_run_failed_has_no_units() -> None:
    rows = block({("x", "a", 0, 0.1): None, ("y", "a", 0, 0.1): 1.0})
    means = BlockMeans.of(rows, ["m"])
    assert means.units("x", "backbones").empty
    assert means.coverage("x").seeds_text == "0/1"
