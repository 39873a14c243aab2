"""Settings that change what a trial's steps are made of, from the sweep to the row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backbones.logmel import LogMelCnnClassifier
from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep
from orchestrator.run.setup.feature_cache import FeatureReader
from orchestrator.tasks.corpus import Corpus


def ids(path, *overrides):
    return [spec.trial_id for spec in plan_sweep(load_sweep(path, overrides)).grid.trials]


@pytest.mark.parametrize("key", ["training.length_buckets", "compile", "deterministic"])
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
            shapes.append((len(features), features.shape[1], int(lengths.max() - lengths.min())))
        return real(self, features, lengths)

    def shortened(self, beat):  # the corpus has clips of one length; pretend that they end after 20 to 99 frames
        return replace(self, train=lambda rows, *seed: (self.train(rows)[0], 20 + rows % 80))

    monkeypatch.setattr(LogMelCnnClassifier, "embed", embed)
    monkeypatch.setattr(FeatureReader, "with_heartbeat", shortened)
    monkeypatch.setattr(Corpus, "num_samples", property(lambda self: 160 * (20 + np.arange(len(self)) % 80)))
    loaded = load_sweep(small_sweep, ["training.length_buckets=true", "methods=[{name: grad_ascent, batch_size: 4}]"])
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert set(read_rows(tmp_path / "r")["status"]) == {"done"}
    for size in (16, 4):  # of training, of unlearning
        times = {time for count, time, _ in shapes if count == size}
        assert len(times) > 1
        assert min(times) < 80
    assert max(spread for count, _, spread in shapes if count == 16) < 20


def test_length_buckets_are_refused_where_padding_counts(small_sweep, cache_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(LogMelCnnClassifier, "masks_padding", False)
    loaded = load_sweep(small_sweep, ["training.length_buckets=true", "methods=[original]"])
    dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert [refusal.what for refusal in dispatcher.refused] == ["length_buckets on logmel_cnn"]
    assert not len(read_rows(tmp_path / "r"))


def test_a_trials_own_memory_is_weights_optimizer_and_batch_and_at_most_300_mb(small_sweep, cache_dir, tmp_path):
    run_sweep(load_sweep(small_sweep, ["methods=[scrub]"]), tmp_path / "r", executor="local", cache_dir=cache_dir)
    for row in read_rows(tmp_path / "r").to_dict("records"):
        state = 16 * row["parameters"]  # weights, gradients and two moments
        assert state < row["peak_memory_bytes"] < state + 300e6
