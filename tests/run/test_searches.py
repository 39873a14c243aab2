"""Searches are equal by construction: every line has as many trials in every cell, the first with its own settings."""

from __future__ import annotations

from collections import Counter

from small_sweep import sweep

from orchestrator.plan.spec import canonical
from orchestrator.run.searches import search_grid, searches_of

WRONG = {"name": "espeak_keywords", "clips": 240, "label_noise": {"share": 0.1, "seed": 0}}


def searched(count=4, **changes):
    made = sweep(**changes)
    return searches_of(search_grid(made), made, count, "gap_to_retrain")


def test_every_line_has_exactly_as_many_trials_in_every_cell():
    lines = ["scrub", {"name": "scrub", "superloss": True}, "ssd", {"name": "salun", "saliency_share": [0.3, 0.5]}]
    found = searched(5, methods=["original", "retrain", *lines])
    assert [len(study.trials) for study in found.studies.values()] == [5] * 10  # five lines in two cells
    tuned = [spec for spec in found.trials if spec.stage == "tune"]
    assert len({spec.trial_id for spec in tuned}) == 50
    assert {spec.seed for spec in found.trials} == {1000}


def test_variants_of_one_method_have_searches_of_their_own_which_begin_with_their_settings():
    found = searched(methods=["retrain", {"name": "salun", "saliency_share": [0.3, 0.5]}, "salun"])
    given = [dict(found.given[study_id]) for study_id in found.studies]
    assert Counter(g["saliency_share"] for g in given) == {0.3: 2, 0.5: 2}
    for study_id, study in found.studies.items():
        assert study.ask(0)["saliency_share"] == found.given[study_id]["saliency_share"]
        assert "saliency_share" not in study.space


def test_what_one_variant_gives_is_searched_for_the_others():
    found = searched(methods=["retrain", "salun", {"name": "salun", "epochs": 4}], unlearning=[{"kind": "class"}])
    spaces = {found.given[study_id]["epochs"]: set(study.space) for study_id, study in found.studies.items()}
    assert spaces[1] - spaces[4] == {"epochs"}


def test_one_variant_of_a_method_has_no_settings_to_tell_it_by():
    found = searched(methods=["retrain", {"name": "scrub", "epochs": 2}, {"name": "scrub", "epochs": 2, "lora": True}])
    assert [dict(given) for given in found.given.values()] == [{}] * len(found.studies)


def test_a_share_of_known_labels_is_a_cell_of_its_own():
    requests = [{"kind": "mislabeled", "known_share": [1.0, 0.3]}]
    found = searched(tasks=[WRONG], unlearning=requests, methods=["retrain", "scrub"])
    assert {study.trials[0].request["known_share"] for study in found.studies.values()} == {None, 0.3}


def test_a_budget_is_searched_on_its_own():
    found = searched(time_budget={"fraction": [0.1, 1.0]}, unlearning=[{"kind": "class"}])
    assert [{spec.budget["fraction"] for spec in s.trials} for s in found.studies.values()] == [{0.1}, {1.0}]


def test_searches_see_the_recordings_that_tune_on_names_and_no_others():
    found = searched(tasks=[{**WRONG, "tune_on": {"seed": 5}}])
    assert {spec.task.settings["seed"] for spec in found.trials} == {5}
    assert {spec.task.title for spec in found.trials} == {"espeak_keywords"}


def test_methods_without_a_space_are_named():
    assert searched(methods=["retrain", "scrub", "rewind"], training="early_checkpoints").without_space == ("rewind",)


def test_requests_for_several_classes_are_a_cell_of_their_own():
    requests = [{"kind": "class"}, {"kind": "class", "classes": ["go"]}, {"kind": "class", "num_classes": 2}]
    found = searched(unlearning=requests, methods=["retrain", "scrub"])
    members = [{canonical(spec.forget.identity) for spec in study.trials} for study in found.studies.values()]
    assert sorted(map(len, members)) == [1, 2]  # one class is one class, drawn or named
    alone = searched(unlearning=requests[:2], methods=["retrain", "scrub"])
    assert set(alone.studies) < set(found.studies)  # so ids of searches for one stay


def test_variants_of_a_modifier_are_told_by_the_settings_in_which_they_differ():
    lines = [{"name": "scrub", "superloss": {"strength": [1.0, 10.0]}}, {"name": "ssd"}, "scrub"]
    found = searched(methods=["retrain", *lines], unlearning=[{"kind": "class"}])
    given = [dict(found.given[study_id]) for study_id, s in found.studies.items() if s.trials[0].superloss]
    assert given == [{"superloss.strength": 1.0}, {"superloss.strength": 10.0}]
    assert all(not found.given[study_id] for study_id, s in found.studies.items() if not s.trials[0].superloss)
