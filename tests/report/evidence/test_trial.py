"""Evidence of made-up trials whose outputs have a known answer."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from orchestrator.evidence.outputs import Outputs
from orchestrator.report.evidence.table import evidence_markdown, sanity
from orchestrator.report.evidence.trial import with_evidence
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables

SIZES = {"forget": 200, "validation": 100, "test": 100, "holdout": 200}
CLASSES = 4
KNOWN = {"original": 3.0, "retrain": 0.0, "scrub": 1.0}  # how far the label's logit of D_f stands above unseen ones


def outputs(outputs_of, known: float, seed: int, ids: str = "") -> Outputs:
    """Ease of each utterance is shared by all models; each model adds its own noise, and `known` on D_f."""
    parts = np.repeat(list(SIZES), list(SIZES.values()))
    ease, rng = np.random.default_rng(0), np.random.default_rng(seed)
    labels = ease.integers(0, CLASSES, len(parts))
    logits = ease.normal(size=(len(parts), CLASSES)) + rng.normal(0, 0.2, (len(parts), CLASSES))
    logits[np.arange(len(parts)), labels] += np.where(parts == "forget", known, 0.0)
    names = np.array([f"{part}-{ids if part == 'forget' else ''}-{n}" for n, part in enumerate(parts)])
    return replace(outputs_of(logits, labels), parts=parts, utterance_ids=names)


@pytest.fixture(scope="module")
def sweep(make_rows, outputs_of):
    """Three seeds; every seed forgets the same utterances, as class unlearning does, unless `own_sets`."""

    @cache
    def build(own_sets: bool = False):
        rows = make_rows(kinds=["sample"], methods=list(KNOWN), seeds=[0, 1, 2])
        rows = rows.assign(num_classes=12, mia_accuracy=rows["method"].map({"original": 0.7, "retrain": 0.5}))
        rows["mia_accuracy"] = rows["mia_accuracy"].fillna(0.6)
        rows["test_macro_f1"] = rows["test_accuracy"]
        rows["mia_auc"] = rows["method"].map({"original": 0.8, "retrain": 0.5, "scrub": 0.6})
        found = {
            row.trial_id: outputs(outputs_of, KNOWN[row.method], place, str(row.seed) if own_sets else "")
            for place, row in enumerate(rows.itertuples())
        }
        lines = reported(with_gaps(prepare(rows)))[0]
        return SimpleNamespace(rows=lines, read=found.get, evidence=with_evidence(lines, found.get))

    return build


def of(evidence: pd.DataFrame, method: str) -> pd.DataFrame:
    return evidence[evidence["method"] == method]


def test_every_attack_finds_members_of_original_and_is_at_chance_on_retrain(sweep) -> None:
    evidence = sweep().evidence
    for attack in ("loss", "modified_entropy"):
        own = of(evidence, "retrain")
        assert ((own[f"{attack}_low"] < 0.5) & (own[f"{attack}_high"] > 0.5)).all()
        assert (of(evidence, "original")[f"{attack}_low"] > 0.8).all()
        assert of(evidence, "scrub")[f"{attack}_auc"].between(0.55, 0.85).all()


def test_rmia_takes_ease_out_and_beats_the_threshold(sweep) -> None:
    scrub = of(sweep().evidence, "scrub")
    assert (scrub["rmia_references"] == 3).all()  # the Retrains of all seeds, which kept the same utterances out
    assert (scrub["rmia_auc"] > scrub["loss_auc"] + 0.05).all()


def test_rmia_never_uses_the_attacked_model_and_needs_references_that_saw_none_of_the_forget_set(sweep) -> None:
    shared, own = sweep().evidence, sweep(own_sets=True).evidence
    assert (of(shared, "retrain")["rmia_references"] == 2).all()
    assert (of(own, "scrub")["rmia_references"] == 1).all()
    assert (of(own, "retrain")["rmia_references"] == 0).all()
    assert "rmia_auc" not in own or of(own, "retrain")["rmia_auc"].isna().all()


def test_ulira_needs_seeds_that_forgot_the_same_utterances(sweep) -> None:
    shared, own = sweep().evidence, sweep(own_sets=True).evidence
    scrub = of(shared, "scrub")
    assert (scrub["ulira_shadows"] == 2).all()
    assert (scrub["ulira_low"] > 0.9).all()  # a shift of 1 against a noise of about 0.2
    # There every seed has an utterance of its own, so no utterance has a shadow model.
    assert "ulira_auc" not in own or of(own, "scrub")["ulira_auc"].isna().all()


def test_distances_grow_from_the_unlearned_model_to_original_and_retrain_has_none(sweep) -> None:
    evidence = sweep().evidence
    for column in ("js_retrain", "ks_retrain", "streisand_wasserstein", "streisand_shift"):
        scrub, original = of(evidence, "scrub")[column].mean(), of(evidence, "original")[column].mean()
        assert 0 < scrub < original
        assert of(evidence, "retrain")[column].isna().all()


def test_models_that_differ_on_the_forget_set_alone_are_close_on_the_test_set(sweep) -> None:
    evidence = sweep().evidence
    for method in ("scrub", "original"):
        own = of(evidence, method)
        assert (own["js_retrain_test"].between(0, own["js_retrain"], inclusive="neither")).all()
    assert of(evidence, "retrain")["js_retrain_test"].isna().all()


def test_tow_and_cgum_follow_from_the_rows(sweep) -> None:
    evidence = sweep().evidence
    row, target = (of(evidence, method).iloc[0] for method in ("scrub", "retrain"))
    parts = [1 - abs(row[f"{p}_accuracy"] - target[f"{p}_accuracy"]) for p in ("forget", "retain", "test")]
    assert row["tow"] == pytest.approx(math.prod(parts))
    useful = min(1, (row["test_macro_f1"] - 1 / 12) / (target["test_macro_f1"] - 1 / 12))
    fast = 1 - math.log(row["optimization_seconds"] + 1) / math.log(target["optimization_seconds"] + 1)
    assert row["cgum"] == pytest.approx(3 / (1 / useful + 1 / 0.5 + 1 / fast))
    assert of(evidence, "retrain")["tow"].isna().all()


def test_a_trial_without_outputs_keeps_its_row(sweep) -> None:
    found = sweep()
    blind = with_evidence(found.rows, lambda _: None)
    assert len(blind) == len(found.rows)
    assert blind["tow"].notna().sum() == 6
    assert "loss_auc" not in blind


def test_tables_show_every_line_with_retrain_as_the_target(sweep) -> None:
    (table,) = build_tables(sweep().evidence)
    text = evidence_markdown(table, {})
    assert text.index("Original − Retrain on D_f") < text.index("| Original")
    assert text.count("| Retrain") == 3
    assert " target |" in text
    assert "Loss attack on Retrain: 3 of 3 runs have an interval that contains 0.5." in sanity(table.blocks[0])
    assert "than Retrain: 3 of 3 runs have an interval above 0.5." in sanity(table.blocks[0])[1]


def test_columns_that_cannot_tell_original_from_retrain_are_italic(sweep) -> None:
    found = sweep()
    same = found.evidence.copy()
    retrained = of(same, "retrain").set_index("seed")["loss_auc"]
    mine = same["method"] == "original"
    same.loc[mine, "loss_auc"] = same.loc[mine, "seed"].map(retrained) + np.array([0.01, -0.01, 0.0])
    (before,), (after,) = build_tables(found.evidence), build_tables(same)
    assert "*0." not in evidence_markdown(before, {}).split("Share of D")[0]
    assert evidence_markdown(after, {}).split("Share of D")[0].count("*0.") == len(KNOWN)


def test_columns_over_few_utterances_are_italic_though_seeds_agree(sweep) -> None:
    evidence = sweep().evidence
    (table,) = build_tables(evidence.assign(loss_low=evidence["loss_auc"] - 0.9, loss_high=evidence["loss_auc"] + 0.9))
    attacks = evidence_markdown(table, {}).split("Share of D")[0]
    assert attacks.count("*0.") == len(KNOWN)


def test_one_seed_shows_the_interval_over_utterances(sweep) -> None:
    evidence = sweep().evidence
    (table,) = build_tables(evidence[evidence["seed"] == 0])
    row = of(table.rows, "scrub").iloc[0]
    assert f"{row['loss_auc']:.3f} [{row['loss_low']:.3f}, {row['loss_high']:.3f}]" in evidence_markdown(table, {})


def test_the_loss_attack_on_gaussian_logits_has_about_the_auc_of_their_shift(sweep) -> None:
    # log p_y = z_y − logsumexp(z): with four classes of unit noise its spread is near √1.5 of a logit's.
    found = of(sweep().evidence, "original")["loss_auc"].mean()
    assert norm.cdf(3 / math.sqrt(2) / 1.5) < found < 1.0
