"""The page counts all search trials of a line, in one search or several, and says if lines had different numbers."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from report.leaderboard.test_page import evidence_of

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.page import leaderboard_cells
from orchestrator.report.leaderboard.search_effort import effort_sentence, search_efforts

METHODS = ["original", "retrain", "bad_teacher", "scrub"]


def tuning(task="keywords", kind="sample", method="scrub", trials=4, study="s", settings=None, **more):
    recipe = json.dumps({"method": {"settings": settings or {}}})
    same = {"task": task, "unlearning": kind, "method": method, "study_id": study, "recipe": recipe, "stage": "tune"}
    return pd.DataFrame([{**same, "forget_rule": "random", "seed": 1000, "tuning": True, **more}] * trials)


@pytest.fixture(scope="module")
def rows(make_rows):
    return make_rows(task="keywords", methods=METHODS, superloss=["scrub"], kinds=["sample", "class"], seeds=[0, 1])


def efforts_of(rows, *searches):
    whole = prepare(pd.concat([rows, *searches], ignore_index=True))
    found = search_efforts(whole, leaderboard_cells(evidence_of(reported(with_gaps(whole))[0])))
    return {effort.label: effort.text for effort in found.values()}, effort_sentence(found)


def of_all(trials, **changes):
    loss = '{"strength":1.0}'
    lines = [{"method": "scrub"}, {"method": "scrub", "superloss": loss}, {"method": "bad_teacher"}]
    return [tuning(kind=kind, trials=trials, **line, **changes) for kind in ("sample", "class") for line in lines]


def test_equal_searches_are_said_to_be_equal(rows):
    counts, said = efforts_of(rows, *of_all(4))
    assert counts == {"SCRUB": "4", "SCRUB + SuperLoss": "4", "Bad-T": "4"}
    assert said.startswith("Search trials of a line in a cell: 4 for every line.")


def test_a_second_search_of_a_line_counts_and_is_named(rows):
    counts, said = efforts_of(rows, *of_all(4), tuning(study="again"), tuning(kind="class", study="again", trials=2))
    assert counts["SCRUB"] == "6–8"
    assert "4, but not equal for all: SCRUB 6–8" in said


def test_a_line_without_a_search_is_named(rows):
    counts, said = efforts_of(rows, *[one for one in of_all(4) if one["method"].iloc[0] == "scrub"])
    assert counts["Bad-T"] == "–"
    assert "not searched: Bad-T" in said


def test_variants_of_a_method_count_their_own_searches(rows):
    own = [
        rows[rows["method"] == "bad_teacher"].assign(
            settings=json.dumps({"epochs": epochs}), trial_id=lambda r, e=epochs: r["trial_id"] + f"-{e}"
        )
        for epochs in (1, 2)
    ]
    others = rows[rows["method"] != "bad_teacher"]
    searches = [
        tuning(kind=kind, method="bad_teacher", trials=n, settings={"epochs": n})
        for kind in ("sample", "class")
        for n in (1, 2)
    ]
    counts, _ = efforts_of(pd.concat([others, *own], ignore_index=True), *searches)
    assert (counts["Bad-T (epochs 1)"], counts["Bad-T (epochs 2)"]) == ("1", "2")


@pytest.mark.parametrize(("searched", "counts"), [((0.1, 1.0), ("2", "3")), ((0.5,), ("2", "2"))])
def test_a_budget_counts_its_own_searches_and_those_at_another_if_it_has_none(rows, searched, counts):
    made = [rows[rows["method"].isin(["original", "retrain"])]]
    for fraction in (0.1, 1.0):
        own = rows[(rows["method"] == "scrub") & (rows["superloss"] == "")]
        made.append(own.assign(budget_fraction=fraction, trial_id=own["trial_id"] + str(fraction)))
    searches = [
        tuning(kind=kind, trials=2 + place).assign(
            recipe=json.dumps({"method": {}, "budget": {"fraction": fraction, "unit": "samples"}})
        )
        for kind in ("sample", "class")
        for place, fraction in enumerate(searched)
    ]
    found, _ = efforts_of(pd.concat(made, ignore_index=True), *searches)
    assert tuple(found[f"SCRUB (budget {fraction} × samples)"] for fraction in ("0.1", "1")) == counts


def test_without_searches_there_is_nothing_to_say(rows):
    assert efforts_of(rows) == ({}, "")
