"""Columns of audits as tables of evidence.md, in this order."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.report.evidence.table import Column

ROLES = {
    "kept": "kept", "forgotten": "forgotten", "forgotten_before": "forgotten before", "unheard": "never trained on",
}  # fmt: skip
AUDITS = {
    "Was the person in training? Speakers, AUC": (
        Column("speaker_auc", "forgotten speakers", interval="speaker"),
        Column("kept_speaker_auc", "kept speakers", interval="kept_speaker"),
        Column("earlier_speaker_auc", "forgotten before", interval="earlier_speaker"),
        Column("speaker_tpr_at_1_percent", "forgotten, found at FPR 1 % (in %)", 1, 100),
        Column("speaker_members", "speakers forgotten", 0, counts=True),
        Column("speaker_others", "never trained on", 0, counts=True),
    ),
    "Further attacks, AUC": (
        Column("vulnerable_auc", "most memorized tenth", interval="vulnerable", pairs="vulnerable_pairs"),
        Column("informed_auc", "informed", interval="informed", pairs="attack_pairs"),
        Column("informed_both_auc", "informed, with Original", interval="informed_both", pairs="attack_pairs"),
        Column("matched_auc", "matched length and level", interval="matched", pairs="matched_pairs"),
        Column("exposure_auc", "loss, those who stay", interval="exposure", pairs="exposure_pairs"),
        Column("earlier_auc", "loss, forgotten before", interval="earlier", pairs="earlier_pairs"),
        Column("exposure_change", "those who stay, minus Original", pairs="exposure_pairs"),
    ),
    "Closer to Retrain (0) or to Original (1)": (
        Column("relative_share", "outputs", 2, against_retrain=True),
        Column("relative_p_retrain", "p, Retrain", against_retrain=True),
        Column("relative_p_original", "p, Original", against_retrain=True),
        Column("relative_unseen_excess", "against unseen", against_retrain=True, pairs="relative_unseen_pairs"),
        Column("relative_unseen_p_retrain", "p, Retrain", against_retrain=True, pairs="relative_unseen_pairs"),
        Column("relative_unseen_p_original", "p, Original", against_retrain=True, pairs="relative_unseen_pairs"),
        Column("relative_embedding_share", "embeddings", 2, against_retrain=True),
        Column("relative_embedding_p_retrain", "p, Retrain", against_retrain=True),
        Column("relative_embedding_p_original", "p, Original", against_retrain=True),
    ),
    "Losses on D_f, W1 (nats), and embeddings": (
        Column("emd_retrain", "to Retrain", against_retrain=True), Column("emd_test", "to D_t"),
        Column("member_share", "share of D_f that looks like members", 2, interval="member_share"),
    ),
    "Speaker verification by cosine, EER in %": tuple(
        Column(f"eer_{role}", title, 1, 100) for role, title in ROLES.items()
    ),
    "Speaker verification by cosine, minDCF": tuple(
        Column(f"min_dcf_{p}_{role}", f"{title}, P = {p}", 2) for role, title in ROLES.items() for p in (0.01, 0.05)
    ),
}  # fmt: skip
"""Tables of one block, each with those of its columns that any line has."""


def audit_columns(figures: Sequence[str]) -> dict[str, tuple[Column, ...]]:
    """Return the tables that a folder has figures for."""
    found = {title: tuple(c for c in columns if c.name in figures) for title, columns in AUDITS.items()}
    return {title: columns for title, columns in found.items() if columns}
