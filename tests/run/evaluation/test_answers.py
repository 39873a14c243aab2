"""The evaluation of each kind of model: what its objectives compare."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from methods.engine.answers import KINDS
from orchestrator.run.evaluation.answers import EVALUATIONS, evaluation_of
from orchestrator.run.evaluation.objective import objective_of


def test_every_kind_of_model_has_an_evaluation() -> None:
    assert EVALUATIONS.keys() == KINDS.keys()
    assert evaluation_of(SimpleNamespace()) is EVALUATIONS["classes"]


def test_gaps_of_a_recognizer_are_in_points_of_wer() -> None:
    recognizer = evaluation_of(SimpleNamespace(target="transcripts"))
    now, retrained = (
        recognizer.accuracies({"forget_wer": f, "retain_wer": 0.1, "validation_wer": 0.2}) for f in (0.9, 0.3)
    )
    assert objective_of("gap_to_retrain", now, retrained) == pytest.approx(0.6 / 3)


def test_a_recognizer_should_transcribe_what_it_forgets_like_speech_that_it_never_trained_on() -> None:
    recognizer = evaluation_of(SimpleNamespace(target="transcripts"))
    row = {"forget_wer": 0.0, "retain_wer": 0.0, "validation_wer": 0.2}
    store = SimpleNamespace(row=lambda trial_id: row)
    assert recognizer.rewind_target(None, store, "o", mislabeled=False) == {"f": 0.8, "v": 0.8}
