from __future__ import annotations

from dataclasses import replace

from orchestrator.evidence.removal import CANNOT_TELL, EVIDENCE, NO_EVIDENCE
from orchestrator.forget.judging import RULE, judge
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
        1,
        "Membership by loss: 0.507 (90 % interval 0.478 to 0.536) is below the bound of 0.600.",
        "Membership by loss: 1.000 shows memory (95 % interval 0.998 to 1.000).",
    )
