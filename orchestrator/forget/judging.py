"""The verdict on a request from its outputs: the rule, and that nothing is cleared without the relearning attack."""

from __future__ import annotations

from orchestrator.evidence.removal import CANNOT_TELL, NO_EVIDENCE, Comparison, Decision, decide
from orchestrator.forget.comparing import Sides, comparisons

RULE = 1
"""Version of all that `unlearn verify` repeats: comparisons, bounds, sentences, kept outputs, how audio is read.

An output that another version wrote is not said to differ where only this number does.
"""

NOT_ATTACKED = (
    "The relearning attack failed, as its training diverged: without it, hidden memory cannot be ruled out. Check "
    "--learning-rate."
)


def judge(sides: Sides) -> tuple[list[Comparison], str, Decision]:
    """Return all comparisons, why none is fair, and the verdict; `cannot tell` where only the attack is missing."""
    found, unfair = comparisons(sides)
    decision = decide(found, unfair)
    if decision.verdict == NO_EVIDENCE and "relearned" not in sides.logits:
        return found, unfair, Decision(CANNOT_TELL, (NOT_ATTACKED,))
    return found, unfair, decision
