"""Audits by trial, from stored outputs: speakers, losses, members that stay, and which model it is closer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestrator.evidence.distances import loss_distance
from orchestrator.evidence.matching import matched_by_covariates
from orchestrator.evidence.membership import matched_by_class
from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.pooled import pooled_auc
from orchestrator.evidence.roc import FEWEST_PAIRS, UNMEASURED, Estimate, auc
from orchestrator.evidence.signals import scaled_confidence, signals
from orchestrator.evidence.speaker_membership import speaker_attack
from orchestrator.evidence.speaker_roles import BEFORE, FORGOTTEN, KEPT, UNHEARD
from orchestrator.evidence.vulnerable import most_memorized
from orchestrator.plan.spec import stage_seed
from orchestrator.report.evidence.embedded import ReadEmbeddings, embedded_figures
from orchestrator.report.evidence.informed import informed_figures
from orchestrator.report.evidence.model_index import MOST_REFERENCES, ReadOutputs, RetrainedModels, Row
from orchestrator.report.evidence.relative import RelativeTests
from orchestrator.report.evidence.trial import Models, attacked_by_loss
from orchestrator.report.frames.gaps import original_ids, reference_ids

PREFIXES = (
    "earlier_", "eer_", "emd_", "exposure_", "informed_", "kept_speaker_", "matched_", "member_share", "min_dcf_",
    "relative_", "speaker_", "verified_speakers_", "vulnerable_",
)  # fmt: skip
"""What the names of all columns of audits begin with."""
SPEAKERS = (
    ("speaker", "forget", FORGOTTEN), ("kept_speaker", "retain", KEPT), ("earlier_speaker", "forgotten_before", BEFORE),
)  # fmt: skip
"""Whose membership is attacked: name of the columns, part and role of the speakers' recordings."""
VARYING = 0.01  # standard deviation of the logarithm of durations, above which a corpus varies in length


@dataclass(frozen=True)
class Audits:
    """What all trials of a folder share while they are audited."""

    by_id: Mapping[str, Row]
    read: ReadOutputs
    read_embeddings: ReadEmbeddings
    retrained: RetrainedModels
    relative: RelativeTests
    exposed: dict[str, float] = field(default_factory=dict)  # AUC of Originals on those who stay, by trial


def with_audits(rows: pd.DataFrame, read: ReadOutputs, read_embeddings: ReadEmbeddings) -> pd.DataFrame:
    """Add columns of further evidence; null where a figure cannot be measured.

    Args:
        rows: of `trial.with_evidence`.
        read: stored outputs of a trial by id, None where there are none.
        read_embeddings: likewise of embeddings.
    """
    done = rows.assign(retrained=reference_ids(rows), untouched=original_ids(rows))[rows["status"] == "done"]
    records: list[Any] = sorted(done.to_dict("records"), key=lambda row: str(row["retrained"]))
    retrained = RetrainedModels(records, read)
    by_id = {str(row["trial_id"]): row for row in records}
    shared = Audits(by_id, read, read_embeddings, retrained, RelativeTests.of(by_id, read, retrained))
    found = {row["trial_id"]: _figures(row, shared) for row in records}
    for trial_id, figures in informed_figures(records, shared.by_id, read).items():
        found[trial_id] |= figures
    table = pd.DataFrame([{"trial_id": trial_id, **figures} for trial_id, figures in found.items()])
    return rows.merge(table, on="trial_id", how="left") if len(table) else rows


def _figures(row: Row, shared: Audits) -> dict[str, Any]:
    outputs = shared.read(row["trial_id"])
    if outputs is None or not (outputs.parts == "forget").any():
        return {}
    models = Models(row, shared.read, shared.by_id.get(row["retrained"]))
    original, target = (shared.read(str(row[name])) for name in ("untouched", "retrained"))
    everything, plain = outputs.utterance_ids, outputs.without_canaries()
    figures = {
        **_speakers(plain),
        **_losses(row, outputs, target),
        **_exposure(row, plain, original, shared.exposed),
        **_earlier(models, plain),
        **shared.relative.on_outputs(row),
        **embedded_figures(row, shared.read_embeddings, shared.relative, np.setdiff1d(everything, plain.utterance_ids)),
    }
    if (plain.parts == "forget").any():
        figures |= {**_vulnerable(models, plain, original, shared), **_matched(models, plain)}
    return figures


def _named(name: str, estimate: Estimate) -> dict[str, float]:
    return {f"{name}_auc": estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _speakers(outputs: Outputs) -> dict[str, float]:
    """Attack forgotten speakers, kept ones, and those of earlier requests, against speakers never in training."""
    if outputs.speakers is None or outputs.speaker_roles is None:
        return {}
    outside = np.isin(outputs.parts, ("validation", "test", "holdout")) & (outputs.speaker_roles == UNHEARD)
    figures: dict[str, float] = {}
    for name, part, role in SPEAKERS:
        inside = (outputs.parts == part) & (outputs.speaker_roles == role)
        if inside.any() and outside.any():
            own = outputs.where(inside | outside)
            assert own.speakers is not None
            found = speaker_attack(signals(own)["loss"], own.speakers, own.labels, own.parts == part)
            figures |= {**_named(name, found.auc), f"{name}_tpr_at_1_percent": found.tpr_at_1_percent}
            figures |= {f"{name}_members": found.members, f"{name}_others": found.others}
    return figures


def _losses(row: Row, outputs: Outputs, target: Outputs | None) -> dict[str, float]:
    """Compute W1 of the losses on D_f to Retrain's there, and to the same model's on D_t."""
    forgotten, tested = outputs.part("forget"), outputs.part("test")
    losses = -forgotten.label_log_probability
    figures = {"emd_test": loss_distance(losses, -tested.label_log_probability, forgotten.labels, tested.labels)}
    if target is not None and row["method"] != "retrain":
        figures["emd_retrain"] = loss_distance(losses, -target.part("forget").label_log_probability)
    return figures


def _exposure(row: Row, outputs: Outputs, original: Outputs | None, known: dict[str, float]) -> dict[str, float]:
    """Attack members that stay, by the loss, and subtract Original's AUC, which is `known` once it was computed.

    Wrong labels are left out of both sides: the holdout keeps its share of them where D_r lost its own.
    """

    def attacked(own: Outputs) -> tuple[Estimate, int]:
        own = own.without_canaries()
        right = own.where(own.labels == own.true_labels)
        inside, outside = right.part("retain"), right.part(row["mia_reference"] or "holdout")
        mine, theirs = matched_by_class(inside.labels, outside.labels, np.random.default_rng(_seed(row)))
        if len(mine) < FEWEST_PAIRS:
            return UNMEASURED, len(mine)
        return auc(signals(inside)["loss"][mine], signals(outside)["loss"][theirs]), len(mine)

    if not (outputs.parts == "retain").any():  # not in compacted files
        return {}
    found, pairs = attacked(outputs)
    figures = {**_named("exposure", found), "exposure_pairs": float(pairs)}
    if row["method"] == "original":
        known[row["trial_id"]] = found.value
    elif original is not None:
        before = str(row["untouched"])
        if before not in known:
            known[before] = attacked(original)[0].value
        figures["exposure_change"] = found.value - known[before]
    return figures


def _earlier(models: Models, outputs: Outputs) -> dict[str, float]:
    """Attack what earlier requests of a sequence forgot, by the loss: does a later request revive it?"""
    inside, outside = outputs.part("forgotten_before"), models.nonmembers(outputs)
    if not len(inside):
        return {}
    mine, theirs = matched_by_class(inside.labels, outside.labels, np.random.default_rng(_seed(models.row)))
    if len(mine) < FEWEST_PAIRS:
        return {"earlier_pairs": len(mine)}
    found = auc(signals(inside)["loss"][mine], signals(outside)["loss"][theirs])
    return {**_named("earlier", found), "earlier_pairs": len(mine)}


def _vulnerable(models: Models, outputs: Outputs, original: Outputs | None, shared: Audits) -> dict[str, float]:
    """Attack the most memorized tenth of D_f, chosen by Retrains of other runs if there are any, by its own if not."""
    forgotten = outputs.part("forget")
    if original is None:
        return {}
    own = str(models.row["retrained"])
    ids = shared.retrained.references(models.row, forgotten.utterance_ids)
    others = [i for i in ids if i != own][: MOST_REFERENCES - 1]
    if not others and models.row["method"] == "retrain":
        return {}
    names = forgotten.utterance_ids
    known = [found for i in others or ids[:1] if (found := shared.read(i)) is not None]
    references = [scaled_confidence(reference.at(names)) for reference in known]
    picked = most_memorized(scaled_confidence(original.at(names)), np.array(references).reshape(-1, len(names)))
    if not len(picked):
        return {}
    members, outside = forgotten.where(picked), models.nonmembers(outputs)
    pairs = min(int(np.isin(members.labels, outside.labels).sum()), len(outside))
    if pairs < FEWEST_PAIRS:
        return {"vulnerable_pairs": pairs}
    return {**_named("vulnerable", pooled_auc([attacked_by_loss(members, outside)])), "vulnerable_pairs": pairs}


def _matched(models: Models, outputs: Outputs) -> dict[str, float]:
    """Attack D_f against non-members of the same length and level, in a corpus of varying length."""
    members, others = outputs.part("forget"), models.nonmembers(outputs)
    mine, theirs = _covariates(members), _covariates(others)
    if mine is None or theirs is None or not len(theirs) or np.concatenate([mine, theirs])[:, 0].std() < VARYING:
        return {}
    rng = np.random.default_rng(_seed(models.row))
    kept, matched = matched_by_covariates(mine, theirs, members.labels, others.labels, rng)
    if len(kept) < FEWEST_PAIRS:
        return {"matched_pairs": len(kept)}
    found = auc(signals(members)["loss"][kept], signals(others)["loss"][matched])
    return {**_named("matched", found), "matched_pairs": len(kept)}


def _covariates(outputs: Outputs) -> npt.NDArray[np.float64] | None:
    if outputs.num_samples is None or outputs.levels_db is None:
        return None
    return np.stack([np.log(np.maximum(outputs.num_samples, 1)), outputs.levels_db], axis=1)


def _seed(row: Row) -> int:
    return stage_seed("membership", row["task_name"], row["seed"]) % 2**32
