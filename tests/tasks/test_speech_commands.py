from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from orchestrator.tasks import speech_commands
from orchestrator.tasks.base import Utterance
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.speech_commands import KEYWORDS, SHA256, URL, SpeechCommands

NOISES = ("doing_the_dishes", "pink_noise")
NOISE_SECONDS = 12


def write(path: Path, audio: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, 16_000)


def noise(number: int) -> np.ndarray:
    """Samples count in milliseconds, so that a crop tells where it was cut."""
    return (np.arange(NOISE_SECONDS * 16_000) // 16 + number).astype(np.int16)


def tree(root: Path, words: tuple[str, ...] = (*KEYWORDS, "bed", "cat")) -> Path:
    """Ten speakers say every word once; speaker 8 is in the validation list, speaker 9 in the testing list."""
    for number, name in enumerate(NOISES):
        write(root / "_background_noise_" / f"{name}.wav", noise(number))
    for word in words:
        for speaker in range(10):
            write(root / word / f"{speaker:08x}_nohash_0.wav", np.full(1600, 1000, np.int16))
    for list_name, speaker in (("validation_list.txt", 8), ("testing_list.txt", 9)):
        listed = "".join(f"{word}/{speaker:08x}_nohash_0.wav\n" for word in words)
        (root / list_name).write_text(listed, encoding="utf-8-sig" if speaker == 8 else None)  # as some editors save
    return root


def separate_test_set(root: Path) -> Path:
    for word in (*KEYWORDS, "_silence_", "_unknown_"):
        for speaker in (9, 10):
            write(root / word / f"{speaker:08x}_nohash_0.wav.wav", np.full(1600, 1000, np.int16))
    return root


def walk(task: SpeechCommands) -> list[Utterance]:
    source = task.read()
    found = list(source.utterances)
    assert not source.skipped
    return found


def test_superb_has_its_order_of_classes_and_the_official_splits(tmp_path: Path) -> None:
    task = SpeechCommands(root=str(tree(tmp_path)))
    found = walk(task)
    assert " ".join(task.read().classes) == "yes no up down left right on off stop go _silence_ _unknown_"
    assert Counter(u.split for u in found) == {"train": 12 * 8 + 2, "validation": 12, "test": 12}
    assert {u.speaker for u in found if u.split == "validation"} == {"00000008"}
    assert {u.speaker for u in found if u.split == "test"} == {"00000009"}
    assert Counter(u.attributes["word"] for u in found if u.label == "_unknown_") == {"bed": 10, "cat": 10}
    assert [u.utterance_id for u in found] == sorted(u.utterance_id for u in found)


def test_in_superb_each_noise_recording_is_one_train_utterance_cut_to_its_first_second(tmp_path: Path) -> None:
    silence = [u for u in walk(SpeechCommands(root=str(tree(tmp_path)))) if u.label == "_silence_"]
    assert [(u.utterance_id, u.split, u.speaker) for u in silence] == [
        ("_background_noise_/doing_the_dishes.wav", "train", ""),
        ("_background_noise_/pink_noise.wav", "train", ""),
    ]
    for number, utterance in enumerate(silence):
        assert np.array_equal(utterance.audio, noise(number)[:16_000])
    whole = walk(SpeechCommands(root=str(tmp_path), max_seconds=100))
    assert max(len(u.audio) for u in whole) == NOISE_SECONDS * 16_000


def test_a_separate_test_set_replaces_the_testing_list(tmp_path: Path) -> None:
    task = SpeechCommands(root=str(tree(tmp_path / "main")), test_root=str(separate_test_set(tmp_path / "test")))
    found = walk(task)
    tested = [u for u in found if u.split == "test"]
    assert len(found) == 12 * 9 + 2 + 24
    assert Counter(u.label for u in tested) == dict.fromkeys((*KEYWORDS, "_silence_", "_unknown_"), 2)
    assert all(u.utterance_id.startswith("test_set/") for u in tested)
    assert {u.speaker for u in tested if u.label != "_silence_"} == {"00000009", "0000000a"}
    assert {u.speaker for u in tested if u.label == "_silence_"} == {""}


def test_s3prl_has_its_order_of_classes_and_three_decibels_less(tmp_path: Path) -> None:
    task = SpeechCommands(root=str(tree(tmp_path)), protocol="s3prl")
    found = walk(task)
    assert task.read().classes[10:] == ("_unknown_", "_silence_")
    assert {int(u.audio[0]) for u in found if u.label == "yes"} == {708}  # 1000 × 10^(-3/20)


def test_s3prl_silence_is_as_frequent_as_a_keyword_and_shares_no_sample_between_splits(tmp_path: Path) -> None:
    task = SpeechCommands(root=str(tree(tmp_path)), protocol="s3prl", max_seconds=0.5)
    silence = [u for u in walk(task) if u.label == "_silence_"]
    assert Counter(u.split for u in silence) == {"train": 8, "validation": 1, "test": 1}
    bounds = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
    for utterance in silence:
        seconds = utterance.audio / 10 ** (-3 / 20) / 1000  # the noise counts milliseconds
        assert len(utterance.audio) == 8000
        assert bounds[utterance.split][0] * NOISE_SECONDS - 0.01 <= seconds.min()
        assert seconds.max() <= bounds[utterance.split][1] * NOISE_SECONDS + 0.01


def test_s3prl_crops_follow_their_seed(tmp_path: Path) -> None:
    task = SpeechCommands(root=str(tree(tmp_path)), protocol="s3prl")
    first, again, other = (
        [u.audio.tolist() for u in walk(replace(task, silence_seed=seed)) if u.label == "_silence_"]
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_s3prl_with_a_test_set_draws_no_silence_for_test(tmp_path: Path) -> None:
    task = SpeechCommands(
        root=str(tree(tmp_path / "main")), test_root=str(separate_test_set(tmp_path / "test")), protocol="s3prl"
    )
    silence = Counter(u.split for u in walk(task) if u.label == "_silence_")
    assert silence == {"train": 8, "validation": 1, "test": 2}


def test_an_archive_and_its_folder_give_the_same_corpus(tmp_path: Path) -> None:
    folder = tree(tmp_path / "folder")
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed/speech_commands_v0.01.tar.gz", "w:gz") as tar:
        tar.add(folder, arcname=".")
    by_folder, by_archive, by_its_holder = (
        SpeechCommands(root=str(root))
        for root in (folder, tmp_path / "packed/speech_commands_v0.01.tar.gz", tmp_path / "packed")
    )
    assert by_folder.fingerprint() == by_archive.fingerprint() == by_its_holder.fingerprint()
    assert [u.utterance_id for u in walk(by_folder)] == [u.utterance_id for u in walk(by_archive)]


def test_a_download_is_unpacked_where_root_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "v0.01.tar.gz", "w:gz") as tar:
        tar.add(tree(tmp_path / "source"), arcname=".")
    monkeypatch.setattr(speech_commands, "URL", f"{tmp_path.as_uri()}/{{version}}.tar.gz")
    task = SpeechCommands(root=str(tmp_path / "data"), download=True)
    with pytest.raises(ValueError, match="wrong checksum"):
        task.content()
    data = (tmp_path / "v0.01.tar.gz").read_bytes()
    monkeypatch.setitem(speech_commands.SHA256, "v0.01", hashlib.sha256(data).hexdigest())
    assert task.fingerprint() == SpeechCommands(root=str(tmp_path / "source")).fingerprint()
    assert (tmp_path / "data/speech_commands_v0.01/validation_list.txt").is_file()


def test_the_download_is_the_one_that_torchaudio_knows() -> None:
    from torchaudio.datasets import speechcommands

    assert {URL.format(version=version): sha256 for version, sha256 in SHA256.items()} == speechcommands._CHECKSUMS


def test_the_versions_are_told_apart_by_their_words(tmp_path: Path) -> None:
    old = str(tree(tmp_path / "old"))
    new = str(tree(tmp_path / "new", (*KEYWORDS, "bed", "backward", "visual")))
    assert Counter(u.label for u in walk(SpeechCommands(root=new, version_name="v0.02")))["_unknown_"] == 30
    with pytest.raises(ValueError, match=r"does not hold version_name 'v0\.01': .* backward, visual came with v0\.02"):
        SpeechCommands(root=new).content()
    with pytest.raises(ValueError, match=r"does not hold version_name 'v0\.02': .* none came with v0\.02"):
        SpeechCommands(root=old, version_name="v0.02").content()


def test_missing_data_are_named_with_the_setting_that_leads_to_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"got root .*absent without .*set `root` .*or `download: true`"):
        SpeechCommands(root=str(tmp_path / "absent")).content()
    tree(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"got test_root .*absent without _unknown_ or .*set `test_root`"):
        SpeechCommands(root=str(tmp_path), test_root=str(tmp_path / "absent")).content()
    shutil.rmtree(tmp_path / "_background_noise_")
    with pytest.raises(ValueError, match="no silence"):
        SpeechCommands(root=str(tmp_path)).content()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"version_name": "v0.03"}, r"unknown version_name: got 'v0\.03', allowed: v0\.01, v0\.02"),
        ({"protocol": "hf"}, "unknown protocol: got 'hf', allowed: superb_hf, s3prl"),
        ({"max_seconds": -1}, "max_seconds must be positive, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpeechCommands(root="x", **settings)  # type: ignore[arg-type]


def test_a_missing_keyword_is_refused_and_missing_listed_files_are_reported(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (root / "bed/00000008_nohash_0.wav").unlink()
    source = SpeechCommands(root=str(root)).read()
    assert source.skipped == [f"{root}/validation_list.txt: 1 of 12 listed files are not there"]
    shutil.rmtree(root / "go")
    with pytest.raises(ValueError, match=r"got go \(0\)"):
        SpeechCommands(root=str(root)).read()


def test_an_unreadable_recording_is_an_error_or_skipped(tmp_path: Path) -> None:
    (tree(tmp_path) / "yes/00000000_nohash_0.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"unreadable audio .*yes/00000000_nohash_0\.wav"):
        list(SpeechCommands(root=str(tmp_path)).read().utterances)
    source = SpeechCommands(root=str(tmp_path), on_bad_audio="skip").read()
    assert len(list(source.utterances)) == 12 * 10 + 2 - 1
    assert len(source.skipped) == 1


def test_the_expected_size_is_the_published_one() -> None:
    assert SpeechCommands(root="absent").expected_size() == (64_727, 1.0, 12)
    assert SpeechCommands(root="absent", test_root="absent").expected_size() == (60_973, 1.0, 12)


@pytest.mark.skipif("UNLEARN_DATA" not in os.environ, reason="UNLEARN_DATA is not set: the real sample is needed")
@pytest.mark.parametrize("protocol", ["superb_hf", "s3prl"])
def test_real_recordings_fall_into_the_official_splits(tmp_path: Path, protocol: str) -> None:
    sample = Path(os.environ["UNLEARN_DATA"]) / "speech_commands_v0.01_sample"
    shutil.copytree(sample, tmp_path / "in")
    for number, name in enumerate(NOISES):
        write(tmp_path / "in/_background_noise_" / f"{name}.wav", noise(number))
    corpus = open_corpus(
        SpeechCommands(root=str(tmp_path / "in"), protocol=protocol, holdout_share=0.0), tmp_path / "cache"
    )
    words = np.array([not name.startswith("_background_noise_") for name in corpus.utterance_ids])
    counts = {split: int(np.sum(words & (corpus.splits == split))) for split in ("train", "validation", "test")}
    assert counts == {"train": 205, "validation": 44, "test": 51}
    for split, list_name in (("validation", "validation_list.txt"), ("test", "testing_list.txt")):
        listed = set((sample / list_name).read_text().split())
        assert set(corpus.utterance_ids[words & (corpus.splits == split)]) <= listed
    assert Counter(corpus.column("word")[words]) == {word.name: 10 for word in sample.iterdir() if word.is_dir()}
    speakers = {split: set(corpus.speakers[words & (corpus.splits == split)]) for split in counts}
    assert not speakers["train"] & speakers["validation"]
    assert not speakers["train"] & speakers["test"]
    assert corpus.num_samples.max() <= 16_000
    row = corpus.utterance_ids.tolist().index("yes/439c84f4_nohash_1.wav")
    expected, _ = soundfile.read(sample / "yes/439c84f4_nohash_1.wav", dtype="int16")
    if protocol == "superb_hf":
        assert np.array_equal(corpus.audio(row), expected)
