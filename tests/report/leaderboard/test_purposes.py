"""Whether an attribute or a backdoor is gone: means next to Retrain's, and what is distinguishable from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report.evidence.test_groups import outputs
from report.leaderboard.test_page import cells_of

from orchestrator.report.charts.chart import Chart
from orchestrator.report.leaderboard.purposes import APART, PURPOSES, answers, purposes_pieces

METHODS = ["original", "retrain", "scrub", "bad_teacher"]
SUCCESS = {"original": 0.9, "retrain": 0.1, "scrub": 0.101, "bad_teacher": 0.6}
ATTACK = PURPOSES[1].measures[0]


def poisoned(make_rows, seeds=(0, 1, 2)) -> pd.DataFrame:
    """All of the poison known, and three in ten; attack success by method, with a little of it by seed."""
    made = make_rows(methods=METHODS, kinds=["mislabeled"], seeds=list(seeds))
    made = made.assign(unlearning="poisoned", num_classes=12, num_forget=40.0)
    noise = np.random.default_rng(0).normal(0, 0.01, len(made))
    made["attack_success"] = made["method"].map(SUCCESS) + np.where(made["method"] == "scrub", noise, noise / 10)
    some = made.assign(known_share=0.3, num_forget=12.0, attack_success=0.8 + noise)
    for name in ("trial_id", "parent_retrain"):
        some[name] += "-some"
    return pd.concat([made, some], ignore_index=True)


def pieces_of(cells, read=lambda _: None) -> list:
    return purposes_pieces(cells, read)


@pytest.fixture(scope="module")
def cells(make_rows):
    return cells_of(poisoned(make_rows))


def test_each_line_has_its_mean_in_each_cell(cells) -> None:
    found = {(one.cell, one.method): one for one in answers(cells, ATTACK)}
    assert {cell for cell, _ in found} == {"all known", "30 % known"}
    assert found["all known", "bad_teacher"].found.mean == pytest.approx(0.6, abs=0.01)
    assert found["all known", "bad_teacher"].found.n == 3


def test_what_differs_from_retrain_in_every_seed_is_marked_and_what_does_not_is_not(cells) -> None:
    apart = {one.method: one.apart for one in answers(cells, ATTACK) if one.cell == "all known"}
    assert apart == {"original": True, "retrain": False, "scrub": False, "bad_teacher": True}


def test_two_seeds_are_no_test(make_rows) -> None:
    assert not any(one.apart or one.tested for one in answers(cells_of(poisoned(make_rows, (0, 1))), ATTACK))


def test_a_table_begins_with_all_of_the_poison_and_is_italic_where_original_is_retrain(cells) -> None:
    pieces = pieces_of(cells)
    assert pieces[0] == "## Is the backdoor gone?"
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in pieces[5].splitlines()]
    assert table[0] == ["Method", "all known", "30 % known"]
    shown = {row[0]: row[1:] for row in table[2:]}
    assert shown["Bad-T"][0].endswith(APART)
    assert shown["SCRUB"][1].startswith("*80.")


def test_the_chart_has_a_panel_a_cell_and_measure(cells) -> None:
    (drawn,) = [piece for piece in pieces_of(cells) if isinstance(piece, Chart)]
    (records,) = drawn.datasets.values()
    panels = {(one["row"], one["column"]) for one in records}
    assert panels == {(c, m.title) for c in ("all known", "30 % known") for m in PURPOSES[1].measures[:2]}
    assert len(records) == 4 * len(METHODS)


def test_an_attribute_has_the_probe_and_its_own_recordings(make_rows) -> None:
    made = make_rows(methods=METHODS, kinds=["speaker"], seeds=[0, 1, 2])
    made = made.assign(unlearning="attribute", forget_rule="accent", num_classes=12, test_accuracy_attribute=0.5)
    pieces = pieces_of(cells_of(made))
    assert pieces[0] == "## Is the attribute gone?"
    assert "Accuracy on D_t with the attribute (%):" in pieces[3].replace("\\", "")


def test_groups_of_an_attribute_come_from_stored_outputs(make_rows) -> None:
    made = make_rows(methods=METHODS, kinds=["speaker"], seeds=[0, 1, 2])
    made = made.assign(unlearning="attribute", forget_rule="accent", num_classes=12, test_accuracy_attribute=0.5)
    pieces = pieces_of(cells_of(made.assign(forget_attribute="accent = a")), lambda _: outputs())
    assert any("### Accuracy by group: espeak" in piece for piece in pieces if isinstance(piece, str))
    assert any("a (forgotten) [4]" in piece for piece in pieces if isinstance(piece, str))


def test_other_requests_have_no_section(make_rows) -> None:
    assert pieces_of(cells_of(make_rows(methods=METHODS, seeds=[0]).assign(num_classes=12))) == []
