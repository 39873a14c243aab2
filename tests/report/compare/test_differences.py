"""What changed between results folders and sweeps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from orchestrator.report.build import build_report
from orchestrator.report.compare.differences import compare, is_changed
from orchestrator.report.compare.sources import Source, open_sources
from orchestrator.report.compare.text import grids, sentences
from orchestrator.report.compare.write import comparison_tables, write_comparison
from orchestrator.report.frames.scope import select
from orchestrator.results.store import open_store
from orchestrator.results.sweep_records import SweepRecord

METHODS = ["original", "retrain", "scrub", "salun"]


def source(rows, name: str, **values) -> Source:
    record = SweepRecord(
        "s", "1", {"seeds": sorted({int(seed) for seed in rows["seed"]}), **values}, tuple(rows["trial_id"]), "1"
    )
    return Source(name, f"/results/{name}", build_report(select(rows, [record])))


@pytest.fixture(scope="module")
def before(make_rows):
    return make_rows(kinds=["sample"], methods=METHODS)


@pytest.fixture(scope="module")
def changed(before, make_rows):
    """SCRUB with another rate, five points worse on D_f, and a seed more."""
    after = make_rows(kinds=["sample"], methods=METHODS, seeds=range(6))
    scrub = after["method"] == "scrub"
    after.loc[scrub, "forget_accuracy"] -= 0.05
    after.loc[scrub, "settings"] = json.dumps({"learning_rate": 3e-4})
    after.loc[scrub, "trial_id"] += "-new"
    return compare([source(before, "a", epochs=5), source(after, "b", epochs=8)])


def test_a_difference_is_that_of_the_seeds_that_both_have(changed) -> None:
    scrub = next(one for one in changed.figures if (one.line, one.measure.title) == ("SCRUB", "D_f"))
    (difference,) = scrub.differences
    assert difference.found.n == 5
    assert (difference.found.mean, difference.found.low, difference.found.high) == pytest.approx((-5, -5, -5), abs=1e-6)
    assert difference.apart
    salun = next(one for one in changed.figures if (one.line, one.measure.title) == ("SalUn", "D_f"))
    assert salun.differences[0].found.mean == 0
    assert not is_changed(salun)


def test_settings_that_differ_are_listed_with_both_values(changed) -> None:
    found = {(one.where.rpartition(", ")[2], one.name): one.values for one in changed.settings}
    assert found == {
        ("SCRUB", "learning_rate"): ("0.0001", "0.0003"),
        ("sweep", "epochs"): ("5", "8"),
        ("sweep", "seeds"): ("[0, 1, 2, 3, 4]", "[0, 1, 2, 3, 4, 5]"),
    }


def test_trials_of_one_side_are_listed(changed) -> None:
    first, second = changed.only
    assert set(first["method"]) == {"scrub"}
    assert len(first) == 5
    assert len(second) == 6 + 3  # SCRUB's, and the others of the new seed
    assert changed.shared == 15


def test_three_sources_are_compared_with_the_first(before) -> None:
    found = compare([source(before, name) for name in "abc"])
    assert found.settings == ()
    assert all(not is_changed(figure) and len(figure.differences) == 2 for figure in found.figures)
    assert [grid.title for grid in grids(found)] == []
    assert sentences(found)[0] == "20 trials are in all of a, b, c; 0 only in a, 0 only in b, 0 only in c."


def test_the_terminal_and_the_page_say_the_same(changed, tmp_path) -> None:
    text = write_comparison(changed, tmp_path / "comparison.html").read_text()
    for sentence in sentences(changed):
        assert sentence in text
    titles = [
        str(table.title)
        for table in comparison_tables(changed)
        if hasattr(table, "title") and not isinstance(table, str)
    ]
    assert titles == ["Settings that differ", "Figures that differ", "Trials only in a", "Trials only in b"]
    assert "-5.0 [-5.0, -5.0], p = 0" in text


def test_folders_and_sweeps_are_opened_by_name(before, tmp_path) -> None:
    for name, rows in (("one", before), ("two", before[before["seed"] < 2])):
        store = open_store(tmp_path / name)
        for row in rows.replace({np.nan: None}).to_dict("records"):
            store.commit(row)
    found = open_sources([str(tmp_path / "one"), str(tmp_path / "two"), f"{tmp_path / 'one'}#made-up"])
    assert [source.name for source in found] == ["one", "two", "made-up"]
    assert [len(source.report.lines) for source in found] == [20, 8, 20]
    with pytest.raises(ValueError, match="No run belongs to the sweep 'nothing'"):
        open_sources([str(tmp_path / "one"), f"{tmp_path / 'two'}#nothing"])


def test_a_folder_may_have_the_mark_of_a_sweep_in_its_name(before, tmp_path) -> None:
    for name in ("a#1", "b"):
        store = open_store(tmp_path / name)
        for row in before.replace({np.nan: None}).to_dict("records"):
            store.commit(row)
    found = open_sources([str(tmp_path / "a#1"), f"{tmp_path / 'b'}/", f"{tmp_path / 'a#1'}#made-up"])
    assert [source.name for source in found] == ["a#1", "b", "made-up"]
    assert [len(source.report.lines) for source in found] == [20, 20, 20]


@pytest.mark.parametrize(
    ("given", "said"),
    [(["a"], "at least two"), (["a", "a"], "different folders"), (["a", "./a/"], "different folders")],
)
def test_a_comparison_with_nothing_is_refused(given, said) -> None:
    with pytest.raises(ValueError, match=said):
        open_sources(given)


def test_the_page_of_a_comparison_works_in_a_browser(changed, tmp_path, visit) -> None:
    from axe_playwright_python.sync_playwright import Axe

    seen = visit(write_comparison(changed, tmp_path / "comparison.html"))
    tables = seen.page.locator("table[data-name]")
    assert tables.count() == 4
    seen.page.locator("input[type=search]").nth(1).fill("scrub d_f")
    assert seen.page.locator("output").nth(1).inner_text().startswith("1 of")
    assert Axe().run(seen.page).violations_count == 0
    assert seen.errors == []
