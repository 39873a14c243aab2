"""Common Voice on made-up trees of its layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from tasks.recordings import write

from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.common_voice import CommonVoice
from orchestrator.tasks.sources.audio_files import BadRecordingError

HEADER = "client_id\tpath\tsentence_id\tsentence\tup_votes\tage\tgender\taccents\tlocale"


def tree(root: Path, sentence: str = '"Well," he said, "it\'s 5."') -> Path:
    number = 0
    for name, rows in (("train", 10), ("dev", 3), ("test", 3)):
        lines = [HEADER]
        for row in range(rows):
            clip = f"common_voice_en_{number}.mp3"
            write(root / "clips", [clip.replace(".mp3", ".wav")])
            (root / "clips" / clip.replace(".mp3", ".wav")).replace(root / "clips" / clip)
            said = sentence if row == 0 else f"Sentence {row} of {name}."
            age, accent = ("", "") if row % 2 else ("twenties", "Scottish English")
            lines.append(f"{name}{row % 2}\t{clip}\tx\t{said}\t2\t{age}\tfemale\t{accent}\ten")
            number += 1
        (root / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def test_lists_are_splits_and_sentences_are_transcripts(tmp_path: Path) -> None:
    task = CommonVoice(root=str(tree(tmp_path)), holdout_share=0.2)
    corpus = open_corpus(task, tmp_path / "cache")
    assert corpus.info["counts"] == {"train": 8, "validation": 3, "test": 3, "holdout": 2}
    assert len(corpus) == task.expected_size().utterances
    assert corpus.texts[0] == "well he said it's five"
    assert set(corpus.speakers) == {f"{name}{n}" for name in ("train", "dev", "test") for n in (0, 1)}
    assert set(corpus.column("accent")) == {"Scottish English", None}
    assert set(corpus.column("gender")) == {"female"}


def test_a_changed_sentence_is_another_corpus(tmp_path: Path) -> None:
    first = CommonVoice(root=str(tree(tmp_path))).fingerprint()
    assert CommonVoice(root=str(tree(tmp_path, "Another one"))).fingerprint() != first


def test_a_sentence_that_cannot_be_spelled_is_refused_or_left_out(tmp_path: Path) -> None:
    tree(tmp_path, "\u0434\u0430")
    with pytest.raises(BadRecordingError, match=r"cannot spell: .* \(train\.tsv row 1\)"):
        CommonVoice(root=str(tmp_path)).read()
    source = CommonVoice(root=str(tmp_path), on_bad_audio="skip").read()
    assert len(list(source.utterances)) == 13
    assert len(source.skipped) == 3


def test_a_missing_list_or_column_is_named(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "dev.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"without dev\.tsv; set `root` to the folder of one language"):
        CommonVoice(root=str(tmp_path)).fingerprint()
    assert CommonVoice(root=str(tmp_path)).expected_size().utterances == 0
    (tmp_path / "dev.tsv").write_text("client_id\tpath\nx\ty.mp3\n")
    with pytest.raises(ValueError, match=r"dev\.tsv has no column for `sentence`"):
        CommonVoice(root=str(tmp_path)).read()


def test_a_path_that_leads_out_of_the_clips_is_refused(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "test.tsv").write_text(f"{HEADER}\na\t../x.mp3\tx\tHello\t2\t\t\t\ten\n")
    with pytest.raises(ValueError, match=r"bad path in test\.tsv row 1: got '\.\./x\.mp3'"):
        CommonVoice(root=str(tmp_path)).read()
