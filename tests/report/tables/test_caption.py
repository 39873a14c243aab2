"""Captions: n, unit, error bar, settings, budget, attack, and a link to the page of terms, in three sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.caption import caption
from orchestrator.report.tables.model import build_tables


def tables(rows: pd.DataFrame, **kwargs):
    """All tables of the rows."""
    return build_tables(reported(with_gaps(prepare(rows)))[0], **kwargs)


def test_the_caption_names_unit_rules_and_references_in_three_sentences(make_rows) -> None:
    rows = make_rows(backbones=["a", "b", "c"], kinds=["sample"], methods=["original", "retrain", "scrub"])
    averaged, alone = tables(rows)[:2]
    assert "95 % t-interval over backbones" in caption(averaged)
    assert "95 % t-interval over seeds" in caption(alone)
    text = caption(averaged)
    assert "seeds 0, 1, 2, 3, 4 within each backbone" in text
    assert "(a, b, c)" in text
    assert "time budget: 1 × retrain schedule, counted in samples" in text
    assert "non-members of the MIA: the holdout." in text
    assert "Settings: not tuned" in text
    assert len(re.findall(r"[.](?= |$)", text)) == 3
    page, title = re.findall(r"'([^']+)' in (docs/\w+\.md)", text)[0][::-1]
    assert (Path(__file__).parents[3] / page).read_text().startswith(f"# {title}\n")
    locked = caption(tables(rows.assign(lock="rewind"))[0])
    assert "chosen by rewind on tuning seeds" in locked
    assert "non-members of the MIA: D_t." in caption(tables(rows.assign(mia_reference="test"))[0])
