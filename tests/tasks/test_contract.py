"""One suite over every task found, so that a new one cannot stay untested."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import soundfile

from orchestrator import plugins
from orchestrator.tasks.base import SPLITS
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.normalizers import DIGITS

RATE_HZ = 16_000


def tone(path, seconds=0.1, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, int(RATE_HZ * seconds))
    soundfile.write(path, noise, RATE_HZ, subtype="PCM_16")


def espeak(root):
    return {"clips": 240, "speakers": 6}


def folder(root):
    for word in ("go", "no"):
        for take in range(20):
            tone(root / word / f"{take}.wav", seed=take)
    return {"root": str(root)}


def speech_commands(root):
    words = "yes no up down left right on off stop go bed cat"
    validation, testing = [], []
    for word in words.split():
        for n in range(6):
            name = f"{word}/{n:08x}_nohash_0.wav"
            tone(root / name, seed=n)
            (validation if n == 4 else testing if n == 5 else []).append(name)
    tone(root / "_background_noise_" / "hum.wav", seconds=2.0)
    (root / "validation_list.txt").write_text("\n".join(validation) + "\n")
    (root / "testing_list.txt").write_text("\n".join(testing) + "\n")
    return {"root": str(root), "protocol": "s3prl", "holdout_share": 0.25}


def voxceleb1(root):
    lines = []
    for speaker in range(2):
        for video in range(3):
            for n in range(4):
                name = f"id1000{speaker}/video{video}/{n:05d}.wav"
                tone(root / "wav" / name, seed=n)
                lines.append(f"{video + 1} {name}")
    (root / "iden_split.txt").write_text("\n".join(lines) + "\n")
    return {"root": str(root), "list_file": str(root / "iden_split.txt"), "holdout_share": 0.25}


def joined(root):
    parts = {name: {"name": "espeak_digits", "clips": 160, "speakers": 4, "seed": n} for n, name in enumerate("ab")}
    return {"parts": parts}


def librispeech(root):
    for part, speaker in (("train-clean-100", 1), ("dev-clean", 2), ("test-clean", 3)):
        names = [f"{speaker}-7-{number:04d}" for number in range(8)]
        for number, name in enumerate(names):
            tone(root / part / str(speaker) / "7" / f"{name}.flac", seed=number)
        lines = "".join(f"{name} GO {name[-1]}\n" for name in names)
        (root / part / str(speaker) / "7" / f"{speaker}-7.trans.txt").write_text(lines)
    return {"root": str(root), "holdout_share": 0.25}


def common_voice(root):
    for name in ("train", "dev", "test"):
        lines = ["client_id\tpath\tsentence"]
        for number in range(8):
            tone(root / "clips" / f"{name}{number}.flac", seed=number)
            lines.append(f"s{number % 2}\t{name}{number}.flac\tGo {number}!")
        (root / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return {"root": str(root), "holdout_share": 0.25}


def digits(root):
    for digit, word in enumerate(DIGITS):
        for take in range(1, 11):
            tone(root / word / f"01_{take:02d}.flac", seed=10 * digit + take)
    return {"arabic_root": str(root), "holdout_share": 0.25}


SMALLEST = {
    "audio_folder": folder,
    "espeak_digits": lambda root: {"clips": 160, "speakers": 4},
    "common_voice": common_voice,
    "connected_digits": digits,
    "espeak_keywords": espeak,
    "espeak_pretraining": lambda root: {"clips": 144, "speakers": 6, "words": 6},
    "espeak_sentences": lambda root: {"sentences": 40, "voices": 4, "canaries": 2, "repetitions": 2},
    "espeak_speakers": espeak,
    "joined": joined,
    "librispeech": librispeech,
    "speech_commands": speech_commands,
    "voxceleb1": voxceleb1,
}
NAMES = plugins.names("tasks")
TRANSCRIPTS = ("common_voice", "connected_digits", "espeak_sentences", "librispeech")
CLASSES = [name for name in NAMES if name not in TRANSCRIPTS]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each task with its smallest corpus, built once."""
    kept = {}

    def make(name):
        if name not in kept:
            folder = tmp_path_factory.mktemp(name)
            settings = SMALLEST[name](folder / "source")
            task = plugins.load("tasks", name, **settings)
            kept[name] = (settings, task, open_corpus(task, folder / "cache"))
        return kept[name]

    return make


def test_every_task_found_has_its_smallest_corpus_here():
    assert set(SMALLEST) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus_is_whole(made, name):
    _, task, corpus = made(name)
    assert len(set(corpus.utterance_ids)) == len(corpus) > 0
    assert set(corpus.splits) <= set(SPLITS)
    assert {"train", "test", "holdout"} <= set(corpus.splits)
    assert corpus.labels.min() >= 0
    assert corpus.labels.max() < len(corpus.classes)
    assert set(corpus.labels[corpus.rows("test")]) <= set(corpus.labels[corpus.rows("train")])
    assert corpus.info["kind"] == task.kind


@pytest.mark.parametrize("name", NAMES)
def test_audio_is_16_bit_and_not_empty(made, name):
    _, _, corpus = made(name)
    for row in range(len(corpus)):
        audio = corpus.audio(row)
        assert audio.dtype == np.int16
        assert len(audio) == corpus.num_samples[row] > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_size_that_plan_expects_is_about_right(made, name):
    _, task, corpus = made(name)
    if name not in ("speech_commands", "voxceleb1"):  # those expect the published sizes
        assert task.expected_size().utterances == pytest.approx(len(corpus), rel=0.2)
        assert task.expected_size().classes == len(corpus.classes)


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_repeats_and_knows_the_settings_but_no_path(made, name):
    settings, task, corpus = made(name)
    assert plugins.load("tasks", name, **settings).fingerprint() == task.fingerprint() == corpus.fingerprint
    other = plugins.load("tasks", name, **{**settings, "holdout_share": 0.3})
    assert other.fingerprint() != task.fingerprint()
    hidden = {f.name for f in fields(task) if not f.metadata.get("identity", True)}
    assert not hidden & set(task.settings())
    assert not any(str(value) == settings.get("root") for value in task.settings().values())


@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_either_classes_or_transcripts(made, name):
    _, task, corpus = made(name)
    assert (task.kind == "transcripts") == (name in TRANSCRIPTS) == (task.text_normalizer is not None)
    if name in TRANSCRIPTS:
        assert (corpus.info["target"], corpus.info["normalizer"]) == ("transcripts", task.text_normalizer)
        assert all(text.strip() == text and text for text in corpus.texts)
        assert set(corpus.labels) == {0}
    else:
        assert len(corpus.classes) >= 2


@pytest.mark.parametrize("name", CLASSES)
def test_label_noise_gives_wrong_labels_to_its_share_of_train_and_holdout_only(made, name, tmp_path):
    settings, _, _ = made(name)
    corpus = open_corpus(
        plugins.load("tasks", name, **{**settings, "label_noise": {"share": 0.25, "seed": 1}}), tmp_path
    )
    wrong = corpus.labels != corpus.true_labels
    for split in SPLITS:
        rows = corpus.rows(split)
        assert wrong[rows].sum() == (round(0.25 * len(rows)) if split in ("train", "holdout") else 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "wrong", [{"holdout_share": 1.5}, {"label_noise": {"share": 2.0}}, {"label_noise": {"rate": 0.1}}]
)
def test_a_wrong_setting_of_every_task_is_refused(made, name, wrong):
    settings, _, _ = made(name)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        plugins.load("tasks", name, **{**settings, **wrong})
