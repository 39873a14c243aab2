"""Audits by trial, from stored embeddings: verification of speakers, share of members, and the relative test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.evidence.embeddings import Embeddings, class_profiles
from orchestrator.evidence.member_share import member_share
from orchestrator.evidence.speaker_roles import BEFORE, FORGOTTEN, KEPT, NOBODY, UNHEARD
from orchestrator.evidence.verification import verify_speakers
from orchestrator.plan.spec import stage_seed
from orchestrator.report.evidence.model_index import Row
from orchestrator.report.evidence.relative import RelativeTests, relative_columns

ReadEmbeddings = Callable[[str], Embeddings | None]
GROUPS = (KEPT, FORGOTTEN, BEFORE, UNHEARD)


def embedded_figures(
    row: Row, read: ReadEmbeddings, tests: RelativeTests, canaries: npt.NDArray[Any] | None = None
) -> dict[str, Any]:
    """Measure all that needs embeddings; nothing for trials that stored none.

    Args:
        row: of the trial.
        read: stored embeddings of a trial by id.
        tests: of the folder.
        canaries: ids of utterances that are neither members nor non-members.
    """
    own = read(str(row["trial_id"]))
    if own is None:
        return {}
    seed = stage_seed("embeddings", row["task_name"], row["seed"]) % 2**32
    plain = own if canaries is None else own.where(~np.isin(own.utterance_ids, canaries))
    share = _share(plain, str(row["mia_reference"] or "holdout"), seed)
    return {**_verification(own, seed), **share, **_relative(row, own, read, tests)}


def _verification(own: Embeddings, seed: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    own = own.where(own.speaker_roles != NOBODY)
    for role in GROUPS:
        in_group = own.speaker_roles == role
        if in_group.any():
            found = verify_speakers(own.vectors, own.speakers, in_group, seed=seed)
            figures[f"eer_{role}"] = found.eer
            figures |= {f"min_dcf_{p:g}_{role}": cost for p, cost in found.min_dcf.items()}
            figures[f"verified_speakers_{role}"] = found.speakers
    return figures


def _share(own: Embeddings, reference: str, seed: int) -> dict[str, float]:
    """Estimate the share of D_f that looks like members, with equally many utterances of a true class in each set."""
    parts, rng = [own.part(name) for name in ("forget", "retain", reference)], np.random.default_rng(seed)
    places: list[list[Any]] = [[], [], []]
    for label in np.unique(parts[0].true_labels):
        there = [rng.permutation(np.flatnonzero(part.true_labels == label)) for part in parts]
        size = min(map(len, there))
        for place, chosen in zip(places, there, strict=True):
            place.extend(chosen[:size])
    sets = [part.vectors[np.array(place, dtype=np.int64)] for part, place in zip(parts, places, strict=True)]
    found = member_share(*sets, seed=seed)
    return {"member_share": found.value, "member_share_low": found.low, "member_share_high": found.high}


def _relative(row: Row, own: Embeddings, read: ReadEmbeddings, tests: RelativeTests) -> dict[str, float]:
    target, original = (read(str(row[name])) for name in ("retrained", "untouched"))
    if row["method"] == "retrain" or target is None or original is None:
        return {}
    names = [set(found.part("forget").utterance_ids) for found in (own, target, original)]
    if not names[0] == names[1] == names[2]:
        return {}
    points = [class_profiles(found) for found in (own, target, original)]
    if len({found.shape for found in points}) > 1:
        return {}
    return relative_columns("relative_embedding", tests.between("embeddings", row, *points[1:]).test(points[0]))
