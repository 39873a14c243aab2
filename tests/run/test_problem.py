"""Settings that change what a trial's steps are made of, from the sweep to the row."""

from __future__ import annotations

import pytest

from backbones.logmel import LogMelCnnClassifier
from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep


def ids(path, *overrides):
    return [spec.trial_id for spec in plan_sweep(load_sweep(path, overrides)).grid.trials]


@pytest.mark.parametrize("key", ["training.length_buckets", "compile"])
def test_a_recipe_names_what_changes_steps_only_where_it_is_on(small_sweep, key):
    assert ids(small_sweep, f"{key}=false") == ids(small_sweep)
    assert not set(ids(small_sweep, f"{key}=true")) & set(ids(small_sweep))


@pytest.mark.parametrize("key", ["hang_seconds=5", "hang_seconds=null", "micro_batch=4"])
def test_limits_are_no_part_of_a_recipe(small_sweep, key):
    assert ids(small_sweep, key) == ids(small_sweep)


def test_length_buckets_give_shorter_batches_to_training_and_unlearning(small_sweep, cache_dir, tmp_path, monkeypatch):
    shapes = []
    real = LogMelCnnClassifier.embed

    def embed(self, features, lengths):
        if self.training:
            shapes.append(features.shape[1])
        return real(self, features, lengths)

    monkeypatch.setattr(LogMelCnnClassifier, "embed", embed)
    loaded = load_sweep(small_sweep, ["training.length_buckets=true", "methods=[{name: grad_ascent, epochs: 1}]"])
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert set(read_rows(tmp_path / "r")["status"]) == {"done"}
    assert len(set(shapes)) > 1
    assert shapes[-1] < max(shapes)


def test_length_buckets_are_refused_where_padding_counts(small_sweep, cache_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(LogMelCnnClassifier, "masks_padding", False)
    loaded = load_sweep(small_sweep, ["training.length_buckets=true", "methods=[original]"])
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    row = read_rows(tmp_path / "r").set_index("stage").loc["train"]
    assert row["status"] == "failed"
    assert "got logmel_cnn" in row["error"]


def test_a_trials_own_memory_is_weights_optimizer_and_batch_and_at_most_300_mb(small_sweep, cache_dir, tmp_path):
    run_sweep(load_sweep(small_sweep, ["methods=[scrub]"]), tmp_path / "r", executor="local", cache_dir=cache_dir)
    for row in read_rows(tmp_path / "r").to_dict("records"):
        state = 16 * row["parameters"]  # weights, gradients and two moments
        assert state < row["peak_memory_bytes"] < state + 300e6
