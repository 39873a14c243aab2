"""Decide whether a removal request was served: what is left of recordings in a model, by tests with bounds.

A comparison measures one way in which memory of D_f shows, in Original and in the child (the unlearned model):

- membership: P(score of a D_f recording > score of an unheard recording of the same stratum), an AUC; 0.5 without
  memory. `against_retrain` subtracts the AUC of Retrain, where unheard recordings alone are no fair reference.
- recognition, for a class: the share of unheard recordings of the class that the model still names so; about 0 for a
  model that never learned the class.

The rule, in this order:
1. `cannot tell` without a fair comparison, or with fewer than `FEWEST` recordings on a side of a required one. Only
   recordings that are compared count. Other comparisons with fewer are left out, and then nothing is cleared.
2. `evidence of memory left` if in any comparison the child's interval is beyond what models without memory give; also
   if D_f is so much less known than unheard speech that this gives it away. The intervals hold together with 95 %
   confidence (Bonferroni over the comparisons).
3. `cannot tell` if no required comparison showed memory in Original, with the same intervals: nothing is measurable.
4. `no evidence of memory left` if in every required comparison that showed memory, two one-sided tests at 5 % each
   (TOST; Schuirmann 1987) bound what is left, and the child has significantly less than Original, paired by recording.
   The bound is the smaller of `AUC_BOUND` (or `NAMED_BOUND`) and half of what Original showed. Failing to reject is
   never enough; an intersection of tests needs no correction (Berger 1982).
5. Else `cannot tell`.

It is evidence, not proof: a stronger attack may find what these do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import beta, norm

from orchestrator.evidence.pooled import Attacked, pooled_auc, pooled_difference
from orchestrator.evidence.roc import Estimate

Verdict = Literal["no evidence of memory left", "evidence of memory left", "cannot tell"]
NO_EVIDENCE: Verdict = "no evidence of memory left"
EVIDENCE: Verdict = "evidence of memory left"
CANNOT_TELL: Verdict = "cannot tell"
EXIT_CODES: dict[Verdict, int] = {NO_EVIDENCE: 0, EVIDENCE: 3, CANNOT_TELL: 4}

AUC_BOUND = (
    0.10  # of an AUC from 0.5: of a forgotten and an unheard recording, an attack picks the right one 6 of 10 times
)
NAMED_BOUND = 0.15  # of the share of a forgotten class's recordings that are still named so
FEWEST = 10  # recordings on either side that are compared
CONFIDENCE = 0.95  # of all intervals of one step together
TOST_CONFIDENCE = 0.90  # two one-sided tests at 5 % each
POWER = 0.8  # of the smallest effect that is reported


@dataclass(frozen=True)
class Reading:
    """A measure of one model, with the interval that detects memory and the one that bounds it."""

    value: float
    detects: tuple[float, float]  # of simultaneous 95 % confidence
    bounds: tuple[float, float]  # 90 %: two one-sided tests at 5 %


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One way in which memory of D_f shows, in Original and in the child; recordings on both sides are counted."""

    name: str
    without: float  # the largest value that a model without memory has
    lowest: float  # the smallest value that a model without memory has, less the bound; −1 if low values are fine
    bound: float  # above `without`, before it is cut to half of what Original showed
    original: Reading
    child: Reading
    change: Estimate  # child − Original, 95 %
    forgotten: int  # recordings that are compared
    unheard: int
    tests: int = 1  # comparisons that are made together
    required: bool = True  # whether the verdict `no evidence` needs it; others can only give evidence

    @property
    def measurable(self) -> bool:
        """Whether Original shows memory here."""
        return self.original.detects[0] > self.without

    @property
    def limit(self) -> float:
        """The value below which the child has to be."""
        shown = self.original.value - self.without
        return self.without + min(self.bound, max(0.0, shown / 2))

    @property
    def shows_memory(self) -> bool:
        """Whether the child's interval is above every value without memory."""
        return self.child.detects[0] > self.without

    @property
    def gives_away(self) -> bool:
        """Whether D_f is known so much less than unheard speech that it can be recognized by that."""
        return self.child.detects[1] < self.lowest

    @property
    def bounded(self) -> bool:
        """Whether what is left is bounded by both one-sided tests, and is less than in Original."""
        low, high = self.child.bounds
        return self.lowest < low and high < self.limit and self.change.high < 0

    @property
    def smallest_effect(self) -> float:
        """The smallest distance from `without` that is detected 8 times of 10, from Original's standard error."""
        half = (self.original.detects[1] - self.original.detects[0]) / 2
        tail = float(norm.ppf((1 + _together(self.tests)) / 2))
        return half * (1 + float(norm.ppf(POWER)) / tail)


@dataclass(frozen=True)
class Decision:
    """A verdict and the reasons for it, as sentences."""

    verdict: Verdict
    reasons: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0, 3 or 4."""
        return EXIT_CODES[self.verdict]


def decide(comparisons: Sequence[Comparison], unfair: str = "") -> Decision:
    """Return the verdict by the rule of this module.

    Args:
        comparisons: all that were made; none if there is nothing to compare with.
        unfair: why there is no fair comparison, as a sentence; empty if there is one.
    """
    if unfair or not comparisons:
        return Decision(CANNOT_TELL, (unfair or "There is no unheard speech to compare with.",))
    enough = [c for c in comparisons if min(c.forgotten, c.unheard) >= FEWEST]
    few = [c for c in comparisons if c.required and c not in enough]
    left_out = [c for c in comparisons if not c.required and c not in enough]
    comparisons = enough
    if few:
        counts = f"{few[0].forgotten} forgotten and {few[0].unheard} unheard ones"
        return Decision(CANNOT_TELL, (f"Too few recordings: {counts}; {FEWEST} or more are needed on either side.",))
    found = [f"{c.name}: {c.child.value:.3f} shows memory ({_between(c.child.detects)})." for c in _which(comparisons)]
    found += [
        f"{c.name}: {c.child.value:.3f} ({_between(c.child.detects)}): the recordings are less known than unheard "
        "speech, which gives them away."
        for c in comparisons
        if c.gives_away
    ]
    if found:
        return Decision(EVIDENCE, tuple(found))
    tested = [c for c in comparisons if c.required and c.measurable]
    if not tested:
        seen = min((c.smallest_effect for c in comparisons if c.required), default=float("nan"))
        return Decision(
            CANNOT_TELL,
            (f"Nothing is measurable: the original shows no memory; less than {seen:.3f} could not have been seen.",),
        )
    open_ones = [c for c in tested if not c.bounded]
    if open_ones:
        return Decision(
            CANNOT_TELL,
            tuple(
                f"{c.name}: {c.child.value:.3f} ({_between(c.child.bounds, 90)}) is not bounded by {c.limit:.3f}."
                for c in open_ones
            ),
        )
    if left_out:
        return Decision(
            CANNOT_TELL,
            tuple(
                f"{c.name}: left out, with {c.forgotten} forgotten and {c.unheard} unheard recordings; nothing is "
                f"cleared without it, and {FEWEST} or more are needed on either side."
                for c in left_out
            ),
        )
    return Decision(
        NO_EVIDENCE,
        tuple(
            f"{c.name}: {c.child.value:.3f} ({_between(c.child.bounds, 90)}) is below the bound of {c.limit:.3f}."
            for c in tested
        ),
    )


def membership(
    name: str,
    original: Attacked,
    child: Attacked,
    *,
    tests: int,
    retrained: Attacked | None = None,
    required: bool = True,
) -> Comparison:
    """Compare D_f with unheard recordings of the same strata, by AUC; less Retrain's AUC where that is given.

    Args:
        name: as reports show it.
        original: scores of Original; larger for "was trained on".
        child: scores of the unlearned model on the same recordings.
        tests: number of comparisons that are made together.
        retrained: scores of Retrain on the same recordings.
        required: whether the verdict `no evidence` needs it.
    """
    center, together = (0.0 if retrained else 0.5), _together(tests)

    def reading(run: Attacked) -> Reading:
        def at(confidence: float) -> Estimate:
            if retrained is not None:
                return pooled_difference([run], [retrained], confidence)
            return pooled_auc([run], confidence)

        value, wide, narrow = at(CONFIDENCE), at(together), at(TOST_CONFIDENCE)
        return Reading(value.value, (wide.low, wide.high), (narrow.low, narrow.high))

    return Comparison(
        name=name,
        without=center,
        lowest=center - AUC_BOUND,
        bound=AUC_BOUND,
        original=reading(original),
        child=reading(child),
        change=pooled_difference([child], [original]),
        forgotten=int(np.isin(original.member_classes, original.other_classes).sum()),
        unheard=int(np.isin(original.other_classes, original.member_classes).sum()),
        tests=tests,
        required=required,
    )


def recognition(name: str, original: int, child: int, recordings: int, *, tests: int, forgotten: int) -> Comparison:
    """Compare how many of the unheard recordings of a class either model names so; intervals are Clopper–Pearson's.

    The change is called significant where the 95 % intervals of the two shares do not overlap.

    Args:
        name: as reports show it.
        original: recordings that Original names so.
        child: likewise of the unlearned model.
        recordings: unheard recordings of the class.
        tests: number of comparisons that are made together.
        forgotten: |D_f|.
    """
    together = _together(tests)
    first, second = (_share(named, recordings, CONFIDENCE) for named in (original, child))

    def reading(named: int) -> Reading:
        value = named / recordings if recordings else float("nan")
        return Reading(value, _share(named, recordings, together), _share(named, recordings, TOST_CONFIDENCE))

    before, after = reading(original), reading(child)
    return Comparison(
        name=name,
        without=NAMED_BOUND,
        lowest=-1.0,
        bound=0.0,
        original=before,
        child=after,
        change=Estimate(after.value - before.value, second[0] - first[1], second[1] - first[0]),
        forgotten=forgotten,
        unheard=recordings,
        tests=tests,
    )


def _together(tests: int) -> float:
    """Return the confidence of each of so many intervals that hold together (Bonferroni)."""
    return 1 - (1 - CONFIDENCE) / tests


def _share(named: int, of: int, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, named, of - named + 1)) if named else 0.0
    high = float(beta.ppf(1 - tail, named + 1, of - named)) if named < of else 1.0
    return low, high


def _which(comparisons: Sequence[Comparison]) -> list[Comparison]:
    return [c for c in comparisons if c.shows_memory]


def _between(interval: tuple[float, float], percent: int = 95) -> str:
    return f"{percent} % interval {interval[0]:.3f} to {interval[1]:.3f}"
