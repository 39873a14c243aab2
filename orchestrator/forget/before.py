"""Whether there is anything to forget: what the original remembers, measured before anything is unlearned."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.evidence.removal import FEWEST, Comparison
from orchestrator.forget.choosing import sides_of
from orchestrator.forget.comparing import comparisons
from orchestrator.forget.problem import JUDGED, Case


@dataclass(frozen=True)
class Before:
    """What was measured of the original; `unfair` says why nothing could be, or is empty."""

    comparisons: list[Comparison]
    unfair: str
    said: str


def before_unlearning(case: Case) -> Before:
    """Measure what the original knows of the recordings."""
    rows = case.unheard(*JUDGED)
    both = (case.original_logits[case.forget], case.original_logits[rows])
    return measured(*comparisons(sides_of(case, rows, {"original": both, "child": both})))


def measured(found: list[Comparison], unfair: str) -> Before:
    """Say what comparisons tell of the original."""
    seen = [c for c in found if c.measurable]
    if unfair or not found:
        return Before(found, unfair, f"nothing can be measured: {unfair or 'there is no unheard speech'}")
    few = [c for c in found if c.required and min(c.forgotten, c.unheard) < FEWEST]
    if few:
        counts = f"{few[0].forgotten} forgotten and {few[0].unheard} unheard ones"
        return Before(found, "", f"nothing can be measured: too few recordings, {counts}")
    if not seen:
        least = min(c.smallest_effect for c in found)
        return Before(found, "", f"nothing measurable to forget; less than {least:.3f} could not have been seen")
    low, high = seen[0].original.detects
    return Before(
        found, "", f"memory is measurable: {seen[0].name} {seen[0].original.value:.3f} ({low:.3f} to {high:.3f})"
    )
