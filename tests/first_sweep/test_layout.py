from __future__ import annotations

import pytest

from orchestrator.first_sweep.layout import find_layout


def listed(root, **given):
    layout = find_layout(root, **given)
    return layout.basis, {str(row["path"]): row for row in layout.rows}


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


LABELS, SPEAKERS = ("yes", "no"), ("ann", "bob")


@pytest.mark.parametrize(
    ("basis", "name"),
    [
        ("class folders with speaker folders in them", "{label}/{speaker}/{take}.wav"),
        ("class folders, with files named SPEAKER_…", "{label}/{speaker}_{take}.wav"),
        ("class folders, with files named SPEAKER_…", "{label}/{speaker}_nohash_{take}.wav"),
        ("files named CLASS_SPEAKER_…", "{label}_{speaker}_{take}.wav"),
    ],
)
def test_classes_and_speakers_are_found_in_folders_and_names(tmp_path, basis, name):
    names = [name.format(label=la, speaker=sp, take=take) for la in LABELS for sp in SPEAKERS for take in (0, 1)]
    found, rows = listed(touch(tmp_path, *names))
    assert found == basis
    assert {(row["label"], row["speaker"]) for row in rows.values()} == {(la, sp) for la in LABELS for sp in SPEAKERS}
    assert sorted(rows) == sorted(names)


@pytest.mark.parametrize("name", ["{label}/{take}.wav", "{label}/take_{take}.wav", "{label}/{label}_{take}.wav"])
def test_a_part_of_a_name_that_is_no_speaker_is_not_taken_for_one(tmp_path, name):
    found, rows = listed(touch(tmp_path, *(name.format(label=la, take=take) for la in LABELS for take in (0, 1, 2))))
    assert found == "class folders"
    assert all("speaker" not in row for row in rows.values())


@pytest.mark.parametrize(("folder", "split"), [("train", "train"), ("dev", "validation"), ("val", "validation")])
def test_folders_of_splits_are_no_classes(tmp_path, folder, split):
    names = [f"{where}/{label}/{take}.wav" for where in (folder, "test") for label in LABELS for take in (0, 1)]
    _, rows = listed(touch(tmp_path, *names))
    assert {row["split"] for row in rows.values()} == {split, "test"}
    assert {row["label"] for row in rows.values()} == set(LABELS)


def test_a_manifest_in_the_folder_is_taken_with_its_own_columns(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "notes.csv").write_text("about\nnothing\n")
    (tmp_path / "clips.csv").write_text("path,word,client_id,accent\na.wav,yes,ann,north\nb.wav,no,bob,\n")
    found, rows = listed(tmp_path)
    assert found == "manifest clips.csv"
    assert rows["a.wav"] == {"path": "a.wav", "label": "yes", "speaker": "ann", "accent": "north"}


def test_a_column_can_be_named(tmp_path):
    (tmp_path / "clips.csv").write_text("path,label,digit\na.wav,x,1\n")
    _, rows = listed(touch(tmp_path, "a.wav"), label_from="digit")
    assert rows["a.wav"]["label"] == "1"
    with pytest.raises(ValueError, match=r"--label-from names a column that clips.csv does not have: got 'nothing'"):
        find_layout(tmp_path, label_from="nothing")


def test_several_manifests_are_a_question(tmp_path):
    for name in ("keywords.csv", "speakers.csv"):
        (tmp_path / name).write_text("path,label\na.wav,x\n")
    with pytest.raises(
        ValueError, match=r"several manifests \(keywords.csv, speakers.csv\): choose one with --manifest"
    ):
        find_layout(tmp_path)
    assert find_layout(tmp_path, tmp_path / "speakers.csv").basis == "manifest speakers.csv"


def test_a_recording_outside_the_class_folders_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"1 of 5 recordings do not fit class folders, such as 'stray.wav'"):
        find_layout(touch(tmp_path, "a/1.wav", "a/2.wav", "b/1.wav", "b/2.wav", "stray.wav"))


def test_a_pattern_must_fit_every_name(tmp_path):
    pattern = r"(?P<label>[a-z]+)(?P<take>\d)"
    _, rows = listed(touch(tmp_path, "go1.wav", "go2.wav"), pattern=pattern)
    assert rows["go1.wav"] == {"path": "go1.wav", "label": "go", "take": "1"}
    with pytest.raises(ValueError, match=r"1 of 3 recordings do not fit the pattern, such as 'other.wav'"):
        find_layout(touch(tmp_path, "other.wav"), pattern=pattern)


def test_a_folder_without_audio_says_what_is_in_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no recordings in .*expected files with .wav.*1 .m4a file cannot"):
        find_layout(touch(tmp_path, "a.m4a", "readme.txt"))
