"""Tables of recognizers show error rates, those of classifiers accuracies, and neither says a word of the other."""

from __future__ import annotations

import pytest
from report.frames.test_recognition import of_recognizers

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.html.trials import _figures
from orchestrator.report.tables.columns import ACCURACY, SHOWN, TIDY, WORD_ERRORS, quality_of
from orchestrator.report.tables.csv import tidy
from orchestrator.report.tables.latex import table_latex
from orchestrator.report.tables.markdown import table_markdown
from orchestrator.report.tables.model import build_tables
from orchestrator.report.tables.significance import verdict, within_seeds
from orchestrator.report.tables.terminal import terminal_tables

METHODS = ["original", "retrain", "scrub", "salun"]


@pytest.fixture(scope="module")
def both(make_rows):
    rows = make_rows(kinds=["sample"], methods=METHODS, seeds=[0, 1, 2])
    return [build_tables(reported(with_gaps(prepare(made)))[0])[0] for made in (rows, of_recognizers(rows))]


def test_a_recognizers_table_has_error_rates_and_the_gap_of_them(both) -> None:
    classes, texts = both
    titles = [measure.title for measure in texts.columns]
    assert titles[:4] == ["D_t WER", "D_f WER", "D_r WER", "D_v WER"]
    assert titles[-1] == "Gap"
    assert "D_f empty or looping" in titles
    assert not {"D_t", "D_f", "D_r"} & set(titles)
    gaps = [[line.gap for line in table.blocks[0].lines if line.method == "scrub"] for table in both]
    assert gaps[0] == pytest.approx(gaps[1])
    assert quality_of(texts.rows) is WORD_ERRORS
    assert quality_of(classes.rows) is ACCURACY


def test_its_texts_speak_of_word_errors(both) -> None:
    said = table_markdown(both[1])
    assert "Error rates in %, gap in points of WER" in said
    assert "Retrain − Original on D_f, WER: " in said
    assert "there is something to forget" in said
    assert "no output at all has a WER of 100 %" in said
    assert "classif" not in said
    assert r"$D_t$ WER" in table_latex(both[1])


def test_the_terminal_has_word_error_rates_and_leaves_out_what_is_too_wide(both) -> None:
    grid = next(shown for shown in terminal_tables(both[1:]) if not isinstance(shown, str))
    titles = [str(column.header) for column in grid.columns]
    assert titles[:3] == ["Method", "D_t\nWER", "D_f\nWER"]
    assert not [title for title in titles if "CER" in title or "looping" in title]


def test_a_classifiers_table_is_without_a_word_of_recognizers(both) -> None:
    said = table_markdown(both[0]) + table_latex(both[0])
    assert not [word for word in ("WER", "CER", "recogniz", "inserted", "looping") if word in said]
    assert set(both[0].columns) <= {*SHOWN, *both[0].columns[-2:]}
    assert tidy(both[0])["measure"].unique().tolist() == [measure.column for measure in TIDY]


def test_csv_files_of_recognizers_have_error_rates_as_well(both) -> None:
    found = tidy(both[1])
    wer = found[(found["measure"] == "forget_wer") & (found["method"] == "retrain")].iloc[0]
    assert wer["unit"] == "%"
    assert wer["mean"] == pytest.approx(10, abs=3)


def test_no_exact_interval_is_made_of_a_rate_that_is_no_share_of_utterances(both) -> None:
    assert within_seeds(both[1].blocks[0]) == []
    assert verdict(both[1].blocks[0]) == "above"


def test_the_page_shows_the_error_rates_of_a_trial(make_rows) -> None:
    rows = prepare(of_recognizers(make_rows(kinds=["sample"], methods=METHODS, seeds=[0])))
    shown = dict(_figures(rows.to_dict("records")[0]))
    assert "D_f WER" in shown
    assert "D_f accuracy" not in shown
