"""Intervals of a word error rate, and of the difference of two models' rates, by resampling speakers.

They treat the models as given: that another training run gives another rate is what the mean over seeds tells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from orchestrator.evidence.roc import UNMEASURED, Estimate
from orchestrator.evidence.wer import Edits

RESAMPLES = 2_000
FEWEST = 3  # speakers: of fewer, a resample says nothing

Units = np.ndarray[Any, Any]  # (n,) text
Sums = Float[np.ndarray, " units"]


def wer_interval(found: Edits, units: Units, *, seed: int) -> Estimate:
    """Compute the pooled WER with its 95 % interval over speakers, or over utterances if units are their ids.

    The bootstrap of Bisani & Ney 2004 (ICASSP, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation"): units are drawn with replacement, and errors and words of each draw are summed before they are
    divided. Utterances of one speaker depend on each other, so that they are drawn together (Liu et al. 2020, arXiv
    1912.09508, resample blocks for the same reason). Percentiles 2.5 and 97.5 of 2,000 resamples.

    Limits: too narrow with few speakers; with fewer than three the ends are NaN.

    Args:
        found: of `wer.edits`.
        units: (n,) whom each utterance belongs to.
        seed: of the resamples.
    """
    errors, words = (_sums(values, units) for values in (found.word_edits, found.words))
    return _resampled(errors, words, seed)


def wer_difference(these: Edits, those: Edits, units: Units, *, seed: int) -> Estimate:
    """Subtract another model's WER on the same utterances, with the 95 % interval of paired resamples.

    What makes a speaker difficult for both models cancels.

    Args:
        these: of a model.
        those: of the other, for the same utterances in the same order.
        units: (n,) whom each utterance belongs to.
        seed: of the resamples.

    Raises:
        ValueError: the two have other transcripts.
    """
    if not np.array_equal(these.words, those.words):
        raise ValueError(f"WER differences need the same utterances; got {len(these)} and {len(those)} other ones.")
    errors, words = _sums(these.word_edits - those.word_edits, units), _sums(these.words, units)
    return _resampled(errors, words, seed)


def _sums(counts: Int[np.ndarray, " n"], units: Units) -> Sums:
    _, place = np.unique(units, return_inverse=True)
    return np.bincount(place, weights=counts)


def _resampled(errors: Sums, words: Sums, seed: int) -> Estimate:
    if not words.sum():
        return UNMEASURED
    value = float(errors.sum() / words.sum())
    if len(words) < FEWEST:
        return Estimate(value, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(words), np.full(len(words), 1 / len(words)), RESAMPLES)
    low, high = np.percentile((drawn @ errors) / (drawn @ words), [2.5, 97.5])
    return Estimate(value, float(low), float(high))
