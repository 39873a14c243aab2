"""Which methods of a block are statistically distinguishable from the closest one, and what could have been seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from orchestrator.evidence.paired import ALPHA, FEWEST, Paired, compare_paired, holm
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.summary import unit_name
from orchestrator.report.tables.columns import GAP
from orchestrator.report.tables.model import Block, Line, contenders


@dataclass(frozen=True)
class Comparison:
    """A method's gap minus that of the closest method, paired by seed and forget set (or backbone), in points."""

    line: Line
    best: Line
    found: Paired
    adjusted: float  # p-value after Holm's correction over the methods of the block

    @property
    def tested(self) -> bool:
        """Whether there are enough pairs for a test."""
        return self.found.n >= FEWEST

    @property
    def apart(self) -> bool:
        """Whether the two are statistically distinguishable."""
        return self.adjusted < ALPHA


def comparisons(block: Block) -> list[Comparison]:
    """Compare each contender with the closest method; none if no method is closest."""
    best = next((line for line in block.lines if line.best), None)
    rest = [line for line in contenders(block.lines) if not line.best]
    if best is None or not rest:
        return []
    units = {line.variant: block.means.units(line.variant, block.over)[GAP.column] for line in (best, *rest)}
    apart = [(units[line.variant] - units[best.variant]).round(DECIMALS) for line in rest]
    found = [_paired(tuple(values)) for values in apart]
    adjusted = holm([one.p for one in found])
    return [Comparison(line, best, one, p) for line, one, p in zip(rest, found, adjusted, strict=True)]


def apart_sentence(block: Block) -> str:
    """Say which methods cannot be distinguished from the closest, and which difference could have been seen."""
    found = comparisons(block)
    if not found:
        return ""
    unit, n = unit_name(block.over, 2), max(one.found.n for one in found)
    if not any(one.tested for one in found):
        return f"With fewer than {FEWEST} {block.over} no difference between methods is tested."
    close = sorted((one for one in found if not one.apart), key=lambda one: one.found.mean)
    tests = " and ".join(dict.fromkeys(one.found.test for one in found if one.found.test != "none")) or "no spread"
    over = "1 method" if len(found) == 1 else f"{len(found)} methods"
    how = f"paired by {unit_name(block.over, 1)}, {tests}, Holm over {over}"
    if not close:
        return f"Every other method is statistically distinguishable from it at 95 % ({how})."
    named = ", ".join(f"{one.line.label} (+{one.found.mean:.1f}{_effect(one)})" for one in close)
    return f"Not statistically distinguishable from it at 95 % ({how}): {named}." + _power(close, f"{n} {unit}")


def _power(close: Sequence[Comparison], units: str) -> str:
    """Say which difference could not have been seen; a range if the spread differs between methods."""
    found = sorted(one.found.detectable for one in close if not np.isnan(one.found.detectable))
    if not found:
        return ""
    low, high = (f"{end:.1f}" for end in (found[0], found[-1]))
    if low == high:
        return f" With {units}, a difference under {low} points could not have been seen (power 80 %)."
    return f" With {units}, differences under {low} to {high} points, by method, could not have been seen (power 80 %)."


def _effect(one: Comparison) -> str:
    return f", g = {one.found.effect:.1f}" if np.isfinite(one.found.effect) else ""


@lru_cache(maxsize=4096)
def _paired(differences: tuple[float, ...]) -> Paired:
    """Compare; every renderer needs the same comparisons, and a bootstrap takes milliseconds."""
    return compare_paired(np.array(differences))
