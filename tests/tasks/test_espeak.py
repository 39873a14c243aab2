from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.tasks.base import SPLITS
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.corpus import Corpus
from orchestrator.tasks.espeak import TASKS, EspeakKeywords, EspeakPretraining, EspeakSpeakers
from orchestrator.tasks.espeak_tts.corpus import NOBODY, EspeakTask
from orchestrator.tasks.espeak_tts.engine import variant_halves
from orchestrator.tasks.espeak_tts.words import KEYWORDS, PRETRAINING_WORDS, UNKNOWN_WORDS

SMALL: dict[str, EspeakTask] = {
    "espeak_keywords": EspeakKeywords(clips=360, speakers=6),
    "espeak_speakers": EspeakSpeakers(clips=90, speakers=5),
    "espeak_pretraining": EspeakPretraining(clips=120, speakers=6, words=5),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Corpus]:
    folder = tmp_path_factory.mktemp("corpora")
    return cache(lambda name: open_corpus(SMALL[name], folder))


def heard(task: EspeakTask) -> list[tuple[str, str, bytes]]:
    return [(u.utterance_id, u.split, u.audio.tobytes()) for u in task.read().utterances]


def counts(corpus: Corpus, split: str) -> dict[str, int]:
    return dict(Counter(corpus.classes[label] for label in corpus.labels[corpus.rows(split)]))


def planned(task: EspeakKeywords, split: str) -> dict[str, int]:
    return dict(task.class_sizes()[split])


@pytest.mark.parametrize("name", TASKS)
def test_a_corpus_has_the_clips_that_were_asked_for(name: str, built: Callable[[str], Corpus]) -> None:
    task, corpus = SMALL[name], built(name)
    assert isinstance(task, TASKS[name])
    assert len(corpus) == task.clips == task.expected_size().utterances
    assert len(corpus.classes) == task.expected_size().classes
    assert set(corpus.num_samples) == {16_000}
    assert set(np.unique(corpus.splits)) == set(SPLITS)
    assert set(corpus.labels) == set(range(len(corpus.classes)))


@pytest.mark.parametrize("name", TASKS)
def test_no_clip_is_silent_or_clipped(name: str, built: Callable[[str], Corpus]) -> None:
    corpus = built(name)
    for row in range(len(corpus)):
        samples = corpus.audio(row).astype(np.float64)
        loudness_db = 20 * np.log10(np.sqrt(np.mean(samples**2)) / 32_768)
        least = -65 if corpus.speakers[row] == NOBODY else -48
        assert least < loudness_db < -10, corpus.utterance_ids[row]
        assert np.abs(samples).max() < 32_200, corpus.utterance_ids[row]


@pytest.mark.parametrize("name", TASKS)
def test_attributes_say_what_was_drawn(name: str, built: Callable[[str], Corpus]) -> None:
    corpus, task = built(name), SMALL[name]
    spoken = corpus.speakers != NOBODY
    variants = variant_halves()[task.half]
    assert set(corpus.column("voice")[spoken]) <= set(variants)
    assert set(corpus.column("gender")[spoken]) <= {"male", "female", None}
    snr_db = corpus.column("snr_db")[spoken]
    assert snr_db.min() >= 5
    assert snr_db.max() <= 25
    assert set(corpus.column("noise")) == set(task.noises)
    assert np.all(np.isfinite(corpus.column("pitch")[spoken]) & np.isfinite(corpus.column("words_per_minute")[spoken]))
    voices = {(s, v, a) for s, v, a in zip(*(corpus.column(c) for c in ("speaker", "voice", "accent")), strict=True)}
    assert len(voices) == len(set(corpus.speakers))  # a speaker keeps its voice and accent


def test_clips_hold_the_word_at_the_given_snr(built: Callable[[str], Corpus]) -> None:
    corpus = built("espeak_speakers")
    snr_db, peaks = corpus.column("snr_db"), []
    for row in range(len(corpus)):
        power = (corpus.audio(row).astype(np.float64).reshape(-1, 400) ** 2).mean(axis=1)
        peaks.append(10 * np.log10(np.percentile(power, 95) / np.percentile(power, 10)))
    assert np.corrcoef(snr_db, peaks)[0, 1] > 0.5


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(
    name: str, built: Callable[[str], Corpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, first = SMALL[name], built(name)
    settings = {**task.settings(), "workers": 1}
    again = TASKS[name](**settings)
    assert again.fingerprint() == task.fingerprint()
    second = open_corpus(again, tmp_path)
    assert second.path != first.path
    assert second.table.equals(first.table)


def test_many_workers_on_many_chunks_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.tasks.espeak_tts.rendering.CLIPS_PER_PROCESS", 10)
    one, three = (heard(EspeakSpeakers(clips=80, speakers=4, workers=workers)) for workers in (1, 3))
    assert one == three


def test_another_seed_gives_other_voices_and_other_clips() -> None:
    first, second = (heard(EspeakSpeakers(clips=40, speakers=4, seed=seed)) for seed in (0, 1))
    assert not {audio for *_, audio in first} & {audio for *_, audio in second}
    assert EspeakSpeakers(seed=0).fingerprint() != EspeakSpeakers(seed=1).fingerprint()


def test_keyword_classes_are_balanced_in_every_split_and_in_superbs_order(built: Callable[[str], Corpus]) -> None:
    corpus = built("espeak_keywords")
    assert corpus.classes == (*KEYWORDS, "_silence_", "_unknown_")
    for split in SPLITS:
        sizes = counts(corpus, split)
        assert max(sizes.values()) - min(sizes.values()) <= 1
    assert corpus.info["counts"] == {"train": 243, "validation": 36, "test": 54, "holdout": 27}


def test_keywords_are_labelled_by_what_is_said(built: Callable[[str], Corpus]) -> None:
    corpus = built("espeak_keywords")
    labels = np.array(corpus.classes)[corpus.labels]
    for label, text, speaker in zip(labels, corpus.column("text"), corpus.speakers, strict=True):
        if label == "_silence_":
            assert (text, speaker) == (None, NOBODY)
        else:
            assert label == (text if text in KEYWORDS else "_unknown_")
    assert {text for text in corpus.column("text") if text} == set(KEYWORDS) | set(UNKNOWN_WORDS)


def test_superbs_skew_is_in_train_and_holdout_and_not_in_test() -> None:
    task = EspeakKeywords(clips=6000, unknown_share=0.64, train_silence_clips=6)
    balanced = EspeakKeywords(clips=6000)
    train = planned(task, "train")
    assert train["_unknown_"] == round(0.64 * sum(train.values()))
    assert train["_silence_"] == 6
    assert max(train[word] for word in KEYWORDS) - min(train[word] for word in KEYWORDS) <= 1
    holdout = planned(task, "holdout")
    assert holdout["_unknown_"] / sum(holdout.values()) == pytest.approx(0.64, abs=0.01)
    assert holdout["_silence_"] == 1
    for split in SPLITS:
        assert sum(planned(task, split).values()) == sum(planned(balanced, split).values())
    for split in ("validation", "test"):
        assert planned(task, split) == planned(balanced, split)
    roles = Counter((role.split, role.label) for role in task.roles([_somebody()]))
    assert roles["train", "_silence_"] == 6


def _somebody(name: str = "s0000") -> Any:
    from orchestrator.tasks.espeak_tts.sampling import Speaker

    return Speaker(name, "f1", "en-us", 50, 165, "female")


def test_every_keyword_speaker_is_in_every_split_unless_told_otherwise(built: Callable[[str], Corpus]) -> None:
    corpus = built("espeak_keywords")
    for split in SPLITS:
        assert len(set(corpus.speakers[corpus.rows(split)]) - {NOBODY}) == 6


def test_disjoint_speakers_are_disjoint_but_holdout_is_drawn_like_train() -> None:
    task = EspeakKeywords(clips=1200, speakers=20, speaker_disjoint=True)
    roles = task.roles([_somebody(f"s{number:04d}") for number in range(20)])
    who = {split: {role.speaker.name for role in roles if role.split == split and role.speaker} for split in SPLITS}
    assert (len(who["test"]), len(who["validation"]), len(who["train"])) == (3, 2, 15)
    assert not who["test"] & who["train"]
    assert not who["validation"] & (who["train"] | who["test"])
    assert who["holdout"] == who["train"]


@pytest.mark.parametrize(("clips", "speakers"), [(90, 5), (1200, 20), (83, 10)])
def test_every_speaker_is_in_every_split_in_the_same_proportion(clips: int, speakers: int) -> None:
    task = EspeakSpeakers(clips=clips, speakers=speakers)
    roles = task.roles([_somebody(name) for name in task.classes])
    assert len(roles) == clips
    cells = Counter((role.split, role.label) for role in roles)
    for split in SPLITS:
        sizes = [cells[split, name] for name in task.classes]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1
    assert all(role.speaker is not None and role.speaker.name == role.label for role in roles)


def test_a_speakers_words_fall_into_all_splits_alike() -> None:
    task = EspeakSpeakers(clips=20_000, speakers=20)
    roles = task.roles([_somebody(name) for name in task.classes])
    for split, share in (("train", 0.675), ("validation", 0.1), ("test", 0.15), ("holdout", 0.075)):
        words = Counter(role.text for role in roles if role.split == split)
        assert set(words) == {*KEYWORDS, *UNKNOWN_WORDS}
        expected = share * 20_000 / 30
        assert all(abs(count - expected) < 5 * np.sqrt(expected) for count in words.values())


def test_longer_clips_hold_more_words() -> None:
    task = EspeakSpeakers(clips=16, speakers=2, seconds=2.5, words_per_clip=3)
    for utterance in task.read().utterances:
        assert len(utterance.audio) == 40_000
        assert len(str(utterance.attributes["text"]).split()) == 3


def test_a_corpus_can_do_without_holdout() -> None:
    for task in (
        EspeakKeywords(holdout_share=0.0),
        EspeakSpeakers(holdout_share=0.0),
        EspeakPretraining(holdout_share=0),
    ):
        speakers = [_somebody(f"s{number:04d}") for number in range(task.speakers)]
        assert Counter(role.split for role in task.roles(speakers)).keys() == {"train", "validation", "test"}


def test_pretraining_shares_neither_words_nor_voices_with_the_other_tasks(built: Callable[[str], Corpus]) -> None:
    pretraining, keywords = built("espeak_pretraining"), built("espeak_keywords")
    assert not set(PRETRAINING_WORDS) & {*KEYWORDS, *UNKNOWN_WORDS, "backward", "forward", "follow", "learn", "visual"}
    assert len(set(PRETRAINING_WORDS)) == len(PRETRAINING_WORDS) >= 190
    assert not set(pretraining.column("voice")) & set(keywords.column("voice"))
    assert pretraining.column("text").tolist() == [pretraining.classes[label] for label in pretraining.labels]
    assert EspeakPretraining.half != EspeakKeywords.half == EspeakSpeakers.half


def test_lists_and_whole_numbers_from_a_file_give_the_same_fingerprint() -> None:
    written: dict[str, Any] = {"snr_db": [5, 25], "level_db": [-35, -18], "voice_spread": 1, "noises": ["hum", "white"]}
    spoken: dict[str, Any] = {"snr_db": (5.0, 25.0), "voice_spread": 1.0, "noises": ("hum", "white")}
    assert EspeakKeywords(**written).fingerprint() == EspeakKeywords(**spoken).fingerprint()
    assert EspeakKeywords(snr_db=(0, 25)).fingerprint() != EspeakKeywords().fingerprint()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("espeak_keywords", {"clips": 20}, "too few clips: got clips=20, which leaves the validation split without"),
        ("espeak_keywords", {"clips": 1200.5}, "clips must be a whole number of at least 1, got 1200.5"),
        ("espeak_keywords", {"clips": True}, "clips must be a whole number"),
        ("espeak_keywords", {"speakers": 1}, "speakers must be a whole number from 2 to 9999, got 1"),
        ("espeak_keywords", {"snr_db": 10}, r"snr_db must be a pair \[low, high\], got 10"),
        ("espeak_keywords", {"snr_db": [20, 5]}, "with low <= high"),
        ("espeak_keywords", {"level_db": [-20, 3]}, "level_db must be a number from -60 to 0, got 3"),
        ("espeak_keywords", {"noises": ["rain"]}, "noises must be one or more of white, pink, .*, got"),
        ("espeak_keywords", {"noises": []}, "noises must be one or more"),
        ("espeak_keywords", {"test_share": 15}, "test_share must be a number from 0.001 to 0.4, got 15"),
        ("espeak_keywords", {"unknown_share": 64}, "unknown_share must be a number from 0.01 to 0.95, got 64"),
        ("espeak_keywords", {"train_silence_clips": -1}, "train_silence_clips must be a whole number"),
        ("espeak_keywords", {"train_silence_clips": 900}, "too few clips: .* leaves the train split without yes"),
        ("espeak_keywords", {"speaker_disjoint": "no"}, "speaker_disjoint must be true or false, got 'no'"),
        ("espeak_keywords", {"speaker_disjoint": True, "speakers": 2}, "needs at least three speakers"),
        ("espeak_keywords", {"workers": 0}, "workers must be a whole number from 1 to 1024, got 0"),
        ("espeak_keywords", {"label_noise": {"share": 2}}, "label_noise"),
        ("espeak_speakers", {"clips": 100}, "got clips=100 for 20 speakers, allowed: at least 8 a speaker, 160 in all"),
        ("espeak_speakers", {"voice_spread": 0}, "voice_spread must be a number from 0.001 to 1, got 0"),
        ("espeak_speakers", {"seconds": 0}, "seconds must be a number from 0.1 to 60, got 0"),
        ("espeak_speakers", {"words_per_clip": 0}, "words_per_clip must be a whole number from 1 to 50, got 0"),
        ("espeak_pretraining", {"clips": 500}, "too few clips: got clips=500"),
        ("espeak_pretraining", {"words": 1000}, "words must be a whole number from 2 to"),
    ],
)
def test_settings_that_cannot_be_met_are_refused_when_they_are_given(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TASKS[name](**settings)
