"""SCRUB in the words of the paper: first all ascent on D_f, then all descent on D_r with f's embeddings held.

Source: arXiv 2506.00848 §4.3: "SCRUB first maximizes error on D_f with GradAscent. After that, it minimizes the error
as well as the embedding differences between f' and f on D_r."
Differs: as `methods/scrub.py` says; the paper gives neither norm nor weight of the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from methods.scrub import Scrub


@dataclass(frozen=True, kw_only=True)
class ScrubPaper(Scrub):
    """SCRUB with other defaults."""

    label: ClassVar[str] = "SCRUB (paper's words)"
    version: ClassVar[int] = 1

    order: Literal["alternate", "ascend_first"] = "ascend_first"
    ascend_on: Literal["divergence", "cross_entropy"] = "cross_entropy"  # what the max pass climbs
    hold_to: Literal["logits", "embeddings"] = "embeddings"  # of the original, in the min pass
