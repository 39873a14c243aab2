from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrator.evidence.removal import CANNOT_TELL, EVIDENCE, NO_EVIDENCE
from orchestrator.forget.judging import BY_NAME_ALONE, RULE, judge
from tests.forget.test_comparing import sides


def good_removal(**changed):
    """A child like a model that never knew D_f, judged on many recordings."""
    made = sides(forget=400, unheard=800, **changed)
    return replace(
        made, relearned_on=made.forget_labels == 0, logits={**made.logits, "relearned": made.logits["child"]}
    )


def without_attack(made):
    return replace(made, logits={name: both for name, both in made.logits.items() if name != "relearned"})


def test_nothing_is_cleared_without_the_relearning_attack():
    assert judge(good_removal())[2].verdict == NO_EVIDENCE
    decision = judge(without_attack(good_removal()))[2]
    assert decision.verdict == CANNOT_TELL
    assert "relearning attack failed" in decision.reasons[0]


def test_evidence_of_memory_needs_no_attack():
    unchanged = without_attack(good_removal())
    unchanged = replace(unchanged, logits={**unchanged.logits, "child": unchanged.logits["original"]})
    assert judge(unchanged)[2].verdict == EVIDENCE


def test_a_change_of_what_the_rule_says_changes_its_version():
    """Raise `RULE` with the sentences here: `unlearn verify` repeats them on outputs that other versions wrote."""
    removed = good_removal()
    unchanged = replace(removed, logits=dict.fromkeys(removed.logits, removed.logits["original"]))
    assert (RULE, judge(removed)[2].reasons[0], judge(unchanged)[2].reasons[0]) == (
        2,
        "Membership by loss: 0.507 (90 % interval 0.478 to 0.536) is below the bound of 0.600.",
        "Membership by loss: 1.000 shows memory (95 % interval 0.998 to 1.000).",
    )


def forgotten_class(forget, **changed):
    """A class that the child never names; relearning has seen two of its recordings, and recalls all others."""
    made = sides(forget=forget, unheard=60, classes=2, **changed)
    zeros = {"forget_labels": np.zeros(forget, dtype=int), "unheard_labels": np.zeros(60, dtype=int)}
    logits = {name: (mine.copy(), theirs.copy()) for name, (mine, theirs) in made.logits.items()}
    for part in (0, 1):
        logits["original"][part][:, 0] = 16 + np.arange(len(logits["original"][part])) % 7 / 7 - 8 * part
        logits["child"][part][:, 0] -= 20.0
    logits["relearned"] = logits["original"]
    return replace(made, **zeros, logits=logits, relearned_on=np.arange(forget) < 2, forgotten_class=0)


def test_a_class_of_so_few_recordings_that_relearning_is_not_compared_is_not_cleared():
    assert judge(forgotten_class(14))[2].verdict == EVIDENCE
    decision = judge(forgotten_class(10))[2]
    assert decision.verdict == CANNOT_TELL
    assert "after relearning: left out, with 8 forgotten" in decision.reasons[0]


def test_a_class_whose_membership_cannot_be_measured_is_said_to_be_judged_by_its_name_alone():
    decision = judge(forgotten_class(40, unheard_speakers=np.array(["x"] * 60)))[2]
    assert decision.verdict == NO_EVIDENCE
    assert decision.reasons[-1].startswith(BY_NAME_ALONE + "Only 0% of the recordings")
