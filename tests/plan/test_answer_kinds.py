"""What does not fit a task with transcripts is refused by the plan, with its reason."""

from __future__ import annotations

import pytest
from small_sweep import sweep

from orchestrator.plan.grid import build_grid

SENTENCES = {"name": "espeak_sentences", "sentences": 40}
WORKING = ["grad_ascent", "random_label", "scrub", "npo", "fine_tune", "bad_teacher", "lotus", "salun", "ssd"]


def planned(**changes):
    settings = {
        "tasks": [SENTENCES],
        "backbones": ["wav2vec2_nano_ctc"],
        "unlearning": [{"kind": "sample", "forget_ratio": 0.1}],
        "methods": ["original", "retrain"],
    }
    return build_grid(sweep(**(settings | changes)))


def refusals(grid):
    return {refusal.what: refusal.reason for refusal in grid.refused}


def test_methods_that_read_losses_and_distributions_are_planned_for_recognizers():
    grid = planned(methods=["original", "retrain", *WORKING])
    assert not grid.refused
    assert {spec.method_name for spec in grid.trials} == {"original", "retrain", *WORKING}


@pytest.mark.parametrize("method", ["delete", "unsir", "unheard", "damp", "amun", "random_label_mubench"])
def test_methods_that_need_classes_are_refused_and_the_others_run(method):
    grid = planned(methods=["original", "retrain", "fine_tune", method])
    assert refusals(grid).keys() == {f"{method} on espeak_sentences"}
    assert {spec.method_name for spec in grid.runnable} == {"original", "retrain", "fine_tune"}


def test_a_setting_that_needs_classes_is_refused_with_what_to_set_instead():
    grid = planned(methods=["original", "retrain", {"name": "scrub", "hold_to": "embeddings"}])
    assert "set hold_to: logits" in refusals(grid)["scrub on espeak_sentences"]


def test_tests_of_classes_are_left_out_and_the_others_run():
    grid = planned(evidence={"zrf": True, "embeddings": True})
    assert "probabilities of classes" in refusals(grid)["evidence zrf on espeak_sentences"]
    assert {tuple(spec.evidence) for spec in grid.trials} == {("embeddings",)}


@pytest.mark.parametrize(
    ("training", "reason"),
    [
        ({"crop": "center", "clip_seconds": 1.0}, "remove training.clip_seconds"),
        ({"length_buckets": True}, "set training.length_buckets to false"),
        ({"kind": "closed_form_head"}, "training closed_form_head"),
    ],
)
def test_trainings_that_do_not_suit_transcripts_are_refused(training, reason):
    grid = planned(training=training)
    assert not grid.trials
    assert reason in refusals(grid)["espeak_sentences on wav2vec2_nano_ctc"]
