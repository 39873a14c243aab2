from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.voxceleb1 import VoxCeleb1

SPEAKERS = ("id10001", "id10002", "id10271")  # the last is one of the 40 of the verification test
VIDEOS = ("1zcIwhmdeo4", "7gWzIy6yIIk", "_aB-cdEFghi", "zzzzzzzzzzz")


def write(path: Path, seconds: float = 0.01) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.ones(round(16_000 * seconds), np.int16), 16_000)


def tree(root: Path, merged: bool = False) -> Path:
    for speaker in SPEAKERS:
        folder = "wav" if merged else "test/wav" if speaker == "id10271" else "dev/wav"
        for video in VIDEOS:
            for utterance in range(1, 6):
                write(root / folder / speaker / video / f"{utterance:05d}.wav")
    return root


def listing(tmp_path: Path) -> str:
    lines = [
        f"{code} {speaker}/{video}/{utterance:05d}.wav"
        for speaker in SPEAKERS
        for code, video in zip("1123", VIDEOS, strict=True)
        for utterance in range(1, 6)
    ]
    (tmp_path / "iden_split.txt").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "iden_split.txt")


def test_identification_follows_the_official_list(tmp_path: Path) -> None:
    task = VoxCeleb1(root=str(tree(tmp_path)), list_file=listing(tmp_path))
    source = task.read()
    found = list(source.utterances)
    assert task.kind == "speakers"
    assert source.classes == SPEAKERS
    assert Counter(u.split for u in found) == {"train": 30, "validation": 15, "test": 15}
    assert all(u.split == "test" for u in found if u.attributes["video"] == VIDEOS[3])
    assert all(u.label == u.speaker == u.utterance_id.split("/")[0] for u in found)


def test_both_layouts_give_the_same_corpus(tmp_path: Path) -> None:
    apart, merged = (
        VoxCeleb1(root=str(tree(tmp_path / name, merged=name == "merged")), list_file=listing(tmp_path))
        for name in ("apart", "merged")
    )
    assert apart.fingerprint() == merged.fingerprint()
    ids = [[u.utterance_id for u in task.read().utterances] for task in (apart, merged)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("seed", range(3))
def test_verification_dev_leaves_out_the_test_speakers_and_keeps_videos_whole(tmp_path: Path, seed: int) -> None:
    task = VoxCeleb1(root=str(tree(tmp_path)), split="verification_dev", test_share=0.2, seed=seed)
    source = task.read()
    splits_of = defaultdict(set)
    counts = Counter()
    for u in source.utterances:
        splits_of[u.speaker, u.attributes["video"]].add(u.split)
        counts[u.speaker, u.split] += 1
    assert source.classes == ("id10001", "id10002")
    assert all(len(splits) == 1 for splits in splits_of.values())
    for speaker in source.classes:
        assert [counts[speaker, split] for split in ("train", "validation", "test")] == [10, 5, 5]


def test_verification_dev_can_draw_single_utterances(tmp_path: Path) -> None:
    task = VoxCeleb1(root=str(tree(tmp_path)), split="verification_dev", draw="utterance", test_share=0.15)
    counts = Counter((u.speaker, u.split) for u in task.read().utterances)
    assert [counts["id10001", split] for split in ("train", "validation", "test")] == [16, 1, 3]


def test_a_speaker_keeps_its_split_when_another_is_missing(tmp_path: Path) -> None:
    def splits() -> dict[str, str]:
        task = VoxCeleb1(root=str(tmp_path), split="verification_dev")
        return {u.utterance_id: u.split for u in task.read().utterances if u.speaker == "id10002"}

    tree(tmp_path)
    for video in VIDEOS:
        write(tmp_path / "dev/wav/id10003" / video / "00001.wav")
    before = splits()
    for path in (tmp_path / "dev/wav/id10001").rglob("*.wav"):
        path.unlink()
    assert splits() == before


def test_the_test_speakers_are_the_forty_of_the_verification_test(tmp_path: Path) -> None:
    for number in (10269, 10270, 10309, 10310):
        for video in VIDEOS:
            write(tmp_path / "wav" / f"id{number}" / video / "00001.wav")
    assert VoxCeleb1(root=str(tmp_path), split="verification_dev").read().classes == ("id10269", "id10310")


def test_a_recording_is_cut_to_its_first_seconds(tmp_path: Path) -> None:
    for video in VIDEOS:
        for speaker in SPEAKERS[:2]:
            write(tmp_path / "wav" / speaker / video / "00001.wav", seconds=0.5)
    task = VoxCeleb1(root=str(tmp_path), split="verification_dev", seconds=0.25)
    assert {len(u.audio) for u in task.read().utterances} == {4000}


def test_audio_is_read_only_when_walked(tmp_path: Path) -> None:
    tree(tmp_path)
    source = VoxCeleb1(root=str(tmp_path), split="verification_dev").read()
    broken = sorted((tmp_path / "dev/wav/id10001").rglob("*.wav"))[3]
    broken.write_bytes(b"")
    first = [next(source.utterances).utterance_id for _ in range(3)]
    assert first == sorted(first)
    with pytest.raises(ValueError, match=f"unreadable audio .*{broken.name}"):
        next(source.utterances)


def test_a_listed_recording_that_is_missing_is_an_error_or_skipped(tmp_path: Path) -> None:
    root, path = tree(tmp_path / "data"), listing(tmp_path)
    (root / "dev/wav/id10002" / VIDEOS[0] / "00003.wav").unlink()
    with pytest.raises(ValueError, match=r"missing file: .*00003\.wav \(iden_split\.txt line 23\)"):
        VoxCeleb1(root=str(root), list_file=path).read()
    source = VoxCeleb1(root=str(root), list_file=path, on_bad_audio="skip").read()
    assert len(list(source.utterances)) == 59
    assert len(source.skipped) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("4 id10001/a/00001.wav", "bad entry in iden_split.txt line 61"),
        ("1 ../../x.wav", "bad entry"),
        ("1", "bad entry"),
    ],
)
def test_a_bad_line_of_the_list_is_refused(tmp_path: Path, line: str, message: str) -> None:
    path = Path(listing(tmp_path))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=message):
        VoxCeleb1(root=str(tree(tmp_path)), list_file=str(path)).read()


def test_a_speaker_with_too_few_videos_is_named(tmp_path: Path) -> None:
    for video in VIDEOS[:2]:
        write(tmp_path / "wav/id10007" / video / "00001.wav")
    with pytest.raises(ValueError, match=r"speaker id10007 \(videos\): too few groups to split: got 2, allowed: 3"):
        VoxCeleb1(root=str(tmp_path), split="verification_dev").read()


def test_the_list_belongs_to_identification() -> None:
    with pytest.raises(ValueError, match="list_file belongs to split: identification"):
        VoxCeleb1(root="x")
    with pytest.raises(ValueError, match="list_file belongs to split: identification"):
        VoxCeleb1(root="x", split="verification_dev", list_file="y")


def test_missing_data_are_named_with_the_setting_that_leads_to_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"got root .*absent, which is not a folder; set `root`"):
        VoxCeleb1(root=str(tmp_path / "absent"), split="verification_dev").content()
    with pytest.raises(FileNotFoundError, match=r"below any of dev/wav, test/wav, wav; set `root`"):
        VoxCeleb1(root=str(tmp_path), split="verification_dev").content()
    with pytest.raises(FileNotFoundError, match=r"set `list_file` to iden_split.txt"):
        VoxCeleb1(root=str(tree(tmp_path)), list_file=str(tmp_path / "absent.txt")).content()


def test_the_expected_size_is_the_published_one() -> None:
    assert VoxCeleb1(root="absent", list_file="absent").expected_size() == (153_516, 8.0, 1251)
    assert VoxCeleb1(root="absent", split="verification_dev", seconds=3).expected_size() == (148_642, 3, 1211)


def test_a_corpus_is_built_with_sessions_and_holdout(tmp_path: Path) -> None:
    task = VoxCeleb1(root=str(tree(tmp_path / "in")), split="verification_dev", holdout_share=0.2)
    corpus = open_corpus(task, tmp_path / "cache")
    assert corpus.info["counts"] == {"train": 16, "validation": 10, "test": 10, "holdout": 4}
    assert set(corpus.column("video")) == set(VIDEOS)
