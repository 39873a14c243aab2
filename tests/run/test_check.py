"""What `plan` refuses is what `run` would have failed on, and nothing trains for it."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
from simulated_launch import Recorder

from orchestrator import load_sweep, plan_sweep, run_sweep
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.results.store import open_store
from orchestrator.results.sweep_records import recorded_sweeps

CUT = "0.wav"


def recordings(folder, classes=("a", "b"), clips=12, samples=6400):
    """A folder of `clips` recordings a class; the first one of the first class is called CUT."""
    rng = np.random.default_rng(0)
    for word in classes:
        (folder / word).mkdir(parents=True)
        for number in range(clips):
            sf.write(folder / word / f"{number}.wav", rng.uniform(-0.1, 0.1, samples), 16_000)
    return folder


def planned(path, cache_dir, *overrides, check=True):
    return plan_sweep(load_sweep(path, overrides), cache_dir=cache_dir, check=check)


def reasons(plan) -> dict[str, str]:
    return {refusal.what: refusal.reason for refusal in plan.grid.refused}


@pytest.mark.parametrize(
    ("asked", "what", "reason"),
    [
        ("{kind: class, classes: [xylophone]}", "class xylophone", "class cannot be forgotten: got xylophone, allowed"),
        ("{kind: speaker, speakers: [nobody]}", "speaker nobody", "speaker cannot be forgotten: got nobody, allowed"),
        ("{kind: ids, ids: [nothing]}", "ids nothing", "only train utterances can be forgotten: got 'nothing'"),
        ("{kind: sample, forget_ratio: 1e-6}", "sample 1e-06", "the forget set must be a non-empty proper subset"),
        ("{kind: sample, forget_ratio: 0.9999}", "sample 0.9999", "the forget set must be a non-empty proper subset"),
        ("{kind: class, num_classes: 99}", "class", "too few classes to forget: got a request for 99"),
    ],
)
def test_a_forget_set_that_cannot_be_drawn_is_refused(small_sweep, cache_dir, asked, what, reason):
    plan = planned(small_sweep, cache_dir, f"unlearning=[{{kind: sample, forget_ratio: 0.1}}, {asked}]")
    assert [(w, r.startswith(reason)) for w, r in reasons(plan).items()] == [(f"espeak_keywords: {what}", True)]
    assert len(plan.pending) == 5  # the original and the four lines of the request that can be met
    assert plan.grid.refused[0].trials == 4
    assert plan.estimate.trials == 5


def test_an_original_that_no_request_needs_is_not_trained(small_sweep, cache_dir):
    plan = planned(
        small_sweep, cache_dir, "unlearning=[{kind: class, classes: [xylophone]}]", "training.study.trials=2"
    )
    assert plan.pending == []
    assert {spec.stage for spec in plan.grid.trials} == {"study", "train", "retrain", "unlearn"}
    assert plan.grid.studies == {}


def test_later_requests_of_a_sequence_are_refused_with_the_one_that_cannot_be_met(small_sweep, cache_dir):
    steps = "{kind: sample, forget_ratio: 0.1}, {kind: class, classes: [xylophone]}, {kind: sample, forget_ratio: 0.1}"
    plan = planned(small_sweep, cache_dir, f"unlearning=[{{kind: sequence, requests: [{steps}]}}]")
    assert len(plan.pending) == 5
    assert all(not spec.before for spec in plan.pending)


def test_a_corpus_that_is_not_built_is_checked_on_request_and_always_before_a_run(small_sweep, tmp_path):
    unknown = "unlearning=[{kind: class, classes: [xylophone]}, {kind: class}]"
    observer = Recorder()
    assert not planned(small_sweep, tmp_path / "c", unknown, check=False).grid.refused
    assert not (tmp_path / "c").exists()
    dispatcher = run_sweep(
        load_sweep(small_sweep, [unknown, "methods=[original]"]), tmp_path / "r", executor="local",
        cache_dir=tmp_path / "c", observer=observer,
    )  # fmt: skip
    assert observer.of("preparing")[0] == ("the corpus of espeak_keywords", None)
    assert observer.of("prepared")[0][0] == "the corpus of espeak_keywords"
    assert [refusal.what for refusal in dispatcher.refused] == ["espeak_keywords: class xylophone"]
    assert dispatcher.graph.counts() == {"done": 2}
    (record,) = recorded_sweeps(open_store(tmp_path / "r").files)
    assert len(record.trials) == 2
    assert planned(small_sweep, tmp_path / "c", unknown, check=False).grid.refused  # it is in the cache now


def test_a_request_that_some_seeds_cannot_meet_is_refused_for_them(tmp_path, small_sweep, cache_dir):
    root = recordings(tmp_path / "s", ("a", "b", "c"))
    task = f"tasks=[{{name: audio_folder, root: {root}, holdout_share: 0, test_share: 0.3}}]"
    first = planned(small_sweep, cache_dir, task, "unlearning=[{kind: class}]", "methods=[original]")
    assert not first.grid.refused
    twice = "unlearning=[{kind: sequence, requests: [{kind: class}, {kind: class, classes: [a]}]}]"
    plan = planned(small_sweep, cache_dir, task, twice, "methods=[original]", "seeds=[0, 1, 2, 3]")
    (what,) = reasons(plan)
    assert {refusal.kind for refusal in plan.grid.refused} == {"combination"}
    drawn_a = {spec.seed for spec in plan.grid.trials if spec.trial_id in plan.grid.refused_ids}
    assert 0 < len(drawn_a) < 4
    assert what == f"audio_folder: class > class a (seed {', '.join(map(str, sorted(drawn_a)))})"


def test_a_corpus_of_one_class_is_refused(tmp_path, small_sweep, cache_dir):
    root = recordings(tmp_path / "s", ("only",))
    plan = planned(small_sweep, cache_dir, f"tasks=[{{name: audio_folder, root: {root}}}]")
    assert plan.pending == []
    assert "only" in reasons(plan)["task audio_folder"]
    assert {refusal.kind for refusal in plan.grid.refused} == {"input"}


def test_a_corpus_that_cannot_be_built_is_refused_and_no_run_begins(tmp_path, small_sweep, cache_dir):
    root = recordings(tmp_path / "s")
    (root / "a" / CUT).write_bytes(b"RIFF")
    task = f"tasks=[{{name: audio_folder, root: {root}}}]"
    assert CUT in reasons(planned(small_sweep, cache_dir, task))["task audio_folder"]
    with pytest.raises(SweepError, match=f"task audio_folder: .*{CUT}"):
        run_sweep(load_sweep(small_sweep, [task]), tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert not (tmp_path / "r").exists()


def test_an_utterance_that_does_not_fit_a_backbone_is_named(tmp_path, small_sweep, cache_dir):
    root = recordings(tmp_path / "s")
    sf.write(root / "a" / CUT, np.full(80, 0.1), 16_000)
    task = f"tasks=[{{name: audio_folder, root: {root}}}]"
    plan = planned(small_sweep, cache_dir, task, "backbones=[wav2vec2_nano, logmel_cnn]")
    (reason,) = (reason for what, reason in reasons(plan).items() if what == "audio_folder on wav2vec2_nano")
    assert "got 80 samples" in reason
    assert "shortest utterance: 'a/0.wav'" in reason
    assert {spec.backbone.title for spec in plan.pending} == {"logmel_cnn"}


def test_a_recording_too_short_for_its_transcript_is_named(tmp_path, small_sweep, cache_dir):
    root = recordings(tmp_path / "s")  # of 0.4 s: 19 steps
    for path in root.glob("*/*.wav"):
        path.with_suffix(".txt").write_text("hello" if path != root / "a" / CUT else "much too long for it")
    task = f"tasks=[{{name: audio_folder, root: {root}, target: transcripts, text_from: .txt}}]"
    sample = "unlearning=[{kind: sample, forget_ratio: 0.2}]"
    plan = planned(small_sweep, cache_dir, task, sample, "backbones=[wav2vec2_nano_ctc, whisper_seq2seq_nano]")
    reason = reasons(plan)["audio_folder on wav2vec2_nano_ctc"]
    assert "too short for their transcripts: got 1 ('a/0.wav')" in reason
    assert {spec.backbone.title for spec in plan.pending} == {"whisper_seq2seq_nano"}


def test_a_clip_longer_than_a_backbone_takes_is_refused(small_sweep, cache_dir):
    clip = "training={crop: first, clip_seconds: 31, learning_rate: 1e-3}"
    plan = planned(small_sweep, cache_dir, clip, "backbones=[whisper_nano, logmel_cnn]")
    assert "clip too long" in reasons(plan)["espeak_keywords on whisper_nano"]
    assert {spec.backbone.title for spec in plan.pending} == {"logmel_cnn"}


def test_a_recording_longer_than_the_window_is_refused_without_a_clip(tmp_path, small_sweep, cache_dir):
    root = recordings(tmp_path / "s")
    sf.write(root / "b" / "3.wav", np.full(31 * 16_000, 0.1), 16_000)
    plan = planned(small_sweep, cache_dir, f"tasks=[{{name: audio_folder, root: {root}}}]")
    assert plan.pending == []
    assert "longest: 'b/3.wav'" in reasons(plan)["audio_folder on logmel_cnn"]


@pytest.mark.parametrize("method", ["cf_k", "eu_k"])
def test_a_method_for_a_deeper_network_is_refused_before_its_original_trains(small_sweep, cache_dir, method):
    plan = planned(small_sweep, cache_dir, f"methods=[original, {{name: {method}, last_blocks: [2, 9]}}]")
    assert list(reasons(plan)) == [f"{method} on logmel_cnn"]
    assert "6 blocks, got 9" in plan.grid.refused[0].reason
    assert sorted(spec.method_name for spec in plan.pending) == [method, "original", "original"]


def test_length_buckets_are_refused_where_padding_counts(small_sweep, cache_dir):
    plan = planned(small_sweep, cache_dir, "training.length_buckets=true", "backbones=[whisper_nano, logmel_cnn]")
    assert list(reasons(plan)) == ["length_buckets on whisper_nano"]
    assert {spec.backbone.title for spec in plan.pending} == {"logmel_cnn"}


def test_a_checkpoint_of_another_family_is_refused(tmp_path, small_sweep, cache_dir):
    plan = planned(small_sweep, cache_dir, "backbones=[{name: hubert_base, checkpoint: 'packaged:whisper_nano'}]")
    assert "is 'whisper', allowed: 'hubert'" in reasons(plan)["backbone hubert_base"]
    assert plan.pending == []
