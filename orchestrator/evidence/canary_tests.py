"""Tests of one canary on one recognizer: exposure and extraction, as spoken, with its secret masked, and sped up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from orchestrator.evidence.canaries import FEWEST, Canary, Losses, exposure_on
from orchestrator.evidence.extraction import recovered, sped_up
from orchestrator.evidence.roc import Estimate, auc
from orchestrator.tasks.masking import Audio, masked, span_by_share

EXPOSURE, MASKED_EXPOSURE = "exposure", "exposure, masked"
RECOVERED, EXACT, OTHER = "recovered", "exact", "other secret"
PLAYED = ("spoken", "masked", "sped up")
SPEED = 2.0
FEWEST_CANARIES = 3  # for an interval

LossesOf = Callable[[Audio, Sequence[str]], Losses]
Transcribe = Callable[[Sequence[Audio]], Sequence[str]]
Vector = Float[np.ndarray, " n"]


def canary_results(
    canary: Canary,
    audio: Audio,
    losses_of: LossesOf,
    transcribe: Transcribe,
    *,
    others: Sequence[str] = (),
    span: tuple[int, int] | None = None,
    count: int = FEWEST,
    speed: float = SPEED,
    seed: int,
) -> dict[str, float]:
    """Test one recording of a canary.

    Args:
        canary: what is said, and what else might have been.
        audio: the recording.
        losses_of: (n,) losses in nats of n texts on one recording, which is encoded once; those above the first text's
            may be infinite.
        transcribe: greedy outputs for recordings, normalized.
        others: secrets of other canaries that were trained on.
        span: first and last sample of the secret; estimated from its share of the transcript where it is not known.
        count: alternatives, 1,000 or more.
        speed: of the fast playback.
        seed: of alternatives and noise: equal for all models that are compared.

    Returns:
        By name: exposure in bits, on the recording and on the masked one; and for each way to play it the share of the
        secret's words that is transcribed, 1 if all of it is, and 1 if another trained secret is.
    """
    first, last = span or span_by_share(canary.text, canary.secret, len(audio))
    played = dict(zip(PLAYED, (audio, masked(audio, first, last, seed=seed), sped_up(audio, speed)), strict=True))
    found = {
        name: exposure_on(canary, lambda texts, on=on: losses_of(played[on], texts), count=count, seed=seed).value  # type: ignore[misc]
        for name, on in ((EXPOSURE, "spoken"), (MASKED_EXPOSURE, "masked"))
    }
    for name, output in zip(played, transcribe(list(played.values())), strict=True):
        score = recovered(canary.secret, output, others)
        values = zip((RECOVERED, EXACT, OTHER), (score.words, score.exact, score.other), strict=True)
        found |= {f"{what}, {name}": float(value) for what, value in values}
    return found


def canary_rows(canary: Canary, results: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return results as rows of `evidence/<trial_id>.parquet`: `measure` names the group and the canary."""
    measure = f"{canary.group}/{canary.name}"
    return [{"test": name, "measure": measure, "value": value, "utterances": 1} for name, value in results.items()]


@dataclass(frozen=True)
class AgainstNever:
    """Canaries that were trained on, against those like them that never were; NaN where a group is empty."""

    trained: Estimate  # mean, with a 95 % t-interval over canaries
    never: Estimate
    difference: Estimate  # of the means, with Welch's interval
    auc: Estimate  # P(a trained one has the larger value)


def against_never(trained: Vector, never: Vector) -> AgainstNever:
    """Compare a result of canaries with that of controls, which show what a model finds without having been trained on.

    Welch's t-interval for the difference of means (unequal variances), and the AUC with Newcombe's interval. A canary
    and a control are drawn from the same forms and voices, so that each is a sample of what the other could have been.

    Args:
        trained: one value a canary (the mean over its recordings).
        never: likewise of controls.
    """
    trained, never = (np.asarray(v, dtype=np.float64)[~np.isnan(v)] for v in (trained, never))
    value = float(trained.mean() - never.mean()) if len(trained) and len(never) else float("nan")
    half = _welch(trained, never) if min(len(trained), len(never)) >= FEWEST_CANARIES else float("nan")
    return AgainstNever(_mean(trained), _mean(never), Estimate(value, value - half, value + half), auc(trained, never))


def _welch(trained: Vector, never: Vector) -> float:
    """Return the half-width of Welch's 95 % interval; 0 where no value differs from the others of its group."""
    errors = [float(values.var(ddof=1)) / len(values) for values in (trained, never)]
    if not sum(errors):
        return 0.0
    freedom = sum(errors) ** 2 / sum(e**2 / (len(v) - 1) for e, v in zip(errors, (trained, never), strict=True))
    return float(stats.t.ppf(0.975, freedom) * np.sqrt(sum(errors)))


def _mean(values: Vector) -> Estimate:
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"))
    value = float(values.mean())
    if len(values) < FEWEST_CANARIES:
        return Estimate(value, float("nan"), float("nan"))
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return Estimate(value, value - half, value + half)
