"""Whether there was anything to forget: Original minus Retrain, and the columns in which that difference is noise.

The rule: with three or more values the 95 % t-interval of the difference decides, and it is noise if that contains 0.
With fewer, each seed decides by itself: the two models differ where the exact 95 % intervals (binomial, over the
utterances of D_f) of their accuracies do not overlap, and the difference is noise unless they do so in every seed, in
one direction. With fewer than three backbones each backbone must pass by itself, by its seeds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import pandas as pd
from scipy.stats import binomtest

from orchestrator.report.frames.summary import Summary, summarize, with_spread
from orchestrator.report.tables.columns import (
    DIFFERENCE_FORGET,
    DIFFERENCE_FORGET_TRUE,
    DIFFERENCE_MIA,
    DIFFERENCE_TEST_FORGOTTEN,
    FORGET,
    FORGET_TRUE,
    MIA,
    TEST_FORGOTTEN,
    WER_FORGET,
    Measure,
    quality_of,
)
from orchestrator.report.tables.model import Block, Line

FORGETTING_DIFFERENCES = {
    FORGET: DIFFERENCE_FORGET,
    WER_FORGET: DIFFERENCE_FORGET,
    FORGET_TRUE: DIFFERENCE_FORGET_TRUE,
    TEST_FORGOTTEN: DIFFERENCE_TEST_FORGOTTEN,
    MIA: DIFFERENCE_MIA,
}
"""Columns about forgetting, and Original − Retrain in each."""
SHARES_OF_FORGET_SET = {
    DIFFERENCE_FORGET: FORGET.column,
    DIFFERENCE_FORGET_TRUE: FORGET_TRUE.column,
    DIFFERENCE_MIA: MIA.column,
}
"""Differences of shares of D_f, whose number of utterances rows hold; that of forgotten classes of D_t they do not."""
Verdict = Literal["above", "below", "noise", "unknown"]
"""Of Original against Retrain; `unknown` where too little was measured to say."""


@dataclass(frozen=True)
class WithinSeed:
    """Original and Retrain on the utterances of D_f of one seed, with exact 95 % intervals (Clopper and Pearson)."""

    backbone: str
    seed: int
    utterances: int
    original: tuple[float, float]
    retrain: tuple[float, float]

    @property
    def verdict(self) -> Verdict:
        """Whether the intervals overlap, and which is above the other if not."""
        if self.original[0] > self.retrain[1]:
            return "above"
        return "below" if self.original[1] < self.retrain[0] else "noise"


def original_minus_retrain(block: Block, measure: Measure = DIFFERENCE_FORGET) -> Summary:
    """Summarize Original − Retrain on the same forget sets and seeds, in points; no values if either is missing."""
    original = _original(block)
    return summarize([]) if original is None else original.summaries[measure.column]


def verdict(block: Block, measure: Measure = DIFFERENCE_FORGET) -> Verdict:
    """Decide whether Original is above or below Retrain by more than noise, by the rule of this module."""
    found, original = original_minus_retrain(block, measure), _original(block)
    if not found.n or original is None:
        return "unknown"
    if found.n >= 3:
        return _of_interval(found)
    counted = within_seeds(block, measure)
    if not counted:  # no number of utterances: only a difference of nothing at all is known to be noise
        return "noise" if is_within_noise(found) else "unknown"
    parts: list[Verdict] = []
    for backbone, values in block.means.units(original.variant, "seeds")[measure.column].groupby(level="backbone"):
        own = summarize(values.to_numpy())
        parts += [_of_interval(own)] if own.n >= 3 else [w.verdict for w in counted if w.backbone == backbone]
    return parts[0] if len(set(parts)) == 1 else "noise"


def within_seeds(block: Block, measure: Measure = DIFFERENCE_FORGET) -> list[WithinSeed]:
    """Compute exact intervals of each backbone and seed; none for a measure that is not a share of D_f, as WER.

    Of forget sets of several ratios the largest counts, which holds the others; those of several classes are added up.
    """
    original = _original(block)
    is_share = quality_of(block.rows).is_share or measure is DIFFERENCE_MIA
    if original is None or measure not in SHARES_OF_FORGET_SET or not is_share:
        return []
    column, rows = SHARES_OF_FORGET_SET[measure], block.rows
    rows = rows[(rows["variant"] == original.variant) & (rows["status"] == "done")]
    rows = rows.dropna(subset=["num_forget", column, measure.column]).sort_values("num_forget")
    rows = rows.drop_duplicates(["backbone", "seed", "forget_classes"], keep="last")
    counts = pd.DataFrame(
        {
            "utterances": rows["num_forget"],
            "original": (rows[column] * rows["num_forget"]).round(),
            "retrain": ((rows[column] - rows[measure.column] / 100) * rows["num_forget"]).round(),
        }
    )
    of_seeds = counts.astype(int).groupby([rows["backbone"], rows["seed"]]).sum()
    return [
        WithinSeed(str(backbone), int(seed), n, exact_interval(mine, n), exact_interval(theirs, n))
        for (backbone, seed), (n, mine, theirs) in zip(of_seeds.index, of_seeds.to_numpy().tolist(), strict=True)
        if n
    ]


@cache
def exact_interval(found: int, of: int) -> tuple[float, float]:
    """Compute the 95 % interval of Clopper and Pearson for a share, in fractions."""
    interval = binomtest(found, of).proportion_ci()
    return float(interval.low), float(interval.high)


def is_within_noise(difference: Summary) -> bool:
    """Return whether the 95 % interval contains 0; for two values their range, for one the value itself."""
    if not difference.n:
        return False
    return difference.mean == 0 if difference.n == 1 else difference.low <= 0 <= difference.high


def is_uninformative(block: Block, measure: Measure) -> bool:
    """Return whether Original − Retrain is noise in a column, so that it cannot show forgetting."""
    return measure in FORGETTING_DIFFERENCES and verdict(block, FORGETTING_DIFFERENCES[measure]) == "noise"


def headline(block: Block) -> str:
    """Return the block's title with Original − Retrain on D_f, which comes before every number."""
    found, difference = original_minus_retrain(block), quality_of(block.rows).difference
    return f"{block.title}; {difference}: {with_spread(found)} points" if found.n else block.title


def seeds_sentence(counted: Iterable[WithinSeed]) -> str:
    """Say in how many seeds the exact intervals overlap, or do not; empty if nothing was counted."""
    found = list(counted)
    if not found:
        return ""
    sizes = sorted({one.utterances for one in found})
    of = f"{sizes[0]} utterances" if len(sizes) == 1 else f"{sizes[0]}–{sizes[-1]} utterances"
    apart = sum(one.verdict != "noise" for one in found)
    runs = "seed" if len({one.backbone for one in found}) == 1 else "seed and backbone"
    said = f"do not overlap in {apart} of {len(found)}" if apart else f"overlap in all {len(found)}"
    return f"exact 95 % intervals within a {runs} ({of}) {said}"


def _original(block: Block) -> Line | None:
    return next((line for line in block.lines if line.method == "original"), None)


def _of_interval(found: Summary) -> Verdict:
    return "above" if found.low > 0 else "below" if found.high < 0 else "noise"
