"""Figures of recognizers by trial: canaries by group, AUC against controls, WER by speaker role and attribute."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from report.frames.test_recognition import of_recognizers

from orchestrator.evidence.outputs import parse_outputs
from orchestrator.report.evidence.audits import with_audits
from orchestrator.report.evidence.recognition import canary_figures, recognition_columns, with_recognition
from orchestrator.report.evidence.table import evidence_markdown
from orchestrator.report.evidence.trial import with_evidence
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported
from orchestrator.report.tables.model import build_tables

KNOWN = {"original": 8.0, "retrain": 1.4, "scrub": 4.0}  # bits of exposure of forgotten canaries
PARTS = {"forget": 30, "retain": 40, "validation": 20, "test": 120, "holdout": 30}


def canaries(known: float) -> pd.DataFrame:
    """Exposures of four forgotten canaries, in two recordings each, and of four controls."""
    rows = [("exposure, masked", f"forgotten/c{n}", known + n / 10 + half) for n in range(4) for half in (-0.5, 0.5)]
    rows += [("exposure, masked", f"never/n{n}", 1.4 + n / 10) for n in range(4)]
    rows += [("zrf", "zrf", 0.5), ("exact, sped up", "kept/k0", 1.0), ("exact, sped up", "never/n0", 0.0)]
    rows += [("recovered, sped up", "kept/k0", 1.0)]
    return pd.DataFrame(rows, columns=["test", "measure", "value"]).assign(utterances=1)


def outputs(known: float, seed: int):
    """Losses and texts: D_f is known as well as exposures say; men are recognized worse."""
    rng = np.random.default_rng(seed)
    parts = np.repeat(list(PARTS), list(PARTS.values()))
    n = len(parts)
    speakers = np.array([f"{part}-{m % 5}" for m, part in enumerate(parts)])
    men = np.arange(n) % 2 == 0
    short = men | ((parts == "forget") & (known == KNOWN["scrub"]))
    losses = rng.gamma(2, 0.5, n) * np.where(parts == "forget", 4 / (2 + known), np.where(parts == "retain", 0.3, 1.0))
    roles = {"forget": "forgotten", "retain": "kept"}
    columns = {
        "utterance_id": [f"{part}-{m}" for m, part in enumerate(parts)],
        "part": parts,
        "label": np.zeros(n, dtype=np.int64),
        "true_label": np.zeros(n, dtype=np.int64),
        "loss": losses.astype(np.float32),
        "reference": ["one two three four"] * n,
        "hypothesis": np.where(short, "one two", "one two three four"),
        "speaker": speakers,
        "speaker_role": [roles.get(part, "unheard") for part in parts],
        "num_samples": rng.integers(8_000, 40_000, n),
        "level_db": np.zeros(n),
        "attribute_gender": np.where(men, "m", "f"),
        "attribute_accent": [None if man else ("east", "west")[m // 2 % 2] for m, man in enumerate(men)],
        "attribute_number": [str(m) for m in range(n)],
    }
    return parse_outputs(pa.table({name: pa.array(values) for name, values in columns.items()}))


@pytest.fixture(scope="module")
def sweep(make_rows):
    made = of_recognizers(make_rows(kinds=["speaker"], methods=list(KNOWN), seeds=[0, 1, 2]))
    rows = reported(with_gaps(prepare(made)))[0]
    trials = list(zip(rows["trial_id"], rows["method"], strict=True))
    read = {trial: outputs(KNOWN[method], place) for place, (trial, method) in enumerate(trials)}
    tested = {trial: canaries(KNOWN[method]) for trial, method in trials}
    found = with_audits(with_evidence(rows, read.get), read.get, lambda _: None)
    return SimpleNamespace(rows=rows, found=with_recognition(found, read.get, tested.get))


def test_canaries_are_averaged_over_recordings_then_by_group_and_compared_with_controls() -> None:
    found = canary_figures(canaries(8.0))
    assert found["canary_exposure_masked_forgotten"] == pytest.approx(8.15)
    assert found["canary_exposure_masked_never"] == pytest.approx(1.55)
    assert found["canary_exposure_masked_auc"] == 1
    assert found["canary_exposure_masked_low"] > 0.5
    assert canary_figures(canaries(1.4))["canary_exposure_masked_auc"] == 0.5
    assert found["canary_exact_sped_up_kept_auc"] == 1
    assert not [name for name in found if "zrf" in name]


def test_each_trial_has_its_groups(sweep) -> None:
    row = sweep.found.iloc[0]
    assert row["wer_of_unheard"] == pytest.approx(0.25)
    assert (row["wer_by_gender_m"], row["wer_by_gender_f"], row["wer_by_gender"]) == (0.5, 0, 0.5)
    assert not [name for name in sweep.found if name.startswith("wer_by_number")]
    by_method = sweep.found.groupby("method")["canary_exposure_masked_forgotten"].mean()
    assert by_method["original"] > by_method["scrub"] > by_method["retrain"]


def test_recordings_without_the_attribute_are_no_side_of_a_gap_between_groups(sweep) -> None:
    row = sweep.found.iloc[0]
    assert row["wer_by_accent_none"] == 0.5
    assert row["wer_by_accent"] == pytest.approx(0)


def test_wer_minus_retrains_is_in_points_with_an_interval_over_speakers(sweep) -> None:
    by_method = sweep.found.set_index("method")
    assert (by_method.loc["original", "wer_minus_retrain_test"] == 0).all()
    worse = by_method.loc["scrub"].iloc[0]
    assert worse["wer_minus_retrain_forget"] == pytest.approx(25)
    assert worse["wer_minus_retrain_forget_low"] <= 25 <= worse["wer_minus_retrain_forget_high"]
    assert by_method.loc["retrain", "wer_minus_retrain_forget"].isna().all()


def test_attacks_on_the_loss_work_on_transcripts_and_those_on_distributions_are_empty(sweep) -> None:
    means = sweep.found.groupby("method").mean(numeric_only=True)
    for attack in ("loss_auc", "speaker_auc", "matched_auc", "vulnerable_auc"):
        assert means.loc["original", attack] > means.loc["retrain", attack], attack
    assert means.loc["original", "emd_retrain"] > means.loc["scrub", "emd_retrain"] > 0
    empty = sweep.found[["entropy_auc", "modified_entropy_auc", "js_retrain", "js_retrain_test", "informed_auc"]]
    assert empty.isna().all().all()
    assert "cgum" not in sweep.found or sweep.found["cgum"].isna().all()


def test_its_tables_are_part_of_the_evidence(sweep) -> None:
    columns = recognition_columns(list(sweep.found.columns))
    assert next(iter(columns)) == "Canary exposure with the secret masked, in bits"
    said = evidence_markdown(build_tables(sweep.found)[0], columns)
    assert "| Canary exposure with the secret masked, in bits " in said
    assert "never trained on" in said
    assert "classifies" not in said
    assert "| Secrets of canaries recovered, secret sped up, in % " in said
    assert "whole: kept" in said
    assert "| WER minus Retrain's, in points " in said
    assert "| WER on D_t by group, in % " in said


def test_rows_of_classifiers_are_unchanged(make_rows) -> None:
    rows = reported(with_gaps(prepare(make_rows(kinds=["sample"], methods=list(KNOWN), seeds=[0]))))[0]
    assert with_recognition(rows, lambda _: outputs(1.0, 0), lambda _: canaries(1.0)) is rows


def with_canaries(known: float, place: int, part: str):
    """The same outputs, in which the recordings of a part are canaries that the model knows by heart."""
    found = outputs(known, place)
    marked = np.array(
        [
            {**about, "canary": "c" if of == part else ""}
            for about, of in zip(found.attributes, found.parts, strict=True)
        ]
    )
    losses = np.where(found.parts == part, 0.0, found.label_log_probability)
    return replace(found, attributes=marked, label_log_probability=losses)


def test_canaries_are_neither_members_nor_others(sweep) -> None:
    rows = sweep.rows
    for part, attacked in (("retain", True), ("forget", False)):
        of = dict(zip(rows["trial_id"], rows["method"], strict=True))
        read = {t: with_canaries(KNOWN[m], place, part) for place, (t, m) in enumerate(of.items())}
        found = with_audits(with_evidence(rows, read.get), read.get, lambda _: None)
        for name in ("loss_auc", "matched_auc", "vulnerable_auc", "speaker_auc"):
            figures = found[name] if name in found else pd.Series([np.nan])
            assert figures.notna().any() == attacked, (part, name)
        assert found["emd_retrain"].notna().any()
        exposure = found["exposure_auc"] if "exposure_auc" in found else pd.Series([np.nan])
        assert exposure.isna().all() == attacked
