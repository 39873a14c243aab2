"""Audits of made-up trials whose outputs and embeddings have a known answer."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from orchestrator.evidence.embeddings import Embeddings
from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.speaker_roles import speaker_roles
from orchestrator.report.evidence.audit_columns import AUDITS, audit_columns
from orchestrator.report.evidence.audits import with_audits
from orchestrator.report.evidence.table import evidence_markdown
from orchestrator.report.evidence.trial import with_evidence
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables

SIZES = {"forget": 120, "retain": 240, "validation": 60, "test": 120, "holdout": 120}
SPEAKERS = {"forget": (0, 6), "retain": (6, 18), "validation": (18, 24), "test": (24, 30), "holdout": (30, 36)}
CLASSES, WIDTH = 4, 12
KNOWN = {"original": 3.0, "retrain": 0.0, "scrub": 1.0}  # how far the label's logit of D_f is above unseen ones


def corpus():
    """Parts, speakers, their roles, labels and durations: six forgotten speakers, twelve kept, eighteen others."""
    rng = np.random.default_rng(0)
    parts = np.repeat(list(SIZES), list(SIZES.values()))
    people = np.concatenate([rng.integers(*SPEAKERS[part], size) for part, size in SIZES.items()])
    names = np.array([f"s{p}" for p in people])
    roles = speaker_roles(names, names[parts == "forget"], names[parts == "retain"], names[:0])
    return parts, people, names, roles, rng.integers(0, CLASSES, len(parts)), rng.integers(8_000, 24_000, len(parts))


def outputs(outputs_of, known: float, seed: int) -> Outputs:
    parts, _, names, roles, labels, lengths = corpus()
    ease, rng = np.random.default_rng(1), np.random.default_rng(seed)
    logits = ease.normal(size=(len(parts), CLASSES)) + rng.normal(0, 0.4, (len(parts), CLASSES))
    logits[np.arange(len(parts)), labels] += np.where(parts == "forget", known, np.where(parts == "retain", 3.0, 0.0))
    ids = np.array([f"{part}-{n}" for n, part in enumerate(parts)])
    about = {"speakers": names, "speaker_roles": roles, "num_samples": lengths, "levels_db": np.zeros(len(parts))}
    return replace(outputs_of(logits, labels), parts=parts, utterance_ids=ids, **about)


def embeddings(known: float, seed: int) -> Embeddings:
    """Speakers have directions where the model knows them; what it was trained on has one of its own."""
    parts, people, names, roles, labels, _ = corpus()
    rng = np.random.default_rng(100 + seed)
    share = np.where(parts == "forget", known / 3, parts == "retain")
    voices = np.random.default_rng(2).normal(size=(36, WIDTH))
    vectors = rng.normal(size=(len(parts), WIDTH)) + 2 * share[:, None] * voices[people]
    vectors[:, 0] += 6 * share
    ids = np.array([f"{part}-{n}" for n, part in enumerate(parts)])
    about = {"parts": parts, "speakers": names, "speaker_roles": roles, "labels": labels, "true_labels": labels}
    return Embeddings(utterance_ids=ids, vectors=vectors, **about)


@pytest.fixture(scope="module")
def sweep(make_rows, outputs_of):
    """Three seeds that forget the same speakers, from originals of their own."""

    @cache
    def build(*, stored: bool = True):
        rows = make_rows(kinds=["speaker"], methods=list(KNOWN), seeds=[0, 1, 2]).assign(num_classes=CLASSES)
        rows["parent_original"] = [f"o{seed}" for seed in rows["seed"]]
        read, embedded = {}, {}
        for place, row in enumerate(rows.itertuples()):
            known = KNOWN[row.method]
            read[row.trial_id] = outputs(outputs_of, known, place)
            embedded[row.trial_id] = embeddings(known, place)
        if not stored:  # as versions before did
            read = {i: replace(o, speakers=None, speaker_roles=None, num_samples=None) for i, o in read.items()}
            embedded = {}
        lines = with_evidence(reported(with_gaps(prepare(rows)))[0], read.get)
        after = with_audits(lines, read.get, embedded.get)
        return SimpleNamespace(before=lines, after=after, read=read.get, read_embeddings=embedded.get)

    return build


def of(rows: pd.DataFrame, method: str) -> pd.DataFrame:
    return rows[rows["method"] == method].set_index("seed")


def test_columns_that_were_there_stay(sweep) -> None:
    for stored in (True, False):
        found = sweep(stored=stored)
        pd.testing.assert_frame_equal(found.after[found.before.columns], found.before)


def test_persons_are_found_in_the_training_of_original_and_not_in_that_of_retrain(sweep) -> None:
    found = sweep().after
    assert (of(found, "original")["speaker_low"] > 0.7).all()
    assert (of(found, "retrain")["speaker_low"] < 0.5).all()
    assert (found["kept_speaker_auc"] > 0.9).all()
    assert set(found["speaker_members"]) == {6}
    assert set(found["speaker_others"]) == {18}
    assert found["speaker_tpr_at_1_percent"].isna().all()  # of a hundred speakers never trained on


def test_forgotten_speakers_of_retrain_are_verified_as_those_never_trained_on(sweep) -> None:
    found = sweep().after
    retrain, original = of(found, "retrain"), of(found, "original")
    assert retrain["eer_forgotten"].mean() == pytest.approx(retrain["eer_unheard"].mean(), abs=0.05)
    assert (original["eer_forgotten"] < retrain["eer_forgotten"] - 0.15).all()
    assert (found["eer_kept"] < 0.3).all()
    assert (original["min_dcf_0.01_forgotten"] < retrain["min_dcf_0.01_forgotten"]).all()


def test_the_share_that_looks_like_members_is_that_of_the_planted_models(sweep) -> None:
    found = sweep().after
    assert of(found, "original")["member_share"].mean() == pytest.approx(1, abs=0.3)  # of other voices than those kept
    assert of(found, "retrain")["member_share"].mean() == pytest.approx(0, abs=0.1)


def test_the_share_of_wrong_labels_is_measured_among_clips_of_the_same_true_class(sweep) -> None:
    found = sweep()

    def mislabelled(trial_id: str) -> Embeddings | None:
        """Later classes lie where members of earlier ones do, and every label of D_f is wrong."""
        own = found.read_embeddings(trial_id)
        at = 4 * own.true_labels[:, None] * np.eye(1, WIDTH)
        wrong = np.where(own.parts == "forget", own.true_labels == 0, own.labels)  # 1 or 0: not spread evenly
        return replace(own, vectors=own.vectors + at, labels=wrong)

    after = with_audits(found.before, found.read, mislabelled)
    before = found.after
    for method in ("original", "retrain"):
        share = of(before, method)["member_share"].mean()
        assert of(after, method)["member_share"].mean() == pytest.approx(share, abs=0.1)


def test_wrong_labels_of_the_holdout_expose_nobody(sweep) -> None:
    found = sweep()

    def noisy(trial_id: str) -> Outputs | None:
        own = found.read(trial_id)
        wrong = (own.parts == "holdout") & (np.arange(len(own.labels)) % 3 == 0)
        return replace(own, labels=np.where(wrong, (own.labels + 1) % CLASSES, own.labels))

    after = with_audits(found.before, noisy, found.read_embeddings)
    assert (after["exposure_pairs"] < found.after["exposure_pairs"]).all()
    assert after["exposure_auc"].mean() == pytest.approx(found.after["exposure_auc"].mean(), abs=0.02)


def test_the_relative_test_sees_which_model_is_closer_and_is_checked_with_other_runs(sweep) -> None:
    found = sweep().after
    assert of(found, "original")["relative_share"].tolist() == pytest.approx([1, 1, 1], abs=1e-6)
    assert (of(found, "scrub")["relative_p_retrain"] < 0.05).all()
    assert (of(found, "original")["relative_embedding_p_original"] < 0.05).all()
    assert of(found, "retrain")[["relative_share", "relative_embedding_share"]].isna().all(axis=None)
    retrains, originals = of(found, "retrain"), of(found, "original")
    assert (retrains["relative_retrains_closer"] == retrains["relative_retrains"]).all()
    assert retrains["relative_retrains"].tolist() == originals["relative_originals"].tolist() == [2, 2, 2]
    assert (originals["relative_originals_closer"] == 2).all()


def test_against_unseen_utterances_the_verdicts_are_the_same(sweep) -> None:
    found = sweep().after
    assert (of(found, "original")["relative_unseen_p_original"] < 0.05).all()
    assert (of(found, "scrub")["relative_unseen_p_retrain"] < 0.05).all()
    assert (found["relative_unseen_pairs"].dropna() > 90).all()
    for method, name in (("retrain", "relative_unseen_retrains"), ("original", "relative_unseen_originals")):
        assert of(found, method)[[name, f"{name}_closer"]].to_numpy().tolist() == [[2, 2]] * 3


def test_losses_are_closer_to_retrain_the_more_was_forgotten(sweep) -> None:
    found = sweep().after
    assert 0 < of(found, "scrub")["emd_retrain"].mean() < of(found, "original")["emd_retrain"].mean()
    assert of(found, "retrain")["emd_retrain"].isna().all()
    assert of(found, "retrain")["emd_test"].mean() < 0.3 < of(found, "original")["emd_test"].mean()


def test_further_attacks_find_what_was_planted_and_nothing_in_retrain(sweep) -> None:
    found = sweep().after
    for name in ("vulnerable", "informed", "matched"):
        assert (of(found, "original")[f"{name}_low"] > 0.55).all()
        assert of(found, "retrain")[f"{name}_auc"].mean() == pytest.approx(0.5, abs=0.12)
    assert (of(found, "retrain")["informed_both_auc"] > 0.8).all()  # Original gives D_f away: the target is not 0.5


def test_members_that_stay_are_as_exposed_as_planted(sweep) -> None:
    found = sweep().after
    assert (found["exposure_low"] > 0.8).all()
    assert of(found, "scrub")["exposure_change"].abs().max() < 0.05
    assert of(found, "original")["exposure_change"].isna().all()


def test_what_an_earlier_request_forgot_is_attacked_and_verified_too(sweep) -> None:
    """As if D_f had been named by an earlier request."""
    found = sweep()

    def renamed(read, row):
        own = read(row)
        return own and replace(
            own,
            parts=np.where((own.parts == "forget") & (own.speakers != "s0"), "forgotten_before", own.parts),
            speaker_roles=np.where(
                (own.speaker_roles == "forgotten") & (own.speakers != "s0"), "forgotten_before", own.speaker_roles
            ),
        )

    after = with_audits(found.before, *(partial(renamed, read) for read in (found.read, found.read_embeddings)))
    for name in ("earlier", "earlier_speaker"):
        assert (of(after, "original")[f"{name}_low"] > 0.6).all()
        assert (of(after, "retrain")[f"{name}_low"] < 0.5).all()
    assert (of(after, "original")["eer_forgotten_before"] < of(after, "retrain")["eer_forgotten_before"] - 0.1).all()


def test_results_of_earlier_versions_have_the_figures_that_need_outputs_only(sweep) -> None:
    found = sweep(stored=False).after
    assert found["exposure_auc"].notna().all()
    assert {"speaker_auc", "matched_auc", "eer_kept", "member_share"}.isdisjoint(found)


def test_the_page_has_a_table_for_each_kind_of_figure_and_says_whether_the_test_is_sound(sweep) -> None:
    rows = sweep().after
    table = build_tables(rows)[0]
    text = evidence_markdown(table, audit_columns(tuple(rows)))
    for title in AUDITS:
        assert title.split(",")[0] in text
    assert "closer to Retrain in 6 of 6" in text
    assert "closer to Original in 6 of 6" in text
    assert audit_columns(()) == {}
