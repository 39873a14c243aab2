"""The verdict on a request from its outputs: the rule, and that nothing is cleared without the relearning attack."""

from __future__ import annotations

from orchestrator.evidence.removal import CANNOT_TELL, NO_EVIDENCE, Comparison, Decision, decide
from orchestrator.forget.comparing import Sides, comparisons, fair_strata

RULE = 2
"""Version of all that `unlearn verify` repeats: comparisons, bounds, sentences, kept outputs, how audio is read.

An output that another version wrote is not said to differ where only this number does.
"""

NOT_ATTACKED = (
    "The relearning attack failed, as its training diverged: without it, hidden memory cannot be ruled out. Check "
    "--learning-rate."
)
BY_NAME_ALONE = "The verdict rests on how often the class is named alone, as membership cannot be measured: "


def judge(sides: Sides) -> tuple[list[Comparison], str, Decision]:
    """Return all comparisons, why none is fair, and the verdict; `cannot tell` where only the attack is missing.

    Where a class has no fair comparison of membership, and so no attack, a reason says that its name alone was judged.
    """
    found, unfair = comparisons(sides)
    decision = decide(found, unfair)
    if decision.verdict == NO_EVIDENCE and "relearned" not in sides.logits:
        return found, unfair, Decision(CANNOT_TELL, (NOT_ATTACKED,))
    if decision.verdict == NO_EVIDENCE and len(found) == 1 and sides.forgotten_class is not None:
        alone = BY_NAME_ALONE + fair_strata(sides)[1]
        return found, unfair, Decision(NO_EVIDENCE, (*decision.reasons, alone))
    return found, unfair, decision
