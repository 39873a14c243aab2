"""Defaults that work: untuned, the paper's five and Unheard forget a class of a small network, and nothing else."""

from __future__ import annotations

import pytest

from orchestrator import load_sweep, read_rows, run_sweep

SWEEP = """
name: untuned
tasks: [{name: espeak_keywords, clips: 1200, speakers: 24, voice_spread: 0.5, snr_db: [10.0, 30.0]}]
backbones: [whisper_nano, wav2vec2_nano]
unlearning: [{kind: class}]
methods: [original, retrain, grad_ascent, random_label, salun, scrub, bad_teacher, unheard]
seeds: [1001]
training: {learning_rate: 2.0e-3, epochs: 5, batch_size: 32}
tuning: {seeds: [2000]}
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_untuned_methods_forget_a_class_of_small_networks_and_keep_the_rest(tmp_path, cache_dir):
    (tmp_path / "s.yaml").write_text(SWEEP)
    run_sweep(load_sweep(tmp_path / "s.yaml"), tmp_path / "r", executor="local", cache_dir=cache_dir)
    rows = read_rows(tmp_path / "r")
    rows = rows[rows["stage"].isin(["retrain", "unlearn"])].set_index(["backbone", "method"])
    for backbone in ("whisper_nano", "wav2vec2_nano"):
        original, retrain = rows.loc[(backbone, "original")], rows.loc[(backbone, "retrain")]
        assert original["forget_accuracy"] > retrain["forget_accuracy"] + 0.9
        for method in ("grad_ascent", "random_label", "salun", "scrub", "bad_teacher", "unheard"):
            row = rows.loc[(backbone, method)]
            assert row["forget_accuracy"] < 0.85, (backbone, method)
            assert row["retain_accuracy"] > 0.95, (backbone, method)
            assert not row["collapsed"], (backbone, method)
