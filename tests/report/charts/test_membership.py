"""ROC curves of the loss attack, and confidences on D_f, from stored outputs."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.outputs import parse_outputs
from orchestrator.report.charts.membership import membership_charts
from orchestrator.report.charts.style import marks
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables


@pytest.fixture
def table(make_rows):
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub", "salun"], seeds=[0, 1])
    return build_tables(reported(with_gaps(prepare(rows)))[0])[0]


@pytest.fixture
def read():
    """Outputs of 60 utterances of D_f and 60 of the holdout: Original is sure of D_f, the others of neither."""
    import pyarrow as pa

    def outputs(trial_id: str):
        if "retrain" not in trial_id and "original" not in trial_id and "scrub" not in trial_id:
            return None
        rng = np.random.default_rng(len(trial_id))
        sure = np.where(np.arange(120) < 60, 6.0 if "original" in trial_id else 0.0, 0.0)
        logits = np.column_stack([rng.normal(0, 1, 120) + sure, rng.normal(0, 1, 120)])
        values = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), 2)
        names = {"utterance_id": [str(n) for n in range(120)], "part": ["forget"] * 60 + ["holdout"] * 60}
        return parse_outputs(pa.table({**names, "label": [0] * 120, "true_label": [0] * 120, "logits": values}))

    return outputs


def test_original_is_found_and_retrain_is_guessed(table, read) -> None:
    roc, confidence = membership_charts([table], read, "t", marks(table.blocks[0].lines))
    (curves,), (shares,) = roc.datasets.values(), confidence.datasets.values()

    def at(line: str, rate: float) -> float:
        return next(one["tpr"] for one in curves if one["line"] == line and one["fpr"] == pytest.approx(rate, abs=1e-4))

    assert at("Original", 0.1) > 0.9
    assert at("Retrain", 0.1) < 0.35
    assert min(one["fpr"] for one in curves) >= 1 / 60  # 60 others measure no smaller rate
    half = {one["line"]: one["share"] for one in shares if one["confidence"] == 50}
    assert half["Original"] < 5 < 40 < half["Retrain"]
    assert "SalUn" not in half  # which stored no outputs
    assert "Original" in roc.svg
    assert "Original" in confidence.svg


def test_without_outputs_there_is_no_chart(table) -> None:
    assert membership_charts([table], lambda trial_id: None, "t", marks(table.blocks[0].lines)) == []
