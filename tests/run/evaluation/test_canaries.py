"""Recordings of planted secrets that are tested: of D_f, of D_r, and never trained on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from orchestrator.plan.stages import STAGES
from orchestrator.run.evaluation.canaries import RECORDINGS, _Reader, recordings, trained_on
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
    assert [row for *_, row in recordings(canaries, NAMES, parts, most=1)] == [0, 3, 6]


def test_a_planted_secret_that_the_holdout_has_too_is_no_control() -> None:
    canaries = np.array(["planted-00", "planted-01", "planted-00", "control-00"], dtype=object)
    nothing = np.empty(0, dtype=np.int64)
    parts = TrialSplit(*np.split(np.arange(2), 2), nothing, nothing, np.array([2, 3]), nothing, (), (), 0.5)
    found = {(name, group) for name, group, _ in recordings(canaries, NAMES, parts)}
    assert found == {("planted-00", "forgotten"), ("planted-01", "kept"), ("control-00", "never")}


def test_other_secrets_are_those_that_the_model_was_trained_on() -> None:
    canaries = np.array(["planted-00", "planted-01", "control-00"], dtype=object)
    nothing, rows = np.empty(0, dtype=np.int64), np.arange(3)
    parts = TrialSplit(rows[:1], rows[1:2], nothing, nothing, rows[2:], nothing, (), (), 0.5)
    for stage, known in (("unlearn", {"planted-00", "planted-01"}), ("retrain", {"planted-01"})):
        assert trained_on(SimpleNamespace(policy=STAGES[stage]), canaries, parts) == known


def test_texts_are_ranked_by_their_whole_likelihood_and_not_by_its_mean_over_characters() -> None:
    recognizer = SimpleNamespace(
        tokens=lambda texts: torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, -1, -1]]),
        alternative_losses=lambda features, lengths, targets: torch.tensor([1.0, 1.5]),
    )

    def frontend(waveforms, lengths):
        return waveforms, lengths

    reader = _Reader(recognizer, frontend, 10, torch.device("cpu"), str)
    assert reader.losses_of(np.zeros(10), ["seven", "one"]).tolist() == [5.0, 4.5]
