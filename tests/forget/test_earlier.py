from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from orchestrator.evidence.removal import NO_EVIDENCE
from orchestrator.forget.earlier import earlier_requests, read_what_is_left, rows_removed, still_forgotten
from orchestrator.forget.kept_outputs import read_outputs
from orchestrator.forget.lineage import OUTPUTS, PLACES
from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.recordings import read_manifest
from orchestrator.forget.request import Request, resolve, without_earlier
from orchestrator.forget.serving import serve

CLASSES = ("down", "left", "right", "up")


@pytest.fixture(scope="module")
def second(first, options):
    """A second speaker, forgotten by the child of the first request."""
    from methods.base import Training

    brief = {"method": "npo", "training": Training(learning_rate=1e-3, epochs=1)}
    return serve(options(Request(speaker="ben"), "lineage", model=first.folder, **brief))


@pytest.fixture
def known(first, commands):
    """What a model folder knows of its lineage: kind, number of recordings and output of each request."""
    recordings = read_manifest(commands / "manifest.csv", ("down", "left", "right", "up"))
    key = open_key(first.folder.parent / "key", create=False)

    def find(model, near=()):
        return earlier_requests(model, recordings, key, near)

    return find


def changed(file, **values):
    report = json.loads(file.read_text())
    file.write_text(json.dumps({**report, **values}))


def test_a_model_folder_that_is_copied_alone_knows_all_that_it_has_forgotten(second, known, first, tmp_path, commands):
    model = shutil.copytree(second.folder / "model", tmp_path / "alone")
    found = known(model)
    speakers = [{str(name)[-6:-3] for name in known_ids(commands, one.rows)} for one in found]
    assert speakers == [{"ann"}, {"ben"}]
    assert [one.folder for one in found] == [None, None]
    assert [one.folder for one in known(model, near=[first.folder.parent])] == [first.folder, second.folder]
    assert [one["forgotten"] for one in second.report["lineage"]] == [
        first.report["request"]["forgotten"], second.report["request"]["forgotten"],
    ]  # fmt: skip


def test_outputs_of_earlier_requests_are_found_where_they_were_or_next_to_the_model(second, known, first, tmp_path):
    assert [one.folder for one in known(second.folder)] == [first.folder, second.folder]
    moved = shutil.copytree(second.folder, tmp_path / "apart/moved")
    assert [one.folder for one in known(moved)] == [first.folder, moved]
    (moved / PLACES).unlink()
    assert [one.folder for one in known(moved)] == [None, moved]
    shutil.copytree(first.folder, tmp_path / "apart/other-name")
    assert [one.folder for one in known(moved)] == [tmp_path / "apart/other-name", moved]


def known_ids(commands, rows):
    return read_manifest(commands / "manifest.csv", ("down", "left", "right", "up")).ids[rows]


def test_what_was_forgotten_stays_out_of_training_when_outputs_are_gone_and_their_checks_cannot_be_told(
    second, known, tmp_path
):
    found = known(shutil.copytree(second.folder / "model", tmp_path / "alone"))
    assert [len(one.rows) for one in found] == [24, 24]
    judged = still_forgotten(found[0], None, None)
    assert judged["verdict"] == "cannot tell"
    assert "moved or deleted" in judged["reasons"][0]


def test_the_output_of_the_same_request_on_another_model_is_not_compared_with(second, first, known, tmp_path):
    model = shutil.copytree(second.folder / "model", tmp_path / "alone")
    other = shutil.copytree(first.folder, tmp_path / "near/first")
    report = json.loads((other / "report.json").read_text())
    changed(other / "report.json", model={**report["model"], "child_sha256": "sha256:other"})
    assert known(model, near=[tmp_path / "near"])[0].folder is None


def test_without_the_file_in_its_model_an_output_knows_its_lineage_by_its_report(second, known, tmp_path):
    folder = shutil.copytree(second.folder, tmp_path / "out")
    (folder / "model/lineage.json").unlink()
    assert [len(one.rows) for one in known(folder)] == [24, 24]
    changed(folder / "report.json", lineage=None)
    with pytest.raises(ValueError, match=r"report\.json is damaged"):
        known(folder)


@pytest.mark.parametrize("attacked", [True, False])
def test_an_earlier_request_is_judged_by_the_same_rule_with_the_attack_on_the_new_child(first, known, attacked):
    """The child of the first request itself stands for the new one: with the same attack, the verdict is the same."""
    earlier = known(first.folder)[0]
    kept = read_outputs(first.folder / OUTPUTS)
    child = np.zeros((240, 4))
    mine, theirs = (np.array([earlier.row_of[name] for name in ids]) for ids in (kept.forget_ids, kept.unheard_ids))
    child[mine], child[theirs] = kept.logits["child"]
    again = still_forgotten(
        earlier, child, lambda *_: (kept.logits["relearned"], mine[kept.relearned_on]) if attacked else None
    )
    if attacked:
        assert (again["verdict"], again["reasons"]) == (first.report["verdict"], first.report["reasons"])
    assert attacked or again["verdict"] != NO_EVIDENCE


@pytest.fixture
def listed(first, commands, tmp_path):
    """Writes a manifest of the commands from their rows, and reads it with what the first request has removed."""
    key = open_key(first.folder.parent / "key", create=False)

    def write(change, extra=(), audio=None):
        header, *rows = [line.split(",") for line in (commands / "manifest.csv").read_text().splitlines()]
        lines = [header, *[row for row in map(change, rows) if row], *extra]
        (tmp_path / "m.csv").write_text("\n".join(",".join(line) for line in lines))
        recordings = read_what_is_left(tmp_path / "m.csv", CLASSES, audio or commands, first.folder, key)
        return recordings, earlier_requests(first.folder, recordings, key)

    return write


def test_removed_audio_under_other_ids_is_not_trained_on_again(listed):
    """All ids are others (as without the column `id`), or the removed rows are listed once more with other people."""
    for number, change, extra in (
        (24, lambda row: [row[1], *row[1:]], ()),
        (1, lambda row: row, [["new-1", "up-ann-00.wav", "up", "eve", "train"]]),
        (1, lambda row: row, [["new-1", "up-ann-13.wav", "up", "eve", "train"]]),  # named, and never trained on
        (1, lambda row: [*row[:4], "train"] if row[0] == "up-ann-13" else row, ()),
    ):
        with pytest.raises(ValueError, match=rf"^{number} training recordings of m\.csv have the audio of"):
            listed(change, extra)


def test_other_recordings_are_not_taken_for_removed_ones_by_their_ids(listed):
    """The ids of two people are exchanged: 24 training recordings and 36 others of each."""
    other = {"ann": "ben", "ben": "ann"}

    def exchanged(row):
        word, speaker, take = row[0].split("-")
        return [f"{word}-{other.get(speaker, speaker)}-{take}", *row[1:]]

    with pytest.raises(ValueError, match=r"24 recordings of m\.csv have the ids of recordings that were removed"):
        listed(exchanged)


def test_removed_audio_that_is_kept_from_training_now_is_no_unheard_speech(listed):
    moved = {"up-ann-00": "test", "up-ann-01": "validation"}
    again = ["copy", "up-ann-02.wav", "up", "eve", "test"]
    recordings, earlier = listed(lambda row: [*row[:4], moved.get(row[0], row[4])], [again])
    resolved = without_earlier(resolve(Request(speaker="ben"), recordings, CLASSES), recordings, rows_removed(earlier))
    assert {*moved, "copy"} <= set(recordings.ids[resolved.leaked])
    assert not set(recordings.ids[rows_removed(earlier)]) & set(recordings.ids[resolved.everything])


def test_recordings_that_the_manifest_does_not_list_are_counted(listed):
    _, earlier = listed(lambda row: None if row[0].startswith("up-ann") else row)
    assert [(one.missing, len(one.rows)) for one in earlier] == [(6, 18)]
    judged = still_forgotten(earlier[0], None, None)
    assert (judged["recordings"], judged["not_in_manifest"], judged["verdict"]) == (18, 6, "cannot tell")


def test_removed_recordings_may_be_deleted_and_others_may_not(listed, commands, tmp_path):
    left = shutil.copytree(commands, tmp_path / "left")
    for path in left.glob("*-ann-*.wav"):
        path.unlink()
    recordings, earlier = listed(lambda row: row, audio=left)
    assert len(recordings) == 180
    assert [(one.missing, len(one.rows)) for one in earlier] == [(24, 0)]
    (left / "up-ben-00.wav").unlink()
    with pytest.raises(ValueError, match=r"1 of 240 recordings of m\.csv are missing, such as .*up-ben-00"):
        listed(lambda row: row, audio=left)


def test_a_lineage_without_digests_of_audio_needs_all_ids(first, commands, tmp_path):
    key, model = open_key(first.folder.parent / "key", create=False), tmp_path / "model"
    shutil.copytree(first.folder / "model", model)
    requests = json.loads((model / "lineage.json").read_text())["requests"]
    for name in ("audio", "audio_forgotten"):
        del requests[0][name]
    changed(model / "lineage.json", requests=requests)
    recordings = read_manifest(commands / "manifest.csv", CLASSES)
    assert len(earlier_requests(model, recordings, key)[0].rows) == 24
    fewer = recordings.at(np.flatnonzero(recordings.ids != "up-ann-00"))
    with pytest.raises(ValueError, match="keeps no digests of audio, and 1 of 24 removed recordings"):
        earlier_requests(model, fewer, key)


def test_damaged_outputs_of_an_earlier_request_do_not_end_a_run(known, first, tmp_path):
    folder = shutil.copytree(first.folder, tmp_path / "out")
    (folder / OUTPUTS).write_text("torn")
    judged = still_forgotten(known(folder)[0], None, None)
    assert judged["verdict"] == "cannot tell"
    assert "cannot be read" in judged["reasons"][0]
