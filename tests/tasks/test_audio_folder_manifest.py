"""A manifest or a table of speakers says what each recording is; columns are read without guessing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tasks.recordings import DIGITS, digits, manifest, read_all, two_words, write

from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.sources.audio_files import BadRecordingError

SPLIT_ROWS = "path,label,speaker,split,accent\na.wav,yes,ann,train,x\nb.wav,no,bob,train,\nc.wav,yes,ann,test,y\n"


def test_a_manifest_gives_split_speaker_and_attributes(tmp_path: Path) -> None:
    write(tmp_path, ["a.wav", "b.wav", "c.wav"])
    task = AudioFolder(root=str(tmp_path), manifest=manifest(tmp_path, SPLIT_ROWS), min_clips_per_class=1)
    _, found = read_all(task)
    assert [(u.utterance_id, u.split, u.speaker, u.attributes["accent"]) for u in found] == [
        ("a.wav", "train", "ann", "x"),
        ("b.wav", "train", "bob", None),
        ("c.wav", "test", "ann", "y"),
    ]


def test_validation_is_drawn_from_train_where_the_manifest_names_none(tmp_path: Path) -> None:
    rows = "".join(f"{n}.wav,{'yes' if n % 2 else 'no'},{'train' if n < 20 else 'test'}\n" for n in range(24))
    write(tmp_path, [f"{number}.wav" for number in range(24)])
    task = AudioFolder(
        root=str(tmp_path), manifest=manifest(tmp_path, f"path,label,split\n{rows}"), validation_share=0.2
    )
    _, found = read_all(task)
    assert Counter(u.split for u in found) == {"train": 16, "validation": 4, "test": 4}
    assert {u.utterance_id for u in found if u.split == "test"} == {f"{number}.wav" for number in range(20, 24)}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "a.wav,yes,train\nb.wav,yes,dev\n",
            r"unknown split of .*b\.wav \(list\.csv row 2\): got 'dev', allowed: train",
        ),
        ("a.wav,yes,train\nb.wav,yes,\n", r"split given for some recordings only: got none for .*b\.wav"),
        ("a.wav,yes,train\nb.wav,,train\n", r"no 'label' is given: .*b\.wav \(list\.csv row 2\)"),
        (
            "a.wav,yes,train\nb.wav,no,test\n",
            r"got 'no' in the test split at .*b\.wav \(list\.csv row 2\), allowed: yes",
        ),
        ("a.wav,yes,train\nb.wav,yes,test\n", r"got yes \(1\), allowed: 2 or more in each"),
    ],
)
def test_a_bad_manifest_is_refused_before_any_audio_is_read(tmp_path: Path, rows: str, message: str) -> None:
    task = AudioFolder(root=str(tmp_path), manifest=manifest(tmp_path, f"path,label,split\n{rows}"))
    with pytest.raises(ValueError, match=message):
        task.read()


def test_a_reserved_name_of_an_attribute_is_refused(tmp_path: Path) -> None:
    rows = "path,label,true_label\na.wav,yes,no\n"
    with pytest.raises(ValueError, match=r"reserved name of an attribute of .* got true_label"):
        AudioFolder(root=str(tmp_path), manifest=manifest(tmp_path, rows)).read()


def test_a_speaker_table_adds_attributes(tmp_path: Path) -> None:
    digits(tmp_path)
    (tmp_path / "speakers.csv").write_text("speaker,accent\nann ,scottish\n")
    _, found = read_all(
        AudioFolder(root=str(tmp_path), pattern=DIGITS, label_from="digit", speaker_table="speakers.csv")
    )
    assert {(u.speaker, u.attributes.get("accent")) for u in found} == {("ann", "scottish"), ("bob", None)}


def test_where_takes_only_what_fits(tmp_path: Path) -> None:
    settings = {"root": str(digits(tmp_path)), "pattern": DIGITS, "label_from": "digit"}
    _, found = read_all(AudioFolder(**settings, where={"take": [0, 1, 2], "speaker": "ann"}))
    assert {(u.attributes["take"], u.speaker) for u in found} == {(take, "ann") for take in "012"}
    with pytest.raises(ValueError, match="no recording is left: got where"):
        read_all(AudioFolder(**settings, where={"take": 99}))


def test_whole_numbers_in_parquet_are_classes_and_speakers_zero_included(tmp_path: Path) -> None:
    paths = sorted(str(path.relative_to(tmp_path)) for path in two_words(tmp_path).rglob("*.wav"))
    for kind in (int, float):
        columns = {"path": paths, "label": [kind(p[0]) for p in paths], "speaker": [kind(n % 3) for n in range(12)]}
        pd.DataFrame(columns).to_parquet(tmp_path / "m.parquet")
        for on_bad_audio in ("error", "skip"):
            source, found = read_all(AudioFolder(root=str(tmp_path), manifest="m.parquet", on_bad_audio=on_bad_audio))
            assert source.classes == ("0", "1")
            assert ({u.speaker for u in found}, len(found), source.skipped) == ({"0", "1", "2"}, 12, [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"label_from": "wrod"},
            "label_from names a column that m.csv does not have: got 'wrod', allowed: word, speaker",
        ),
        ({}, "label_from names a column that m.csv does not have: got 'label', allowed: word, speaker"),
        ({"label_from": "word", "speaker_from": "spk"}, "speaker_from names a column .* got 'spk', allowed: word"),
        ({"target": "speakers", "speaker_from": "spk"}, "speaker_from names a column .* got 'spk', allowed: word"),
        ({"label_from": "word", "where": {"tke": 1}}, "unknown column in where: got 'tke', allowed: speaker, word"),
        ({"label_from": "word", "test_where": {"tke": 1}}, "unknown column in test_where: got 'tke', allowed: speaker"),
        ({"label_from": "word", "where": {"speaker": "zoe"}}, "which fits none of 12; values of speaker: ann, bob"),
        (
            {"label_from": "word", "test_where": {"speaker": "zoe"}},
            "test split is empty: .*values of speaker: ann, bob",
        ),
    ],
)
@pytest.mark.parametrize("on_bad_audio", ["error", "skip"])
def test_a_mistyped_column_is_named_and_never_blamed_on_the_audio(
    tmp_path: Path, settings: dict[str, object], message: str, on_bad_audio: str
) -> None:
    rows = "".join(f"{w}/{t}.wav,{w},{'ann' if t % 2 else 'bob'}\n" for w in (0, 1) for t in range(6))
    task = {"root": str(two_words(tmp_path)), "manifest": manifest(tmp_path, "path,word,speaker\n" + rows)}
    (tmp_path / "list.csv").rename(tmp_path / "m.csv")
    with pytest.raises(ValueError, match=message) as error:
        read_all(AudioFolder(**{**task, "manifest": "m.csv"}, **settings, on_bad_audio=on_bad_audio))  # type: ignore[arg-type]
    assert not isinstance(error.value, BadRecordingError)


def test_a_pattern_without_the_group_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label_from names a column that the pattern does not have: got 'label'"):
        AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS).read()


def test_numbers_are_values_of_classes_and_where_and_a_boolean_is_not_a_class(tmp_path: Path) -> None:
    task = AudioFolder(
        root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", classes=[2, 0], unknown_label="o"
    )  # type: ignore[list-item]
    source, _ = read_all(replace(task, where={"take": [0, 1.0, "2", 3]}))
    assert source.classes == ("2", "0", "o")
    assert task.settings() == replace(task, classes=["2", "0"]).settings()
    with pytest.raises(ValueError, match=r"classes must be names: got True, .*quote it"):
        AudioFolder(root="x", classes=[True, "no"])  # type: ignore[list-item]


def test_booleans_in_where_fit_those_of_any_table(tmp_path: Path) -> None:
    for spelling in ("true", "True"):
        rows = "".join(f"{w}/{t}.wav,{w},{spelling if t else 'False'}\n" for w in (0, 1) for t in range(6))
        task = AudioFolder(
            root=str(two_words(tmp_path)), manifest=manifest(tmp_path, "path,label,ok\n" + rows), where={"ok": True}
        )
        assert len(read_all(task)[1]) == 10
