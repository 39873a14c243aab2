"""Tests that trials take after their measures: on a small sweep, for every line, without touching a row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep
from orchestrator.evidence.embeddings import parse_embeddings
from orchestrator.report.evidence.write import write_evidence
from orchestrator.results.store import open_store

ASKED = (
    "evidence={relearning: {forgotten: [0, 1, 50], epochs: 1, learning_rate: 1.0e-3}, probe: true, zrf: true, "
    "attribution: {utterances: 3, steps: 2}, embeddings: true}"
)
UNLEARNING = "unlearning=[{kind: sample, forget_ratio: 0.2}, {kind: class, classes: [go]}]"
METHODS = "methods=[original, retrain, {name: grad_ascent, learning_rate: 1.0e-3}]"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache_dir, write_small):
    folder = tmp_path_factory.mktemp("tested")
    loaded = load_sweep(write_small(folder), [UNLEARNING, METHODS, ASKED])
    run_sweep(loaded, folder / "results", executor="local", cache_dir=cache_dir)
    return folder / "results"


def evidence_of(results, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {i: pd.read_parquet(results / "evidence" / f"{i}.parquet") for i in rows["trial_id"]}


def test_every_line_takes_the_tests_and_the_training_of_the_original_none(finished) -> None:
    rows = read_rows(finished)
    assert set(rows["status"]) == {"done"}
    lines = rows[rows["stage"] != "train"]
    assert len(lines) == 6
    for found in evidence_of(finished, lines).values():
        assert {"relearning", "zrf", "attribution", "embeddings"} <= set(found["test"])
    trained = rows.loc[rows["stage"] == "train", "trial_id"].item()
    assert not (finished / "evidence" / f"{trained}.parquet").exists()


def test_what_is_asked_for_is_in_no_trials_id(small_sweep) -> None:
    plain, asked = (plan_sweep(load_sweep(small_sweep, extra)).grid.trials for extra in ([], [ASKED]))
    assert [spec.trial_id for spec in plain] == [spec.trial_id for spec in asked]
    assert {spec.evidence is None for spec in plain} == {True}
    assert "relearning" in asked[0].evidence


def test_rows_say_the_same_with_and_without_the_tests(finished, cache_dir, write_small, tmp_path) -> None:
    plain = load_sweep(write_small(tmp_path), ["unlearning=[{kind: sample, forget_ratio: 0.2}]", METHODS])
    run_sweep(plain, tmp_path / "r", executor="local", cache_dir=cache_dir)
    without = read_rows(tmp_path / "r").set_index("trial_id")
    with_tests = read_rows(finished).set_index("trial_id").loc[without.index]
    measures = [c for c in without if c.endswith(("accuracy", "loss", "macro_f1")) or c in ("samples", "steps")]
    pd.testing.assert_frame_equal(with_tests[measures], without[measures])
    assert not (tmp_path / "r" / "evidence").exists()
    assert not (tmp_path / "r" / "embeddings").exists()


def test_embeddings_are_of_the_same_utterances_for_every_line_and_only_weights_make_them_differ(finished) -> None:
    rows, store = read_rows(finished), open_store(finished)
    sample = rows[(rows["unlearning"] == "sample") & (rows["stage"] != "train")].set_index("method")
    stored = {
        method: parse_embeddings(store.read_table(store.embeddings.path(row.trial_id)))
        for method, row in sample.iterrows()
    }
    own = stored["original"]
    assert {part: (own.parts == part).sum() for part in np.unique(own.parts)} == {
        "forget": sample.loc["original", "num_forget"],
        "retain": sample.loc["original", "num_forget"],
        **{part: sample.loc["original", f"num_{part}"] for part in ("validation", "test", "holdout")},
    }
    for other in stored.values():
        assert other.utterance_ids.tolist() == own.utterance_ids.tolist()
        assert other.vectors.shape == own.vectors.shape
        assert np.isfinite(other.vectors).all()
    assert not np.allclose(stored["retrain"].vectors, own.vectors, atol=1e-2)


def test_outputs_say_who_speaks_how_long_and_how_loud(finished) -> None:
    row = read_rows(finished).query("stage == 'retrain'").iloc[0]
    found = pd.read_parquet(finished / "outputs" / f"{row['trial_id']}.parquet")
    assert found["speaker"].nunique() == 13  # twelve voices, and noise
    assert set(found["speaker_role"]) <= {"kept", "forgotten", "unheard", "nobody"}
    assert found["num_samples"].gt(0).all()
    assert found["level_db"].between(-100, 0).all()
    by_speaker = found.groupby("speaker")["speaker_role"].nunique()
    assert (by_speaker == 1).all()
    assert set(found.loc[found["part"] == "retain", "speaker_role"]) == {"kept", "nobody"}


def test_all_lines_meet_the_same_attack(finished) -> None:
    rows = read_rows(finished)
    sample = rows[rows["unlearning"] == "sample"]
    shapes = {tuple(f.loc[f["test"] == "relearning", "utterances"]) for f in evidence_of(finished, sample).values()}
    assert len(shapes) == 1
    heard = {
        tuple(pd.read_parquet(finished / "evidence" / f"{i}.attribution.parquet")["utterance_id"])
        for i in sample["trial_id"]
    }
    assert len(heard) == 1
    assert len(next(iter(heard))) == 6  # three of D_f and three of D_r


def test_the_probe_is_for_forgotten_classes_only(finished) -> None:
    rows = read_rows(finished)
    for kind, wanted in (("class", True), ("sample", False)):
        for found in evidence_of(finished, rows[rows["unlearning"] == kind]).values():
            own = found[found["test"] == "probe"]
            assert bool(len(own)) is wanted
            assert own["value"].between(0, 1).all()


def test_evidence_of_the_folder_sets_them_against_retrain(finished, tmp_path) -> None:
    written = write_evidence(open_store(finished), tmp_path)
    assert written[0].name == "evidence.md"
    curves = "espeak_keywords--sample--relearning-0.svg"
    assert {path.name for path in written} > {"evidence.csv", "relearning.csv", curves}
    table = pd.read_csv(tmp_path / "evidence.csv")
    assert len(table) == 6
    sample = table[table["unlearning"] == "sample"].set_index("method")
    assert sample.loc["grad_ascent", "excess_0"] == pytest.approx(
        sample.loc["grad_ascent", "recovery_0"] - sample.loc["retrain", "recovery_0"], nan_ok=True
    )
    assert pd.isna(sample.loc["retrain", "excess_0"])
    assert pd.isna(sample.loc["retrain", "relative_embedding_share"])
    assert sample.loc["grad_ascent", "relative_embedding_share"] <= 1
    assert "delay_0" in sample
    assert pd.isna(sample.loc["original", "recovery_0"])  # nothing was lost
    assert pd.isna(sample.loc["grad_ascent", "relearned_50"])  # the pool is smaller
    assert -1 <= sample.loc["grad_ascent", "attribution_forget"] <= 1
    assert pd.isna(sample.loc["original", "attribution_forget"])  # it is what others are compared with
    assert sample["zrf"].between(0.3, 1).all()
    curves = pd.read_csv(tmp_path / "relearning.csv")
    assert set(curves["epoch"]) == {0, 1}
    assert set(curves["forgotten"]) == {0, 1, 50}
    text = (tmp_path / "evidence.md").read_text()
    assert "(plots/espeak_keywords--sample--relearning-0.svg)" in text
    assert "Memorization recovery" in text
    assert "Original − Retrain on D_f" in text
