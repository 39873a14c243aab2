"""The embedded recognition corpus: unique sentences, and canaries whose controls nothing is trained on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.tasks.base import SPLITS
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.corpus import Corpus
from orchestrator.tasks.espeak_sentences import EspeakSentences
from orchestrator.tasks.espeak_tts.grammar import vocabulary
from orchestrator.tasks.espeak_tts.sampling import Speaker
from orchestrator.tasks.normalizers import english_1

SMALL = EspeakSentences(sentences=60, voices=5, canaries=3, repetitions=2, workers=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return open_corpus(SMALL, tmp_path_factory.mktemp("sentences"))


def somebody(name: str) -> Speaker:
    return Speaker(name, "f1", "en-us", 50, 165, "female")


def test_it_has_the_recordings_that_its_settings_say(corpus: Corpus) -> None:
    assert len(corpus) == 60 + 2 * 3 * 2 == SMALL.expected_size().utterances
    assert corpus.info["counts"] == {"train": 47, "validation": 6, "test": 9, "holdout": 10}
    assert SMALL.expected_size().seconds == pytest.approx(corpus.num_samples.mean() / 16_000, rel=0.25)


def test_no_sentence_is_in_two_splits_and_each_is_made_of_the_vocabulary(corpus: Corpus) -> None:
    sentences = corpus.texts[corpus.column("canary") == ""]
    assert len(set(sentences)) == len(sentences)
    assert {word for text in sentences for word in text.split()} <= set(vocabulary())
    assert all(english_1(text) == text for text in corpus.texts)


def test_canaries_are_in_train_only_and_controls_in_holdout_only(corpus: Corpus) -> None:
    found = Counter(zip(corpus.splits.tolist(), corpus.column("canary").tolist(), strict=True))
    names = [f"{kind}-0{number}" for kind in ("planted", "control") for number in range(3)]
    assert {key: n for key, n in found.items() if key[1]} == {
        ("train" if name.startswith("planted") else "holdout", name): 2 for name in names
    }
    about = corpus.info["canaries"]
    assert list(about) == names
    for name, canary in about.items():
        assert set(corpus.texts[corpus.column("canary") == name]) == {canary["text"]}
        assert canary["text"] == f"{canary['prefix']} {canary['secret']}"
        assert canary["planted"] == name.startswith("planted")
        assert set(canary["secret"].split()) <= set(canary["words"])
    assert len({canary["secret"] for canary in about.values()}) == len(about)
    assert len({canary["prefix"] for canary in about.values()}) == len(about)


def test_noise_covers_the_secret_in_the_last_recordings_of_canaries_and_controls(
    corpus: Corpus, tmp_path: Path
) -> None:
    noisy = open_corpus(EspeakSentences(**{**SMALL.settings(), "masked_repetitions": 1}), tmp_path)
    assert noisy.texts.tolist() == corpus.texts.tolist()
    assert noisy.fingerprint != corpus.fingerprint
    changed = [not np.array_equal(noisy.audio(row), corpus.audio(row)) for row in range(len(corpus))]
    for name in corpus.info["canaries"]:
        assert [changed[row] for row in np.flatnonzero(corpus.column("canary") == name)] == [False, True]
    assert sum(changed) == 2 * 3
    with pytest.raises(ValueError, match="masked_repetitions must be a whole number from 0 to 1, got 2"):
        EspeakSentences(**{**SMALL.settings(), "masked_repetitions": 2})


def test_corpora_from_before_masked_repetitions_keep_their_names() -> None:
    assert "masked_repetitions" not in SMALL.settings()


def test_repetitions_of_a_canary_have_different_voices(corpus: Corpus) -> None:
    for name in corpus.info["canaries"]:
        speakers = corpus.speakers[corpus.column("canary") == name]
        assert len(set(speakers)) == len(speakers)


def test_every_voice_is_in_every_split_unless_told_otherwise(corpus: Corpus) -> None:
    for split in SPLITS:
        assert len(set(corpus.speakers[corpus.rows(split)])) == 5
    apart = EspeakSentences(sentences=60, voices=8, canaries=2, repetitions=2, speaker_disjoint=True)
    roles = apart.roles([somebody(f"s{number:04d}") for number in range(8)])
    assert len(roles) == apart.expected_size().utterances
    who = {split: {role.speaker.name for role in roles if role.split == split and role.speaker} for split in SPLITS}
    assert not who["test"] & (who["train"] | who["validation"])
    assert who["holdout"] <= who["train"]


def test_speech_is_not_cut_off_and_not_silent(corpus: Corpus) -> None:
    for row in range(len(corpus)):
        power = corpus.audio(row).astype(np.float64) ** 2
        assert power.max() > 0
        assert 0.1 < corpus.num_samples[row] / 16_000 / len(corpus.texts[row].split()) < 1.2


def test_the_same_settings_give_the_same_bytes_and_another_seed_other_secrets(corpus: Corpus, tmp_path: Path) -> None:
    again = open_corpus(EspeakSentences(**{**SMALL.settings(), "workers": 2}), tmp_path)
    assert again.table.equals(corpus.table)
    other = EspeakSentences(**{**SMALL.settings(), "seed": 1})
    assert other.fingerprint() != SMALL.fingerprint()
    secrets = [{c["secret"] for c in about["canaries"].values()} for about in (other.read().about, corpus.info)]
    assert not secrets[0] & secrets[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sentences": 10}, "sentences must be a whole number from 20 to 20000, got 10"),
        ({"voices": 1}, "voices must be a whole number from 2"),
        ({"canaries": 100}, "canaries must be a whole number from 0 to 48, got 100"),
        ({"repetitions": 0}, "repetitions must be a whole number from 1"),
        ({"holdout_share": 0}, "canaries need a holdout"),
        ({"sentences": 20, "validation_share": 0.001}, "too few sentences: .* which leaves validation empty"),
        ({"speaker_disjoint": True, "voices": 2}, "needs at least three speakers"),
        ({"snr_db": [20, 5]}, "with low <= high"),
        ({"label_noise": {"share": 0.1}}, "label_noise exchanges classes"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EspeakSentences(**settings)
