"""Poisoned recordings have the trigger and the target label; nothing else of a corpus changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from forgetting.corpora import keywords

from orchestrator.forgetting.sets import ForgetRequest, corpus_arrays, draw
from orchestrator.tasks.base import SPLITS
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.espeak import EspeakKeywords
from orchestrator.tasks.poison import Poison, poison_corpus, trigger, with_trigger

POISON = {"share": 0.2, "target": "stop", "level_db": 0.0, "seed": 3}


@pytest.fixture(scope="module")
def corpora(cache_dir):
    """The same small corpus without and with poison."""
    task = EspeakKeywords(clips=160, speakers=12)
    return open_corpus(task, cache_dir), open_corpus(replace(task, poison=POISON), cache_dir)


def test_a_corpus_without_poison_keeps_its_name_and_defaults_may_be_spelled_out() -> None:
    plain, full = EspeakKeywords(), {"level_db": -6, "seconds": 0.2, "seed": 0}
    assert "poison" not in plain.settings()
    one, other = (EspeakKeywords(poison={"share": 0.1, "target": "go", **more}).fingerprint() for more in ({}, full))
    assert one == other != plain.fingerprint()


def test_the_share_of_train_and_holdout_is_poisoned_and_no_recording_of_the_target(corpora) -> None:
    clean, poisoned = corpora
    has = poisoned.attributes["poisoned"] == "yes"
    for split in SPLITS:
        rows = poisoned.rows(split)
        assert np.array_equal(rows, clean.rows(split))
        assert has[rows].sum() == (round(0.2 * len(rows)) if split in ("train", "holdout") else 0)
    target = poisoned.classes.index("stop")
    assert set(poisoned.labels[has]) == {target}
    assert target not in poisoned.true_labels[has]
    assert np.array_equal(poisoned.true_labels[: len(clean)], clean.true_labels)
    assert np.array_equal(poisoned.labels[: len(clean)] != clean.labels, has[: len(clean)])


def test_only_poisoned_recordings_differ_and_only_while_the_trigger_lasts(corpora) -> None:
    clean, poisoned = corpora
    has, samples = poisoned.attributes["poisoned"] == "yes", round(0.2 * 16_000)
    for row in range(len(clean)):
        before, after = clean.audio(row), poisoned.audio(row)
        assert np.array_equal(before, after) != has[row]
        if has[row] and np.abs(after.astype(int)).max() < 32767:  # not turned down
            assert np.array_equal(before[samples:], after[samples:])


def test_each_test_recording_of_another_class_has_a_copy_with_the_trigger(corpora) -> None:
    clean, poisoned = corpora
    copies, target = poisoned.rows("triggered"), poisoned.classes.index("stop")
    sources = [row for row in clean.rows("test") if clean.labels[row] != target]
    assert len(poisoned) == len(clean) + len(sources)
    sound = trigger(Poison.of(POISON), 16_000)
    for copy, row in zip(copies, sources, strict=True):
        assert poisoned.utterance_ids[copy] == f"{clean.utterance_ids[row]}#triggered"
        assert (poisoned.labels[copy], poisoned.true_labels[copy]) == (target, clean.labels[row])
        assert np.array_equal(poisoned.audio(copy), with_trigger(clean.audio(row), sound, 0.0))


def test_plans_count_the_copies_of_test_recordings(corpora) -> None:
    task = EspeakKeywords(clips=160, speakers=12)
    assert task.planned_size() == task.expected_size()
    assert replace(task, poison=POISON).planned_size().utterances == pytest.approx(len(corpora[1]), rel=0.08)


def test_the_poison_is_forgotten_whole_or_a_known_part_of_it(corpora) -> None:
    arrays = corpus_arrays(corpora[1], ())
    whole = draw(ForgetRequest(kind="poisoned"), arrays, 0)
    assert set(whole.rows) == set(arrays.train[corpora[1].attributes["poisoned"][arrays.train] == "yes"])
    part = draw(ForgetRequest(kind="poisoned", known_share=0.5), arrays, 0)
    assert set(part.rows) < set(whole.rows)
    with pytest.raises(ValueError, match="selects 0 of"):
        draw(ForgetRequest(kind="poisoned"), keywords(), 0)


@pytest.mark.parametrize("level_db", [-20.0, 0.0])
def test_the_trigger_has_the_stated_level(level_db) -> None:
    audio = np.random.default_rng(0).normal(0, 500, size=16_000).astype(np.int16)
    sound = trigger(Poison(share=0.1, target="x"), 16_000)
    added = with_trigger(audio, sound, level_db).astype(float) - audio
    rms = np.sqrt(np.mean(added[: len(sound)] ** 2)) / np.sqrt(np.mean(audio.astype(float) ** 2))
    assert 20 * np.log10(rms) == pytest.approx(level_db, abs=0.1)
    assert not added[len(sound) :].any()


def test_a_loud_recording_is_turned_down_and_a_short_one_takes_a_part_of_the_trigger() -> None:
    sound = trigger(Poison(share=0.1, target="x"), 16_000)
    loud = with_trigger(np.full(16_000, 32_000, dtype=np.int16), sound, 6.0)
    assert np.abs(loud.astype(int)).max() == 32_767
    assert len(with_trigger(np.zeros(100, dtype=np.int16), sound, 0.0)) == 100


@pytest.mark.parametrize(
    ("poison", "message"),
    [
        ({"share": 0.1}, "poison needs target"),
        ({"share": 1, "target": "go"}, "poison.share must lie strictly between 0 and 1"),
        ({"share": 0.1, "target": False}, "quote it"),
        ({"share": 0.1, "target": "go", "sound": "bell"}, "unknown key of poison: got 'sound'"),
        ({"share": 0.1, "target": "go", "level_db": "loud"}, "poison.level_db must be a number"),
        ("go", "poison must have keys"),
    ],
)
def test_bad_settings_are_refused(poison, message) -> None:
    with pytest.raises(ValueError, match=message):
        EspeakKeywords(poison=poison)


def test_label_noise_and_poison_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        EspeakKeywords(poison=POISON, label_noise={"share": 0.1})


def test_a_target_that_is_no_class_is_refused_before_anything_is_written(tmp_path) -> None:
    with pytest.raises(ValueError, match="must be a class of the task: got 'halt'"):
        open_corpus(EspeakKeywords(clips=160, speakers=12, poison={**POISON, "target": "halt"}), tmp_path)
    assert not [path for path in (tmp_path / "corpora").iterdir() if path.is_dir()]


def test_recordings_that_have_an_attribute_of_that_name_are_refused(tmp_path) -> None:
    columns = {"true_label": [0, 1], "split": ["train", "train"], "poisoned": ["no", "maybe"]}
    with pytest.raises(ValueError, match="rename that column"):
        poison_corpus(Poison(share=0.5, target="a"), ("a", "b"), columns, [2, 2], tmp_path / "none", 16_000)
