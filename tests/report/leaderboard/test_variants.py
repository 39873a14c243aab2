"""Variants are compared with the line whose settings they have and more, paired by seed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from report.leaderboard.test_budgets import at_budgets, cells_of

from orchestrator.evidence.paired import holm
from orchestrator.report.charts.chart import Chart
from orchestrator.report.leaderboard.variants import compared_variants, variants_pieces

METHODS = ["original", "retrain", "scrub", "salun"]
SHIFTS = {"hard": 0.05, "random": 0.02}  # of D_f, away from Retrain


def with_variants(rows: pd.DataFrame, shifts: dict = SHIFTS) -> pd.DataFrame:
    made = [rows]
    own = rows[rows["method"] == "scrub"]
    for place, (rule, shift) in enumerate(shifts.items()):
        settings = json.dumps({"learning_rate": 1e-4, "target_rule": rule})
        noise = np.random.default_rng(place).normal(0, 0.002, len(own))
        accuracy = own["forget_accuracy"] + shift + noise
        made.append(own.assign(settings=settings, forget_accuracy=accuracy, trial_id=own["trial_id"] + rule))
    return pd.concat(made, ignore_index=True)


@pytest.fixture(scope="module")
def rows(make_rows):
    level = make_rows(methods=METHODS, seeds=[0, 1, 2, 3], noise=0.001).assign(num_classes=12)
    at_retrain = level["method"].isin(["scrub", "retrain"])  # so that a shift of D_f is a gap
    return level.assign(forget_accuracy=level["forget_accuracy"].where(~at_retrain, 0.5))


def test_each_variant_has_the_mean_over_cells_and_each_cell_paired_by_seed(rows) -> None:
    cells = cells_of(with_variants(rows))
    found = compared_variants(cells)
    assert {one.name for one in found} == {"target_rule hard", "target_rule random"}
    assert [sum(one.cell is None for one in found), len(found)] == [2, 2 * (1 + len(cells))]
    mean = next(one for one in found if one.name == "target_rule hard" and one.cell is None)
    per_cell = [one.difference.mean for one in found if one.name == "target_rule hard" and one.cell]
    assert mean.difference.mean == pytest.approx(np.mean(per_cell))
    assert (mean.difference.n, mean.cells) == (4, 2)
    gaps = {cell.block.kind: cell.gap(mean.variant.variant) - cell.gap(mean.default.variant) for cell in cells}
    assert sorted(per_cell) == pytest.approx(sorted(gaps.values()))
    assert mean.difference.low > 0  # farther from Retrain in every seed


def test_holm_counts_the_means_of_a_method_and_its_cells_apart(rows) -> None:
    found = compared_variants(cells_of(with_variants(rows)))
    for is_mean in (True, False):
        family = [one for one in found if (one.cell is None) == is_mean]
        assert [one.adjusted for one in family] == holm([one.difference.p for one in family])


def test_a_variant_is_compared_under_its_own_budget_and_a_budget_is_no_variant(rows) -> None:
    found = compared_variants(cells_of(at_budgets(with_variants(rows), [0.2, 1.0])))
    assert len({one.default.variant for one in found}) == 2
    for one in found:
        budget = one.default.label.split("budget ")[1].split(" ×")[0]
        assert f"budget {budget} ×" in one.variant.label


def test_a_line_in_other_cells_is_no_default(make_rows, rows) -> None:
    other = make_rows(task="other", methods=METHODS, seeds=[0, 1, 2, 3]).assign(num_classes=12)
    several = at_budgets(with_variants(rows), [0.2, 1.0])
    found = compared_variants(cells_of(pd.concat([several, other], ignore_index=True)))
    assert {one.default.label for one in found} == {f"SCRUB (budget {b} × samples)" for b in ("0.2", "1")}
    assert {one.cells for one in found if one.cell is None} == {2}


def test_a_variant_names_what_else_differs_from_a_default_that_was_tuned(rows) -> None:
    own = rows["method"] == "scrub"
    tuned = rows.assign(tuned_settings=rows["tuned_settings"].mask(own, json.dumps(["learning_rate"])))
    given = with_variants(rows, {"hard": 0.05})
    variant = given[~given["trial_id"].isin(rows["trial_id"])]
    found = compared_variants(cells_of(pd.concat([tuned, variant], ignore_index=True)))
    assert {one.name for one in found} == {"learning_rate 0.0001, target_rule hard"}
    assert {one.default.label for one in found} == {"SCRUB (learning_rate tuned)"}


def test_settings_of_which_no_line_has_fewer_make_no_variant(rows) -> None:
    two = rows[rows["method"] == "scrub"]
    epochs = [two.assign(settings=json.dumps({"epochs": n}), trial_id=two["trial_id"] + str(n)) for n in (3, 5)]
    rest = rows[rows["method"] != "scrub"]
    assert compared_variants(cells_of(pd.concat([rest, *epochs], ignore_index=True))) == []
    assert variants_pieces(cells_of(rows)) == []


def test_the_table_marks_the_smallest_gap_and_what_cannot_be_seen_and_the_chart_has_a_row_a_variant(rows) -> None:
    same = rows["unlearning"].eq("class") & rows["method"].eq("original")  # nothing to forget there
    pieces = variants_pieces(
        cells_of(with_variants(rows.assign(forget_accuracy=rows["forget_accuracy"].mask(same, 0.5))))
    )
    assert pieces[0] == "## Variants of SCRUB"
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in pieces[2].splitlines()]
    assert table[0] == ["Variant", "Cell", "Gap", "Default's gap", "Difference", "p (Holm)", "n"]
    for row in table[2:]:
        if row[1].endswith(": class"):
            assert row[2].startswith("*")
            assert not row[2].startswith("**")
        else:
            assert row[3].startswith("**")
            assert not row[2].startswith("**")
    (drawn,) = (piece for piece in pieces if isinstance(piece, Chart))
    (records,) = drawn.datasets.values()
    assert [record["line"] for record in records] == ["target_rule hard", "target_rule random"]
    assert "<svg" in drawn.svg
