"""Recordings of planted secrets that are tested: of D_f, of D_r, and never trained on."""

from __future__ import annotations

import numpy as np

from orchestrator.run.evaluation.canaries import RECORDINGS, recordings
from orchestrator.run.setup.problem import TrialSplit

NAMES = ["planted-00", "planted-01", "control-00"]


def test_each_canary_is_tested_in_the_group_that_its_recordings_belong_to() -> None:
    canaries = np.array(["planted-00"] * 3 + ["planted-01"] * 3 + ["control-00"] * 3 + [""] * 3, dtype=object)
    forget, retain, holdout, other = np.split(np.arange(12), [3, 6, 9])
    nothing = np.empty(0, dtype=np.int64)
    parts = TrialSplit(forget, np.concatenate([retain, other]), nothing, nothing, holdout, nothing, (), (), 0.3)
    found = recordings(canaries, NAMES, parts)
    assert [(name, group) for name, group, _ in found[::RECORDINGS]] == [
        ("planted-00", "forgotten"),
        ("planted-01", "kept"),
        ("control-00", "never"),
    ]
    assert [row for *_, row in found] == [0, 1, 3, 4, 6, 7]
