"""The identity of a folder of recordings follows their bytes; planned splits and ids hold."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tasks.recordings import manifest, two_words, write

from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.base import RecordingsChangedError
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.sources import audio_files


def test_the_fingerprint_follows_files_manifest_and_settings_but_not_the_place(tmp_path: Path) -> None:
    def fingerprint(folder: str, **settings: object) -> str:
        return AudioFolder(root=str(tmp_path / folder), **settings).fingerprint()  # type: ignore[arg-type]

    for folder in ("here", "there"):
        write(tmp_path / folder, ["yes/a.wav", "no/b.wav"])
    before = fingerprint("here")
    assert fingerprint("there") == before
    assert fingerprint("here", seed=1) != before
    write(tmp_path / "there", ["no/c.wav"])
    assert fingerprint("there") != before
    listed = []
    for label in ("yes", "no"):
        (tmp_path / "here/list.csv").write_text(f"path,label\nyes/a.wav,{label}\n")
        listed.append(fingerprint("here", manifest="list.csv"))
    assert listed[0] != listed[1]


def test_the_order_and_type_of_wanted_values_do_not_name_another_corpus(tmp_path: Path) -> None:
    made = [AudioFolder(root=str(tmp_path), where={"take": w}) for w in (["1", "0"], [0, 1], ("0", "1"))]
    assert len({str(task.settings()) for task in made}) == 1
    assert AudioFolder(root=str(tmp_path), test_where={"take": 1}).settings()["test_where"] == {"take": ["1"]}


def test_an_archive_and_its_folder_are_one_corpus(tmp_path: Path) -> None:
    two_words(tmp_path / "d")
    found = {AudioFolder(root=str(tmp_path / "d")).fingerprint()}
    for number, name in enumerate(("d.tar", "other.tar.gz", "d.zip")):
        folder = tmp_path / str(number)
        folder.mkdir()
        kind = {"tar": "tar", "gz": "gztar", "zip": "zip"}[name.rpartition(".")[2]]
        base = {"root_dir": tmp_path / "d"} if number == 1 else {"root_dir": tmp_path, "base_dir": "d"}
        made = shutil.make_archive(str(folder / "made"), kind, **base)
        os.rename(made, folder / name)
        found.add(AudioFolder(root=str(folder / name)).fingerprint())
    assert len(found) == 1


def test_other_audio_of_the_same_names_and_lengths_is_another_corpus(tmp_path: Path) -> None:
    for folder, level in (("clean", 100), ("noisy", 200)):
        for word in ("no", "yes"):
            for take in range(6):
                path = tmp_path / folder / word / f"{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, np.full(160, level + take, np.int16), 16_000)
    corpora = [
        open_corpus(AudioFolder(root=str(tmp_path / f), test_share=0.2), tmp_path / "c") for f in ("clean", "noisy")
    ]
    assert corpora[0].fingerprint != corpora[1].fingerprint
    assert [int(corpus.audio(0)[0]) for corpus in corpora] == [100, 200]


def test_a_file_that_the_manifest_lists_counts_whatever_its_name(tmp_path: Path) -> None:
    two_words(tmp_path)
    text = "path,label\n" + "".join(f"{w}/{t}.wav,{w}\n" for w in (0, 1) for t in range(6)) + ".hidden/a.aiff,0\n"
    found = set()
    for level in (1, 2):
        (tmp_path / ".hidden").mkdir(exist_ok=True)
        soundfile.write(tmp_path / ".hidden/a.aiff", np.full(160, level, np.int16), 16_000)
        found.add(AudioFolder(root=str(tmp_path), manifest=manifest(tmp_path, text)).fingerprint())
    assert len(found) == 2


def test_looking_again_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.digests.SETTLED_NS", -1)
    first = AudioFolder(root=str(two_words(tmp_path))).fingerprint()
    monkeypatch.setattr("orchestrator.digests.sha256_of", lambda file: pytest.fail(f"{file} was read again"))
    assert AudioFolder(root=str(tmp_path)).fingerprint() == first


def test_recordings_replaced_after_the_plan_are_not_built_under_its_name(tmp_path: Path) -> None:
    root = two_words(tmp_path / "in")
    planned = AudioFolder(root=str(root)).fingerprint()
    write(root, ["1/3.wav", "0/3.wav"])
    with pytest.raises(RecordingsChangedError, match=f"not those that were planned: got corpus .*, planned {planned}"):
        open_corpus(AudioFolder(root=str(root)), tmp_path / "cache", fingerprint=planned)
    assert not list((tmp_path / "cache/corpora").glob("audiofolder-*[0-9a-f]"))


def test_recordings_replaced_while_the_corpus_is_built_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, decode = two_words(tmp_path / "in"), audio_files.read_audio

    def replacing(path: Path, *more: object) -> object:
        if path.name == "5.wav":
            write(root, ["1/3.wav", "0/3.wav"])
        return decode(path, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(audio_files, "read_audio", replacing)
    with pytest.raises(RecordingsChangedError):
        open_corpus(AudioFolder(root=str(root)), tmp_path / "cache")
    assert not list((tmp_path / "cache/corpora").glob("audiofolder-*[0-9a-f]"))


def test_a_planned_corpus_is_opened_without_its_recordings(tmp_path: Path) -> None:
    task = AudioFolder(root=str(two_words(tmp_path / "in")), test_share=0.2)
    corpus = open_corpus(task, tmp_path / "cache")
    shutil.rmtree(tmp_path / "in")
    again = AudioFolder(root=str(tmp_path / "in"), test_share=0.2)
    assert open_corpus(again, tmp_path / "cache", fingerprint=corpus.fingerprint).path == corpus.path


def test_ids_stay_in_train_of_a_manifest_with_splits_whatever_is_drawn(tmp_path: Path) -> None:
    two_words(tmp_path / "in", takes=20)
    rows = "".join(f"{w}/{t}.wav,{w},{'train' if t < 16 else 'test'}\n" for w in (0, 1) for t in range(20))
    settings = {"manifest": manifest(tmp_path / "in", "path,label,split\n" + rows), "validation_share": 0.25}
    task = AudioFolder(root=str(tmp_path / "in"), **settings, holdout_share=0.25)  # type: ignore[arg-type]
    plain = open_corpus(task, tmp_path / "cache")
    moved = plain.utterance_ids[np.isin(plain.splits, ["validation", "holdout"])].tolist()
    assert len(moved) == 14
    corpus = open_corpus(replace(task, keep_in_train=moved), tmp_path / "cache")
    assert set(corpus.splits[np.isin(corpus.utterance_ids, moved)]) == {"train"}
    assert min(len(corpus.rows(split)) for split in ("validation", "holdout")) > 0


def test_ids_stay_in_train_where_all_splits_are_drawn(tmp_path: Path) -> None:
    task = AudioFolder(root=str(two_words(tmp_path / "in", takes=20)), test_share=0.2, validation_share=0.2)
    plain = open_corpus(task, tmp_path / "cache")
    moved = plain.utterance_ids[plain.splits != "train"].tolist()
    corpus = open_corpus(replace(task, keep_in_train=moved), tmp_path / "cache")
    assert set(corpus.splits[np.isin(corpus.utterance_ids, moved)]) == {"train"}
    assert min(len(corpus.rows(split)) for split in ("test", "validation", "holdout")) > 0
