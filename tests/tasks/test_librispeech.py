"""LibriSpeech on made-up trees of its layout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tasks.recordings import write

from orchestrator.tasks.base import Utterance
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.librispeech import LibriSpeech
from orchestrator.tasks.sources.audio_files import BadRecordingError

PARTS = {"train-clean-100": (19, 26, 27), "dev-clean": (84,), "test-clean": (61,)}


def tree(root: Path, chapters: int = 2, utterances: int = 3) -> Path:
    for part, speakers in PARTS.items():
        for speaker in speakers:
            for chapter in range(chapters):
                folder, lines = root / "LibriSpeech" / part / str(speaker) / str(chapter), []
                for number in range(utterances):
                    name = f"{speaker}-{chapter}-{number:04d}"
                    write(folder, [f"{name}.flac"])
                    lines.append(f"{name} HE SAID \u2018{'A' * (number + 1)}\u2019")
                (folder / f"{speaker}-{chapter}.trans.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = ";ID |SEX| SUBSET\n19 | F | train-clean-100 | 1 | X\n26 | M | train-clean-100 | 1 | Y\n"
    (root / "LibriSpeech" / "SPEAKERS.TXT").write_text(text)
    return root


def read_all(root: Path, **settings: Any) -> list[Utterance]:
    return list(LibriSpeech(root=str(root), **settings).read().utterances)


def test_parts_are_splits_and_lines_are_transcripts(tmp_path: Path) -> None:
    corpus = open_corpus(LibriSpeech(root=str(tree(tmp_path)), holdout_share=0.2), tmp_path / "cache")
    assert corpus.info["counts"] == {"train": 14, "validation": 6, "test": 6, "holdout": 4}
    assert set(corpus.texts) == {"he said a", "he said aa", "he said aaa"}
    assert set(corpus.speakers[corpus.rows("test")]) == {"61"}
    by_speaker = dict(zip(corpus.speakers, corpus.column("gender"), strict=True))
    assert (by_speaker["19"], by_speaker["26"], by_speaker["61"]) == ("female", "male", None)
    assert "train-clean-100/19/0/19-0-0000.flac" in corpus.utterance_ids


def test_root_may_be_the_folder_itself_and_paths_are_no_identity(tmp_path: Path) -> None:
    above, itself = (LibriSpeech(root=str(path)) for path in (tree(tmp_path), tmp_path / "LibriSpeech"))
    assert above.fingerprint() == itself.fingerprint()
    file = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "0" / "84-0.trans.txt"
    file.write_text(file.read_text().replace("SAID", "SAYS"))
    assert LibriSpeech(root=str(tmp_path)).fingerprint() != itself.fingerprint()


def test_without_a_test_part_every_speaker_is_in_every_split(tmp_path: Path) -> None:
    tree(tmp_path, utterances=10)
    found = read_all(tmp_path, test=[], validation=[])
    assert {u.speaker for u in found} == {"19", "26", "27"}
    assert Counter(u.split for u in found) == {"train": 49, "validation": 5, "test": 6}
    assert {u.speaker for u in found if u.split == "test"} == {"19", "26", "27"}


def test_some_speakers_of_train_are_drawn_by_seed(tmp_path: Path) -> None:
    tree(tmp_path)
    drawn = [{u.speaker for u in read_all(tmp_path, train_speakers=1, seed=seed)} for seed in range(6)]
    assert all(speakers >= {"84", "61"} and len(speakers) == 3 for speakers in drawn)
    assert len(set.union(*drawn)) > 3
    assert LibriSpeech(root=str(tmp_path), train_speakers=1).expected_size().utterances == 18


def test_a_missing_file_and_a_missing_part_are_named(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "LibriSpeech" / "train-clean-100" / "19" / "0" / "19-0-0001.flac").unlink()
    with pytest.raises(BadRecordingError, match=r"missing file: .*19-0-0001\.flac \(19-0\.trans\.txt line 2\)"):
        read_all(tmp_path)
    assert len(read_all(tmp_path, on_bad_audio="skip")) == 29
    with pytest.raises(FileNotFoundError, match=r"got 'dev-other' .* which has dev-clean, test-clean, train-clean-100"):
        read_all(tmp_path, validation=["dev-other"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": "train-clean-100"}, "train must be a list of parts"),
        ({"train": []}, "each part belongs to one split, and train needs one"),
        ({"train": ["dev-clean"]}, "each part belongs to one split"),
        ({"test": []}, "got validation without test"),
        ({"max_seconds": 0}, "max_seconds must be positive"),
        ({"train_speakers": 0}, "train_speakers must be a whole number"),
        ({"on_bad_audio": "no"}, "unknown on_bad_audio"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LibriSpeech(root="/data", **settings)


def test_more_speakers_than_there_are_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got train_speakers 4, allowed: 3 or fewer"):
        read_all(tree(tmp_path), train_speakers=4)
