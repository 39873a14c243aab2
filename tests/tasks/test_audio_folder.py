"""Class folders and names that follow a pattern become a corpus; defects in recordings and settings are named."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tasks.recordings import DIGITS, digits, read_all, two_words, write

from orchestrator.errors import RecordingsNotice
from orchestrator.forgetting.sets import ForgetRequest, corpus_arrays, draw
from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.sources.audio_files import BadRecordingError


def test_names_that_follow_a_pattern_become_keywords_speakers_and_attributes(tmp_path: Path) -> None:
    source, found = read_all(AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit"))
    assert source.classes == ("0", "1", "2")
    assert [u.utterance_id for u in found] == sorted(path.name for path in tmp_path.iterdir())
    one = next(u for u in found if u.utterance_id == "2_bob_7.wav")
    assert (one.label, one.speaker, dict(one.attributes)) == ("2", "bob", {"take": "7"})


def test_the_same_recordings_serve_speaker_identification(tmp_path: Path) -> None:
    task = AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", target="speakers")
    source, found = read_all(task)
    assert task.kind == "speakers"
    assert source.classes == ("ann", "bob")
    assert all(u.label == u.speaker and set(u.attributes) == {"digit", "take"} for u in found)


def test_test_where_chooses_the_test_recordings_exactly(tmp_path: Path) -> None:
    task = AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", test_where={"take": [0, 1]})
    _, found = read_all(task)
    assert {u.utterance_id for u in found if u.split == "test"} == {
        u.utterance_id for u in found if u.attributes["take"] in ("0", "1")
    }
    validation = Counter((u.label, u.speaker) for u in found if u.split == "validation")
    assert Counter(u.label for u in found if u.split == "validation") == {"0": 2, "1": 2, "2": 2}
    assert set(validation.values()) == {1}


def test_a_whole_speaker_can_be_the_test_set(tmp_path: Path) -> None:
    task = AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", test_where={"speaker": "bob"})
    _, found = read_all(task)
    assert {u.speaker for u in found if u.split == "test"} == {"bob"}
    assert {u.speaker for u in found if u.split != "test"} == {"ann"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"label_from": "speaker"},
            "label_from and speaker_from name one column: got 'speaker' for both; .*target: speakers",
        ),
        ({"label_from": "word", "speaker_from": "word"}, "label_from and speaker_from name one column: got 'word'"),
        ({"target": "transcripts", "text_from": "speaker"}, "speaker_from and text_from name one column"),
        ({"target": "transcripts", "text_from": ".txt", "speaker_from": "transcript"}, "got 'transcript' for both"),
        ({"label_from": "split"}, "column `split` holds train, validation or test: got label_from 'split'"),
        ({"target": "transcripts", "text_from": "split"}, "got text_from 'split'"),
        ({"speaker_from": "split"}, "got speaker_from 'split'"),
        ({"target": "speakers", "speaker_from": "split"}, "got speaker_from 'split'"),
    ],
)
def test_a_column_that_would_stand_for_two_things_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AudioFolder(root="anywhere", **settings)


def test_an_unknown_column_in_test_where_is_refused(tmp_path: Path) -> None:
    task = AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", test_where={"tke": 0})
    with pytest.raises(ValueError, match="unknown column in test_where: got 'tke', allowed: digit, speaker, take"):
        task.read()


def test_drawn_splits_hold_their_share_of_every_class_and_follow_the_seed(tmp_path: Path) -> None:
    root = str(digits(tmp_path, takes=20))
    splits = []
    for seed in (0, 0, 1):
        task = AudioFolder(
            root=root, pattern=DIGITS, label_from="digit", seed=seed, test_share=0.2, validation_share=0.25
        )
        _, found = read_all(task)
        for label in ("0", "1", "2"):
            assert Counter(u.split for u in found if u.label == label) == {"train": 24, "validation": 8, "test": 8}
        splits.append([u.split for u in found])
    assert splits[0] == splits[1] != splits[2]


def test_class_folders_need_no_settings(tmp_path: Path) -> None:
    write(tmp_path, [f"{word}/deep/{take}.wav" for word in ("no", "yes") for take in range(10)])
    source, found = read_all(AudioFolder(root=str(tmp_path)))
    assert source.classes == ("no", "yes")
    assert all(u.label == u.utterance_id.split("/")[0] and u.speaker == "" for u in found)
    assert Counter(u.split for u in found) == {"train": 16, "validation": 2, "test": 2}


def bad_tree(tmp_path: Path) -> Path:
    write(tmp_path, [f"{word}/{take}.wav" for word in ("no", "yes") for take in range(20)])
    (tmp_path / "yes/3.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "no/4.wav", np.array([np.nan], np.float32), 16_000, subtype="FLOAT")
    write(tmp_path, ["stray.wav"])
    return tmp_path


def test_bad_recordings_are_an_error_by_default(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"the file is in no class folder: .*stray\.wav; allowed: .*on_bad_audio: skip"
    ):
        read_all(AudioFolder(root=str(bad_tree(tmp_path))))


def test_skipped_recordings_are_listed_in_the_corpus(tmp_path: Path) -> None:
    task = AudioFolder(root=str(bad_tree(tmp_path / "in")), on_bad_audio="skip")
    corpus = open_corpus(task, tmp_path / "cache")
    assert len(corpus) == 38
    assert {Path(line.split(":")[0]).name for line in corpus.info["skipped"]} == {"stray.wav", "3.wav", "4.wav"}


def test_skipping_may_not_empty_a_class(tmp_path: Path) -> None:
    write(tmp_path, [f"{word}/{take}.wav" for word in ("no", "yes") for take in range(10)])
    for path in (tmp_path / "yes").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"got yes \(0\), allowed: 2 or more"):
        read_all(AudioFolder(root=str(tmp_path), on_bad_audio="skip"))


def test_labels_outside_the_classes_are_unknown_or_refused(tmp_path: Path) -> None:
    write(tmp_path, [f"{word}/{take}.wav" for word in ("cat", "dog", "no", "yes") for take in range(10)])
    with pytest.raises(
        ValueError, match=r"unknown label of .*cat.0\.wav: got 'cat', allowed: yes, no; `unknown_label`"
    ):
        AudioFolder(root=str(tmp_path), classes=["yes", "no"]).read()
    task = AudioFolder(root=str(tmp_path), classes=["yes", "no"], unknown_label="other")
    source, found = read_all(task)
    assert source.classes == ("yes", "no", "other")
    assert {u.attributes["word"] for u in found if u.label == "other"} == {"cat", "dog"}
    assert "other" in task.unforgettable


def test_long_recordings_are_cut_and_any_rate_becomes_16_khz(tmp_path: Path) -> None:
    write(tmp_path, [f"{word}/{take}.wav" for word in ("no", "yes") for take in range(10)], rate_hz=8_000)
    _, found = read_all(AudioFolder(root=str(tmp_path), max_seconds=0.005))
    assert {len(u.audio) for u in found} == {80}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "words"}, "unknown target: got 'words', allowed: keywords, speakers"),
        ({"manifest": "a.csv", "pattern": "(?P<label>.)"}, "two ways to list recordings"),
        ({"test_share": 1.5}, r"test_share must lie in \[0, 1\), got 1.5"),
        ({"on_bad_audio": "ignore"}, "unknown on_bad_audio: got 'ignore', allowed: error, skip"),
        ({"unknown_label": "other"}, "got no classes"),
        ({"max_seconds": 0}, "max_seconds must be positive, got 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AudioFolder(root="anywhere", **settings)  # type: ignore[arg-type]


def test_missing_data_are_named_with_the_setting_that_leads_to_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"got root .*absent, which is not a folder; set `root`"):
        AudioFolder(root=str(tmp_path / "absent")).content()
    with pytest.raises(FileNotFoundError, match="no recordings"):
        AudioFolder(root=str(tmp_path)).content()
    with pytest.raises(FileNotFoundError, match=r"table not found: got .*list\.csv"):
        AudioFolder(root=str(tmp_path), manifest="list.csv").content()


def test_the_expected_size_needs_no_audio(tmp_path: Path) -> None:
    for name in ("yes/a.wav", "yes/b.wav", "no/c.wav", "no/d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(64_000))
    assert AudioFolder(root=str(tmp_path)).expected_size() == (4, 2.0, 2)
    assert AudioFolder(root=str(tmp_path), max_seconds=1.5).expected_size() == (4, 1.5, 2)
    assert AudioFolder(root=str(tmp_path / "absent"), classes=["a"]).expected_size() == (0, 0.0, 1)


def test_forget_sets_are_drawn_from_the_corpus_on_disk(tmp_path: Path) -> None:
    task = AudioFolder(root=str(digits(tmp_path / "in")), pattern=DIGITS, label_from="digit", holdout_share=0.2)
    corpus = open_corpus(task, tmp_path / "cache")
    arrays = corpus_arrays(corpus, task.unforgettable)
    forget_set = draw(ForgetRequest(kind="speaker", speakers=("ann",)), arrays, seed=0)
    assert set(corpus.speakers[forget_set.rows]) == {"ann"}
    assert set(forget_set.rows) < set(corpus.rows("train"))
    named = draw(ForgetRequest(kind="class", classes=("1",)), arrays, seed=0)
    assert [corpus.classes[label] for label in named.forgotten_classes] == ["1"]
    assert all(corpus.utterance_ids[row].startswith("1_") for row in named.rows)


@pytest.mark.skipif("UNLEARN_DATA" not in os.environ, reason="UNLEARN_DATA is not set: FSDD is needed")
@pytest.mark.parametrize(("target", "num_classes"), [("keywords", 10), ("speakers", 6)])
def test_fsdd_is_read_with_its_own_test_takes(target: str, num_classes: int) -> None:
    task = AudioFolder(
        root=str(Path(os.environ["UNLEARN_DATA"]) / "fsdd"),
        pattern=DIGITS,
        label_from="digit",
        target=target,
        speaker_table="speakers.csv",
        test_where={"take": [0, 1, 2, 3, 4]},
    )
    source, found = read_all(task)
    assert len(source.classes) == num_classes
    assert Counter(u.split for u in found) == {"train": 2430, "validation": 270, "test": 300}
    assert {u.attributes["take"] for u in found if u.split == "test"} == set("01234")
    assert all(u.attributes["accent"] for u in found)
    assert sum(len(u.audio) for u in found) / 16_000 / 60 == pytest.approx(21.9, abs=0.1)


def test_unreadable_kinds_are_an_error_or_counted_among_what_was_skipped(tmp_path: Path) -> None:
    two_words(tmp_path)
    for path in (tmp_path / "1").iterdir():
        path.rename(path.with_suffix(".m4a"))
    with pytest.raises(BadRecordingError, match=r"6 \.m4a files cannot be read: 1/0\.m4a, 1/1\.m4a, 1/2\.m4a, …"):
        AudioFolder(root=str(tmp_path)).read()
    with pytest.raises(ValueError, match=r"too few classes: got 0, allowed: two or more; left out: .*6 \.m4a files"):
        AudioFolder(root=str(tmp_path), on_bad_audio="skip").read()
    write(tmp_path, [f"2/{take}.wav" for take in range(6)])
    source = AudioFolder(root=str(tmp_path), on_bad_audio="skip").read()
    assert source.classes == ("0", "2")
    assert len(source.skipped) == 1
    with pytest.raises(FileNotFoundError, match=r"no recordings: .*; 6 \.m4a files cannot be read"):
        AudioFolder(root=str(tmp_path / "1")).content()


def test_names_that_are_not_utf_8_are_escaped_everywhere(tmp_path: Path) -> None:
    two_words(tmp_path / "in")
    os.rename(tmp_path / "in/0", os.fsencode(tmp_path) + b"/in/caf\xe9")
    corpus = open_corpus(AudioFolder(root=str(tmp_path / "in"), test_share=0.2), tmp_path / "cache")
    assert corpus.classes == ("1", "caf\\xe9")
    assert "caf\\xe9/0.wav" in corpus.utterance_ids


def test_a_link_to_a_folder_that_was_read_is_noted(tmp_path: Path) -> None:
    (two_words(tmp_path / "in") / "2").symlink_to("1")
    with pytest.warns(RecordingsNotice, match="links to folders that were read under another name are left out: 2"):
        corpus = open_corpus(AudioFolder(root=str(tmp_path / "in"), test_share=0.2), tmp_path / "cache")
    assert len(corpus.info["notes"]) == 1
