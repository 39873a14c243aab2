from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.forget.comparing import RELEARNED, Sides, comparisons, fair_strata, named_after_relearning


def sides(seed=0, forget=40, unheard=60, classes=4, **changed):
    """D_f, known by heart to the original and like unheard speech to the child; two speakers."""
    rng = np.random.default_rng(seed)
    labels = [np.arange(n) % classes for n in (forget, unheard)]
    logits = {name: tuple(rng.standard_normal((len(y), classes)) for y in labels) for name in ("original", "child")}
    logits["original"][0][np.arange(forget), labels[0]] += 6.0
    made = Sides(
        forget_ids=np.array([f"f{n}" for n in range(forget)]), unheard_ids=np.array([f"u{n}" for n in range(unheard)]),
        forget_labels=labels[0], unheard_labels=labels[1], forget_speakers=np.array(["a", "b"] * (forget // 2)),
        unheard_speakers=np.array(["a", "b"] * (unheard // 2)), logits=logits, relearned_on=np.arange(forget) < 8,
    )  # fmt: skip
    return replace(made, **changed)


def test_recordings_of_the_same_class_and_speaker_are_compared_where_there_are_any():
    groups, unfair = fair_strata(sides())
    assert groups.by_speaker
    assert not unfair
    assert groups.covered == 1.0


def test_other_speakers_are_no_fair_comparison_unless_a_model_was_retrained():
    strangers = sides(unheard_speakers=np.array(["x"] * 60))
    found, unfair = comparisons(strangers)
    assert found == []
    assert "--with-retrain" in unfair
    retrained = {**strangers.logits, "retrained": strangers.logits["child"]}
    found, unfair = comparisons(replace(strangers, logits=retrained))
    assert not unfair
    assert {c.without for c in found} == {0.0}
    assert [c.child.value for c in found] == pytest.approx([0.0, 0.0])


def test_transcripts_without_unheard_ones_of_their_kind_are_compared_with_all_where_a_model_was_retrained():
    answers = {name: tuple(both[:, :3] for both in pair) for name, pair in sides().logits.items()}
    alone = sides(
        target="transcripts", logits=answers, forget_labels=np.full(40, 2), unheard_labels=np.zeros(60, dtype=int)
    )
    found, unfair = comparisons(alone)
    assert found == []
    assert "same speaker and kind of sentence" in unfair
    retrained = {**answers, "retrained": answers["child"]}
    (only,), unfair = comparisons(replace(alone, logits=retrained))
    assert not unfair
    assert (only.name, only.forgotten, only.unheard) == ("Membership by loss", 40, 60)
    found, unfair = comparisons(replace(alone, logits=retrained, unfair="They repeat one sentence."))
    assert (found, unfair) == ([], "They repeat one sentence.")


def test_without_speakers_the_same_class_is_compared():
    nobody = sides(forget_speakers=np.array([""] * 40), unheard_speakers=np.array([""] * 60))
    groups, unfair = fair_strata(nobody)
    assert not groups.by_speaker
    assert not unfair


def test_without_the_same_class_there_is_no_comparison():
    nobody = sides(forget_speakers=np.array([""] * 40), unheard_speakers=np.array([""] * 60))
    other = replace(nobody, unheard_labels=np.full(60, 3))
    assert "same class" in comparisons(other)[1]


def test_memory_of_the_original_is_measurable_and_a_child_without_shows_none():
    found, _ = comparisons(sides())
    assert all(c.measurable for c in found)
    assert not any(c.shows_memory for c in found)


def test_relearning_is_judged_on_the_recordings_that_it_was_not_shown():
    known = sides()
    logits = {**known.logits, "relearned": known.logits["original"]}
    found, _ = comparisons(replace(known, logits=logits))
    assert found[-1].name == RELEARNED
    assert found[-1].forgotten == 32
    assert found[-1].shows_memory
    assert not found[-1].required


def test_a_class_is_judged_by_how_often_unheard_recordings_are_named_so():
    known = sides(forget_labels=np.zeros(40, dtype=int), forgotten_class=0)
    logits = {name: (mine.copy(), theirs.copy()) for name, (mine, theirs) in known.logits.items()}
    logits["original"][1][:, 0] += 9.0
    logits["child"][1][:, 0] -= 9.0
    found, unfair = comparisons(replace(known, logits=logits))
    assert not unfair
    assert (found[0].original.value, found[0].child.value) == (1.0, 0.0)
    assert found[0].required
    assert named_after_relearning(replace(known, logits=logits)) is None
    logits["relearned"] = logits["original"]
    assert named_after_relearning(replace(known, logits=logits)) == 1.0
    assert not any(c.required for c in found[1:])
