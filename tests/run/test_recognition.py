"""Recognition from the sweep file to rows: training, unlearning, word errors, and the outputs that are kept."""

from __future__ import annotations

import pytest

from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.evidence.outputs import parse_outputs
from orchestrator.results.curves import read_curve
from orchestrator.results.store import open_store

SWEEP = """
name: recognition
tasks: [{name: espeak_sentences, sentences: 24, voices: 2, canaries: 1, repetitions: 2, workers: 1}]
backbones: [wav2vec2_nano_ctc]
unlearning: [{kind: canary}]
methods:
  - original
  - retrain
  - {name: grad_ascent, epochs: 1}
  - random_label
  - {name: scrub, epochs: 1, max_epochs: 1}
  - {name: npo, epochs: 1}
  - bad_teacher
  - delete
seeds: [0]
training: {learning_rate: 2.0e-3, epochs: 1, batch_size: 8}
"""
METHODS = {"original", "retrain", "grad_ascent", "random_label", "scrub", "npo", "bad_teacher"}


@pytest.fixture(scope="module")
def results(tmp_path_factory, cache_dir):
    """Rows of the sweep, and its results folder."""
    folder = tmp_path_factory.mktemp("recognition")
    (folder / "asr.yaml").write_text(SWEEP)
    run_sweep(load_sweep(folder / "asr.yaml"), folder / "r", executor="local", cache_dir=cache_dir)
    return read_rows(folder / "r").set_index(["stage", "method"]), folder / "r"


def test_every_method_that_applies_has_a_row_and_the_other_none(results) -> None:
    rows, _ = results
    assert {method for stage, method in rows.index if stage != "train"} == METHODS
    assert set(rows["status"]) == {"done"}


def test_rows_have_word_errors_and_no_accuracy(results) -> None:
    rows, _ = results
    for part in ("forget", "retain", "validation", "test"):
        done = rows if part != "forget" else rows.drop(index="train", level="stage")
        assert (done[f"{part}_wer"] >= 0).all()
        assert (done[f"{part}_words"] > 0).all()
        assert done[f"{part}_loss"].notna().all()
        assert rows[f"{part}_accuracy"].isna().all()


def test_original_is_the_trained_model_and_methods_change_it(results) -> None:
    rows, _ = results
    trained, shown = rows.loc["train"].iloc[0], rows.loc[("unlearn", "original")]
    assert shown["test_loss"] == trained["test_loss"]
    methods = rows.loc[[("unlearn", name) for name in METHODS - {"original", "retrain"}]]
    assert not methods["unchanged"].any()
    assert (methods["forget_loss"] != shown["forget_loss"]).all()
    assert rows.loc[("unlearn", "grad_ascent"), "forget_loss"] > shown["forget_loss"]


def test_the_canary_is_forgotten_and_its_outputs_are_kept(results) -> None:
    rows, folder = results
    store = open_store(folder)
    row = rows.loc[("unlearn", "scrub")]
    outputs = parse_outputs(store.read_table(store.outputs.path(row["trial_id"])))
    forget = outputs.part("forget")
    assert len(forget) == row["num_forget"] == 2
    assert all(about["canary"] == "planted-00" for about in forget.attributes)
    assert "number" in forget.references[0] or "code" in forget.references[0]
    assert -float(forget.label_log_probability.mean()) == pytest.approx(row["forget_loss"], rel=1e-4)


def test_distillation_is_charged_its_teacher(results) -> None:
    rows, _ = results
    scrub = rows.loc[("unlearn", "scrub")]
    trained = int(scrub["num_forget"]) + int(scrub["num_retain"])
    assert scrub["samples"] == pytest.approx(trained * (1 + 1 / 3))


def test_curves_follow_word_accuracy(results) -> None:
    rows, folder = results
    curve = read_curve(open_store(folder), rows.loc[("unlearn", "random_label"), "trial_id"])
    assert [curve[0]["point"], curve[-1]["point"]] == ["start", "end"]
    end = rows.loc[("unlearn", "random_label")]
    assert curve[-1]["forget_accuracy"] == pytest.approx(1 - end["forget_wer"])
