"""The facts of a served request as one plain object: what `report.json` holds, and every other document shows."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from orchestrator import plugins
from orchestrator.evidence.harm import Harm
from orchestrator.evidence.removal import AUC_BOUND, NAMED_BOUND, Comparison, Decision
from orchestrator.forget.choosing import Unlearned
from orchestrator.forget.collateral import by_class, by_speaker
from orchestrator.forget.comparing import Logits
from orchestrator.forget.judging import RULE
from orchestrator.forget.lineage import FORMAT, SERVED
from orchestrator.forget.problem import Case
from orchestrator.forget.pseudonyms import Pseudonyms
from orchestrator.forget.residue import Residue, as_rows
from orchestrator.tasks.sources.tables import text

VERSIONS = ("speech-unlearning", "torch", "transformers", "numpy", "scipy", "soundfile")
ALL = "all speech"  # in place of classes, of a recognizer
NEARLY = 0.9  # of recordings or speakers: some rows of a manifest are wrong
LIMITS = (
    "This is evidence, not proof: a stronger attack, or one on the weights, may find memory that these tests do not.",
    "The tests look at outputs for the recordings themselves, not at what could be inferred about a person otherwise.",
    "Copies of the original model and of the recordings outside of this report's scan are unaffected.",
    "The convolutions of wav2vec 2.0 and HuBERT are left unchanged, as in their usual fine-tuning.",
    "A verdict holds for this model, these recordings and the stated bound; it is no statement about the law.",
)
REFERENCES = (
    "Regulation (EU) 2016/679 (GDPR), Articles 5(2), 17 and 19",
    "EDPB Opinion 28/2024 on AI models, adopted 17 December 2024",
    "NIST AI 100-2 E2025, Adversarial Machine Learning: a taxonomy and terminology of attacks and mitigations",
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a report is made of."""

    case: Case
    pseudonyms: Pseudonyms
    unlearned: Unlearned
    limit: float
    child_logits: Logits
    before: Sequence[Comparison]
    before_unfair: str
    before_said: str
    after: Sequence[Comparison]
    decision: Decision
    parent_sha256: str
    child_sha256: str
    earlier: Sequence[Mapping[str, Any]]
    residue: Sequence[Residue]
    seconds: Mapping[str, float]
    started_at: str
    with_retrain: bool
    named_after_relearning: float | None
    relearned: bool  # whether the relearning attack succeeded in training
    asked: str  # the request as it was given
    served: Sequence[Mapping[str, Any]]  # what the parent has forgotten
    classes_are: str | None = None  # people or words; None if the operator does not say
    harm: Harm | None = None  # what the request costs others; None if it could not be measured


def report_of(facts: Facts) -> dict[str, Any]:
    """Return the report: plain values only, recordings and people by pseudonym."""
    case, decision = facts.case, facts.decision
    request = _request(facts)
    served = {**{name: request[name] for name in SERVED}, "child_sha256": facts.child_sha256}
    return {
        "format": FORMAT,
        "rule": RULE,
        "verdict": decision.verdict,
        "exit_code": decision.exit_code,
        "reasons": list(decision.reasons),
        "before_said": facts.before_said,
        "request": request,
        "lineage": [*facts.served, served],
        "model": {
            "architecture": case.opened.architecture,
            "target": case.opened.target,
            "classes": len(case.opened.classes),
            "clip_samples": case.speech.samples,
            "parent_sha256": facts.parent_sha256,
            "child_sha256": facts.child_sha256,
        },
        "method": _method(facts),
        "evidence": {
            "before": [_comparison(c) for c in facts.before],
            "before_unfair": facts.before_unfair,
            "after": [_comparison(c) for c in facts.after],
            "with_retrain": facts.with_retrain,
            "named_after_relearning": facts.named_after_relearning,
            "relearned": facts.relearned,
            "bounds": {"auc": AUC_BOUND, "named": NAMED_BOUND},
        },
        "collateral": {
            "measure": case.kind.measure,
            "classes_are": "people" if _classes_may_be_people(facts) else "words",
            "classes": [_without_names(row, facts) for row in by_class(case, facts.child_logits)],
            "speakers": by_speaker(case, facts.child_logits, facts.pseudonyms),
            "harm": None if facts.harm is None else {**asdict(facts.harm), "much": facts.harm.much},
        },
        "earlier": [dict(row) for row in facts.earlier],
        "residue": as_rows(facts.residue),
        "limits": list(LIMITS),
        "references": list(REFERENCES),
        "key_fingerprint": facts.pseudonyms.fingerprint,
        "provenance": {
            "started_at": facts.started_at,
            "seconds": {step: round(seconds, 2) for step, seconds in facts.seconds.items()},
            "versions": {name: version(name) for name in VERSIONS},
            "python": platform.python_version(),
            "hardware": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
        },
    }


def _request(facts: Facts) -> dict[str, Any]:
    case, resolved = facts.case, facts.case.resolved
    names = [facts.pseudonyms.of("recording", str(name)) for name in case.recordings.ids]
    asked = resolved.rows if len(resolved.rows) else resolved.never_trained  # whose audio was trained on elsewhere

    def audio_of(rows: np.ndarray[Any, Any]) -> list[str]:
        return sorted({facts.pseudonyms.of("audio", str(one)) for one in case.recordings.digests[rows]})

    def named(rows: np.ndarray[Any, Any]) -> list[str]:
        return [names[row] for row in rows]

    return {
        "pseudonym": facts.pseudonyms.of("request", "\n".join(sorted(case.recordings.ids[asked].tolist()))),
        "kind": resolved.kind,
        "asked": facts.pseudonyms.of("asked", facts.asked),
        "audio": audio_of(np.union1d(resolved.everything, resolved.never_trained)),
        "audio_forgotten": audio_of(case.forget),
        "forgotten": named(case.forget),
        "named": len(resolved.rows) + len(resolved.never_trained),
        "found_in_training": len(resolved.rows),
        "never_trained_on": named(resolved.never_trained),
        "duplicates_in_training": named(resolved.duplicates),
        "duplicates_outside_training": named(resolved.leaked),
        "trained_on_in_all": int((case.recordings.splits == "train").sum()),
    }


def _method(facts: Facts) -> dict[str, Any]:
    unlearned = facts.unlearned
    return {
        "name": unlearned.method,
        "label": plugins.plugin_class("methods", unlearned.method).label,
        "settings": unlearned.settings,
        "strength": unlearned.chosen.strength,
        "candidates": [{**asdict(c), "objective": c.objective} for c in unlearned.candidates],
        "limit": facts.limit,
        "limit_samples": facts.limit * facts.case.schedule_samples,
        "training": asdict(facts.case.training),
        "seed": facts.case.seed,
        "base": None if facts.case.base is None else facts.case.base.name,
    }


def _comparison(found: Comparison) -> dict[str, Any]:
    def plain(value: float) -> float | None:
        return None if np.isnan(value) else round(float(value), 5)

    return {
        "name": found.name,
        "required": found.required,
        "measurable": found.measurable,
        "without_memory": found.without,
        "limit": plain(found.limit),
        "smallest_effect": plain(found.smallest_effect),
        "forgotten": found.forgotten,
        "unheard": found.unheard,
        "original": plain(found.original.value),
        "original_interval": [plain(v) for v in found.original.detects],
        "child": plain(found.child.value),
        "child_interval": [plain(v) for v in found.child.detects],
        "child_bounds": [plain(v) for v in found.child.bounds],
        "change": plain(found.change.value),
        "change_interval": [plain(found.change.low), plain(found.change.high)],
    }


def _classes_may_be_people(facts: Facts) -> bool:
    """Return whether classes are people: as the operator says, or else where the manifest leaves room for it."""
    if facts.classes_are is not None:
        return facts.classes_are == "people"
    recordings = facts.case.recordings
    if recordings.texts is not None:
        return False
    return may_be_people([text(name) for name in facts.case.opened.classes], recordings.labels, recordings.speakers)


def may_be_people(classes: Sequence[str], labels: np.ndarray[Any, Any], speakers: np.ndarray[Any, Any]) -> bool:
    """Return whether classes may be people, by the speakers of the recordings.

    They may if a speaker is unknown, a class has a speaker's name in any case, a class is (nearly) all of one speaker,
    or (nearly) every speaker is in one class only, as where `speaker` names sessions.

    Args:
        classes: names of the model's classes.
        labels: (N,) places in `classes`.
        speakers: (N,) names; empty texts where the manifest does not say.
    """
    if (speakers == "").any() or {name.casefold() for name in classes} & {name.casefold() for name in speakers}:
        return True
    counts = np.zeros((len(classes), len(names := np.unique(speakers))), dtype=np.int64)
    np.add.at(counts, (labels, np.searchsorted(names, speakers)), 1)
    of_class, used = counts.sum(axis=1), counts.any(axis=1)
    one_speaker = counts[used].max(axis=1) >= NEARLY * of_class[used]
    one_class = counts.max(axis=0) >= NEARLY * counts.sum(axis=0)
    return bool(one_speaker.any() or one_class.mean() >= NEARLY)


def _without_names(row: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """Replace the name of a class by a pseudonym where classes are or may be people, or where it was forgotten."""
    people = _classes_may_be_people(facts)
    kind = "speaker" if people else "class"
    if facts.case.recordings.texts is not None:
        return {**row, "class": ALL}
    return {**row, "class": facts.pseudonyms.of(kind, row["class"])} if people or row["forgotten"] else row
