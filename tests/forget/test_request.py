from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.forget.recordings import read_manifest
from orchestrator.forget.request import Request, resolve, without_earlier

CLASSES = ("down", "left", "right", "up")


@pytest.fixture(scope="module")
def recordings(commands):
    return read_manifest(commands / "manifest.csv", CLASSES)


@pytest.fixture
def listed(tmp_path):
    """A request that lists ids in a file."""

    def write(text, suffix=".txt"):
        (tmp_path / f"ids{suffix}").write_text(text)
        return Request(ids_file=tmp_path / f"ids{suffix}")

    return write


@pytest.mark.parametrize("text", ["up-ann-00\nup-ben-01\n", "\n up-ann-00 \nup-ben-01\nup-ann-00"])
def test_listed_ids_are_found_once_each(recordings, listed, text):
    found = resolve(listed(text), recordings, CLASSES)
    assert recordings.ids[found.rows].tolist() == ["up-ann-00", "up-ben-01"]


@pytest.mark.parametrize(
    "text", ["id\nup-ann-00\nup-ben-01\n", "up-ann-00\nup-ben-01\n", "note,id\na,up-ann-00\nb,up-ben-01"]
)
def test_a_table_of_ids_may_have_a_header_and_other_columns_or_none(recordings, listed, text):
    found = resolve(listed(text, ".csv"), recordings, CLASSES)
    assert recordings.ids[found.rows].tolist() == ["up-ann-00", "up-ben-01"]


def test_a_speaker_and_a_class_name_all_their_train_recordings(recordings):
    by_speaker = resolve(Request(speaker="ann"), recordings, CLASSES)
    by_class = resolve(Request(label="up"), recordings, CLASSES)
    assert set(recordings.speakers[by_speaker.rows]) == {"ann"}
    assert set(recordings.labels[by_class.rows]) == {by_class.forgotten_class} == {3}
    assert len(by_speaker.rows) == len(by_class.rows) == 24
    assert len(by_speaker.never_trained) == 36


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(speaker="eve"), "No recording .* 'eve'"),
        (Request(label="back"), "no class 'back'; its classes are down"),
    ],
)
def test_unknown_names_are_refused(recordings, request_, said):
    with pytest.raises(ValueError, match=said):
        resolve(request_, recordings, CLASSES)


def test_unknown_and_empty_lists_and_untrained_recordings_are_refused(recordings, listed):
    with pytest.raises(ValueError, match=r"1 of 2 ids in ids\.txt are not in manifest\.csv: nobody"):
        resolve(listed("up-ann-00\nnobody"), recordings, CLASSES)
    with pytest.raises(ValueError, match="lists no ids"):
        resolve(listed("\n"), recordings, CLASSES)
    with pytest.raises(ValueError, match="trained on none of the 1"):
        resolve(listed("up-ann-14"), recordings, CLASSES)


def test_everything_is_refused(recordings, listed):
    with pytest.raises(ValueError, match="all 96 recordings"):
        resolve(listed("\n".join(recordings.ids)), recordings, CLASSES)


def test_one_way_to_name_what_is_forgotten_is_needed():
    for given in ({}, {"speaker": "ann", "label": "up"}):
        with pytest.raises(ValueError, match="in one way"):
            Request(**given)


def test_the_same_audio_elsewhere_is_forgotten_in_training_and_no_reference_outside_of_it(commands, listed, tmp_path):
    folder = shutil.copytree(commands, tmp_path / "copy")
    lines = (folder / "manifest.csv").read_text().splitlines()
    shutil.copy(folder / "up-ann-00.wav", folder / "copy.wav")
    lines += ["again,copy.wav,up,ann,train", "leak,./copy.wav,up,ann,test"]
    (folder / "manifest.csv").write_text("\n".join(lines))
    recordings = read_manifest(folder / "manifest.csv", CLASSES)
    found = resolve(listed("up-ann-00"), recordings, CLASSES)
    assert recordings.ids[found.duplicates].tolist() == ["again"]
    assert recordings.ids[found.leaked].tolist() == ["leak"]
    assert len(found.everything) == 2


def test_what_earlier_requests_removed_is_not_forgotten_again(recordings):
    found = resolve(Request(speaker="ann"), recordings, CLASSES)
    rest = without_earlier(found, recordings, found.rows[:10])
    assert rest.rows.tolist() == found.rows[10:].tolist()
    assert set(found.rows[:10]) <= set(rest.never_trained)
    with pytest.raises(ValueError, match="Earlier requests removed all 24"):
        without_earlier(found, recordings, found.rows)
    others = [row for row in recordings.rows("train") if row not in found.rows]
    with pytest.raises(ValueError, match="nothing is left"):
        without_earlier(found, recordings, np.array(others))


def test_a_speaker_of_a_model_that_names_speakers_is_a_class(commands, tmp_path):
    lines = [line.split(",") for line in (commands / "manifest.csv").read_text().splitlines()]
    rows = [",".join([name, path, speaker, speaker, split]) for name, path, _, speaker, split in lines[1:]]
    (tmp_path / "m.csv").write_text("\n".join([",".join(lines[0]), *rows]))
    people = ("ann", "ben", "cas", "dee")
    recordings = read_manifest(tmp_path / "m.csv", people, commands)
    assert resolve(Request(speaker="ben"), recordings, people).forgotten_class == 1


def test_listed_recordings_that_are_all_that_earlier_requests_left_of_a_class_are_a_class(recordings):
    up = resolve(Request(label="up"), recordings, CLASSES)
    half = replace(up, kind="ids", rows=up.rows[:10], forgotten_class=None)
    assert without_earlier(half, recordings, up.rows[10:]).forgotten_class == 3
    assert without_earlier(half, recordings, up.rows[11:]).forgotten_class is None


def test_names_are_found_in_either_form_of_unicode(commands, tmp_path):
    composed, apart = "r\u00e9n\u00e9", "re\u0301ne\u0301"
    text = (commands / "manifest.csv").read_text().replace("ann", composed).replace(",up,", f",{composed},")
    (tmp_path / "m.csv").write_text(text.replace(f"-{composed}-", "-ann-"))
    classes = ("down", "left", "right", apart)
    recordings = read_manifest(tmp_path / "m.csv", classes, commands)
    assert len(resolve(Request(speaker=apart), recordings, classes).rows) == 24
    for label in (composed, apart):
        assert resolve(Request(label=label), recordings, classes).forgotten_class == 3
    recordings = replace(recordings, ids=np.array([composed, *recordings.ids[1:]]))
    (tmp_path / "ids.txt").write_text(apart)
    assert resolve(Request(ids_file=tmp_path / "ids.txt"), recordings, classes).rows.tolist() == [0]


def test_a_list_in_another_encoding_is_named(recordings, tmp_path):
    (tmp_path / "ids.txt").write_bytes("r\u00e9n\u00e9".encode("latin-1"))
    with pytest.raises(ValueError, match=r"cannot read .*ids.txt: .*save it as UTF-8"):
        resolve(Request(ids_file=tmp_path / "ids.txt"), recordings, CLASSES)


def test_audio_of_a_named_recording_that_was_trained_on_under_another_id_is_forgotten(commands, listed, tmp_path):
    """The one that is named was kept from training."""
    lines = (commands / "manifest.csv").read_text().splitlines()
    (tmp_path / "m.csv").write_text("\n".join([*lines, "again,up-ann-14.wav,up,ann,train"]))
    recordings = read_manifest(tmp_path / "m.csv", CLASSES, commands)
    found = resolve(listed("up-ann-14"), recordings, CLASSES)
    assert recordings.ids[found.everything].tolist() == recordings.ids[found.duplicates].tolist() == ["again"]
    assert without_earlier(found, recordings, np.array([0])).everything.tolist() == found.everything.tolist()
    assert "again" in recordings.ids[resolve(Request(speaker="ann"), recordings, CLASSES).everything]
