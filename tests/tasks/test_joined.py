"""Joined corpora keep recordings, classes and splits of their parts, and say where each recording is from."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.espeak_digits import DIGITS, EspeakDigits
from orchestrator.tasks.joined import Joined

SYNTHETIC = {"name": "espeak_digits", "clips": 160, "speakers": 4, "languages": ["en-us", "ar"]}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder of noise by digit, named by its value."""
    folder = tmp_path_factory.mktemp("recorded")
    for digit in range(10):
        (folder / str(digit)).mkdir()
        for take in range(10):
            noise = np.random.default_rng([digit, take]).normal(0, 0.1, 8000)
            soundfile.write(folder / str(digit) / f"{take}.wav", noise, 16_000, subtype="PCM_16")
    return folder


def parts(folder):
    real = {
        "name": "audio_folder", "root": str(folder), "attributes": {"language": "noise"},
        "relabel": dict(enumerate(DIGITS)),
    }  # fmt: skip
    return {"real": real, "synthetic": SYNTHETIC}


@pytest.fixture(scope="module")
def joined(recorded, cache_dir):
    return open_corpus(Joined(parts=parts(recorded)), cache_dir)


def test_a_recording_has_its_source_and_constant_attributes_in_its_columns(joined) -> None:
    source, language = joined.attributes["source"], joined.attributes["language"]
    assert set(zip(source, language, strict=True)) == {("real", "noise"), ("synthetic", "en-us"), ("synthetic", "ar")}
    assert all(name.startswith(f"{of}/") for name, of in zip(joined.utterance_ids, source, strict=True))
    assert set(joined.classes) == set(DIGITS)


def test_recordings_and_labels_are_those_of_the_part(joined, cache_dir) -> None:
    alone = open_corpus(EspeakDigits(**{key: v for key, v in SYNTHETIC.items() if key != "name"}), cache_dir)
    row_of = {name: row for row, name in enumerate(joined.utterance_ids)}
    for row in range(0, len(alone), 10):
        other = row_of[f"synthetic/{alone.utterance_ids[row]}"]
        assert np.array_equal(alone.audio(row), joined.audio(other))
        assert alone.classes[alone.labels[row]] == joined.classes[joined.labels[other]]
        assert alone.splits[row] == joined.splits[other] or "holdout" in (alone.splits[row], joined.splits[other])


def test_the_holdout_is_drawn_from_the_train_of_both_parts(joined) -> None:
    assert set(joined.attributes["source"][joined.rows("holdout")]) == {"real", "synthetic"}


def test_its_name_depends_on_settings_of_parts_and_not_on_where_they_are(recorded, tmp_path) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(recorded)
    plain = Joined(parts=parts(recorded)).fingerprint()
    assert Joined(parts=parts(moved)).fingerprint() == plain
    other = parts(recorded)
    other["synthetic"] = {**SYNTHETIC, "seed": 1}
    assert Joined(parts=other).fingerprint() != plain


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "two or more parts"),
        ({"a": SYNTHETIC, "b": {"name": "no_such"}}, "part b needs the name of a task"),
        ({"a": SYNTHETIC, "b": {**SYNTHETIC, "poison": {"share": 0.1, "target": "one"}}}, "poison is a setting of the"),
        ({"a": SYNTHETIC, "b": {**SYNTHETIC, "voices": 3}}, "part b: espeak_digits has no setting voices"),
        ({"a": SYNTHETIC, "b": {**SYNTHETIC, "clips": "many"}}, "part b: clips "),
        ({"a": SYNTHETIC, "b": {**SYNTHETIC, "languages": ["klingon"]}}, "part b: languages must be"),
        ({"a": SYNTHETIC, "b": {"name": "espeak_speakers"}}, "one kind of class"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changed, message) -> None:
    with pytest.raises(ValueError, match=message):
        Joined(parts=changed)


def test_different_classes_are_refused_by_name(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"same classes: got .*yes"):
        Joined(parts={"digits": SYNTHETIC, "words": {"name": "espeak_keywords"}}).read()


def test_tasks_with_transcripts_are_not_joined() -> None:
    with pytest.raises(ValueError, match="parts must have classes: got tasks with transcripts"):
        Joined(parts={name: {"name": "espeak_sentences"} for name in "ab"})
