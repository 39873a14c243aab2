"""A report has the sections that its rows need, with their charts as files and on its page."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from report.evidence.test_recognition import canaries
from report.frames.test_recognition import of_recognizers
from report.leaderboard.test_budgets import at_budgets
from report.leaderboard.test_variants import with_variants

from orchestrator.report.build import folder_report
from orchestrator.report.leaderboard.in_report import report_sections
from orchestrator.report.write import write_report
from orchestrator.results.store import open_store


@pytest.fixture(scope="module")
def rows(make_rows):
    return make_rows(methods=["original", "retrain", "scrub", "salun"], kinds=["sample"], seeds=[0, 1, 2])


def stored(rows, folder):
    store = open_store(folder)
    for name in ("trial_id", "parent_retrain"):
        rows = rows.assign(**{name: rows[name].str.replace(".", "_", regex=False)})
    for row in rows.replace({np.nan: None}).to_dict("records"):
        store.commit(row)
    return store


def test_the_report_has_variants_and_budgets_and_their_pictures(rows, tmp_path) -> None:
    stored(at_budgets(with_variants(rows), [0.2, 1.0]).assign(num_classes=12.0), tmp_path)
    files = {path.relative_to(tmp_path / "report").as_posix() for path in write_report(tmp_path)}
    assert {"plots/budgets--samples.svg", "plots/budgets--samples.pdf"} <= files
    text, page = ((tmp_path / "report" / name).read_text() for name in ("report.md", "report.html"))
    for heading in ("## Variants of SCRUB", "## Gap by budget, in samples"):
        assert heading in text
    assert '<section id="variants">' in page
    assert '<section id="budgets">' in page


def test_a_plain_sweep_has_none_of_them(rows, tmp_path) -> None:
    assert report_sections(folder_report(stored(rows, tmp_path))) == {}


def test_a_report_of_recognizers_has_canaries_in_its_text_and_a_chart_on_its_page(make_rows, tmp_path) -> None:
    made = make_rows(methods=["original", "retrain", "scrub"], kinds=["sample"], seeds=[0, 1])
    store = stored(of_recognizers(made).assign(num_classes=np.nan), tmp_path)
    for trial_id in store.rows()["trial_id"]:
        tests = canaries(8.0 if "original" in trial_id else 1.4).assign(forgotten=None, epoch=None, seconds=1.0)
        store.write_table(store.tests.path(trial_id), pa.Table.from_pandas(tests, preserve_index=False))
    write_report(tmp_path)
    text, page = ((tmp_path / "report" / name).read_text() for name in ("report.md", "report.html"))
    assert "## Recognizers: canaries and groups" in text
    assert "D_f WER" in text
    assert "Exposure of canaries, secret masked" in page
    assert "D_t WER" in page
    assert "classif" not in text
