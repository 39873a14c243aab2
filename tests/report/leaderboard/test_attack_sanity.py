"""Attacks pooled over seeds, on outputs with a known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.evidence.folder import FolderEvidence
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import Selected
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.leaderboard.attack_sanity import attack_sanity, sanity_markdown
from orchestrator.report.leaderboard.page import leaderboard_cells
from orchestrator.results.sweep_records import SweepRecord

METHODS = ["original", "retrain", "grad_ascent", "bad_teacher", "scrub"]


def cells_of(rows: pd.DataFrame, records: tuple[SweepRecord, ...] = ()) -> list:
    found = reported(with_gaps(prepare(rows)))[0]
    return leaderboard_cells(evidence_of(found, records=records))


def evidence_of(found: pd.DataFrame, figures: tuple[str, ...] = (), records: tuple[SweepRecord, ...] = ()):
    return FolderEvidence(found, figures, lambda _: None, lambda _: None, Selected(found, records, 0))


SIZES = {"forget": 24, "validation": 20, "test": 20, "holdout": 40}


@pytest.fixture(scope="module")
def attacked(make_rows, outputs_of):
    """Samples of three seeds with a shared holdout: Original knows D_f, Retrain does not."""
    rows = make_rows(methods=METHODS, kinds=["sample"], seeds=[0, 1, 2])
    parts = np.repeat(list(SIZES), list(SIZES.values()))
    read = {}
    for row in rows.itertuples():
        rng = np.random.default_rng([row.seed, METHODS.index(row.method)])
        labels = np.arange(len(parts)) % 4
        logits = rng.normal(size=(len(parts), 4))
        logits[np.arange(len(parts)), labels] += np.where((parts == "forget") & (row.method == "original"), 3.0, 0.0)
        names = [f"{part}-{row.seed if part == 'forget' else ''}-{n}" for n, part in enumerate(parts)]
        read[row.trial_id] = replace(outputs_of(logits, labels), parts=parts, utterance_ids=np.array(names))
    return rows, read


def test_attacks_are_sound_where_retrain_is_at_chance_and_original_above(attacked) -> None:
    (found,) = attack_sanity(cells_of(attacked[0]), attacked[1].get)
    assert (found.runs, found.reference, found.members, found.others) == (3, "holdout", 72, 40)
    assert found.at_chance
    assert found.above
    assert found.difference.low > 0
    text = "\n".join(sanity_markdown([found]))
    assert "contains 0.5 in 1 of 1 cells" in text
    assert "above 0.5 in 1 of 1 cells" in text
    assert sanity_markdown([]) == []


def test_a_seed_without_one_of_the_two_outputs_is_left_out_of_both(attacked) -> None:
    rows, read = attacked
    lost = rows.loc[(rows["method"] == "retrain") & (rows["seed"] == 1), "trial_id"].iloc[0]
    (found,) = attack_sanity(cells_of(rows), {**read, lost: None}.get)
    assert (found.runs, found.members) == (2, 48)
    assert attack_sanity(cells_of(rows), lambda _: None) == []
