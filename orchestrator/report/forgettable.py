"""Whether there was anything to forget: Original minus Retrain, and the columns in which that difference is noise."""

from __future__ import annotations

from orchestrator.report.averages import Summary, summarise, with_spread
from orchestrator.report.measures import (
    DIFFERENCE_FORGET,
    DIFFERENCE_FORGET_TRUE,
    DIFFERENCE_MIA,
    DIFFERENCE_TEST_FORGOTTEN,
    FORGET,
    FORGET_TRUE,
    MIA,
    TEST_FORGOTTEN,
    Measure,
)
from orchestrator.report.tables import Block

DIFFERENCES = {
    FORGET: DIFFERENCE_FORGET,
    FORGET_TRUE: DIFFERENCE_FORGET_TRUE,
    TEST_FORGOTTEN: DIFFERENCE_TEST_FORGOTTEN,
    MIA: DIFFERENCE_MIA,
}
"""What a column says of forgetting, and Original minus Retrain in it."""


def original_minus_retrain(block: Block, measure: Measure = DIFFERENCE_FORGET) -> Summary:
    """The difference on the same forget sets and seeds, in points; of no values where either is missing."""
    original = next((line for line in block.lines if line.method == "original"), None)
    return summarise([]) if original is None else original.summaries[measure.column]


def within_noise(difference: Summary) -> bool:
    """Whether the 95 % interval holds 0; for two values their range, for one the value itself."""
    if not difference.n:
        return False
    return difference.mean == 0 if difference.n == 1 else difference.low <= 0 <= difference.high


def is_grey(block: Block, measure: Measure) -> bool:
    """Whether a column tells forgetting from doing nothing no better than noise does."""
    return measure in DIFFERENCES and within_noise(original_minus_retrain(block, DIFFERENCES[measure]))


def headline(block: Block) -> str:
    """The block's title with Original minus Retrain on D_f, which stands before every number."""
    found = original_minus_retrain(block)
    return f"{block.title}; Original − Retrain on D_f: {with_spread(found)} points" if found.n else block.title
