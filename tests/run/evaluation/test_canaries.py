"""Recordings of planted secrets that are tested: of D_f, of D_r, and never trained on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from orchestrator.run.evaluation.canaries import RECORDINGS, _Reader, recordings
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


def test_texts_are_ranked_by_their_whole_likelihood_and_not_by_its_mean_over_characters() -> None:
    recognizer = SimpleNamespace(
        tokens=lambda texts: torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, -1, -1]]),
        alternative_losses=lambda features, lengths, targets: torch.tensor([1.0, 1.5]),
    )

    def frontend(waveforms, lengths):
        return waveforms, lengths

    reader = _Reader(recognizer, frontend, 10, torch.device("cpu"), str)
    assert reader.losses_of(np.zeros(10), ["seven", "one"]).tolist() == [5.0, 4.5]
