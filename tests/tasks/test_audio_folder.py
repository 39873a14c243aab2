from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from orchestrator.errors import RecordingsNotice
from orchestrator.forgetting.sets import ForgetRequest, corpus_arrays, draw
from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.base import RecordingsChangedError, Source, Utterance
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.sources import audio_files
from orchestrator.tasks.sources.audio_files import BadRecordingError

DIGITS = r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)"


def write(root: Path, names: Iterable[str], rate_hz: int = 16_000) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, np.full(rate_hz // 100, number, np.int16), rate_hz)
    return root


def digits(root: Path, takes: int = 10) -> Path:
    return write(root, [f"{d}_{s}_{t}.wav" for d in (0, 1, 2) for s in ("ann", "bob") for t in range(takes)])


def walk(task: AudioFolder) -> tuple[Source, list[Utterance]]:
    source = task.read()
    return source, list(source.utterances)


def test_names_that_follow_a_pattern_become_keywords_speakers_and_attributes(tmp_path: Path) -> None:
    source, found = walk(AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit"))
    assert source.classes == ("0", "1", "2")
    assert [u.utterance_id for u in found] == sorted(path.name for path in tmp_path.iterdir())
    one = next(u for u in found if u.utterance_id == "2_bob_7.wav")
    assert (one.label, one.speaker, dict(one.attributes)) == ("2", "bob", {"take": "7"})


def test_the_same_recordings_serve_speaker_identification(tmp_path: Path) -> None:
    task = AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", target="speakers")
    source, found = walk(task)
    assert task.kind == "speakers"
    assert source.classes == ("ann", "bob")
    assert all(u.label == u.speaker and set(u.attributes) == {"digit", "take"} for u in found)


def test_test_where_chooses_the_test_recordings_exactly(tmp_path: Path) -> None:
    task = AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", test_where={"take": [0, 1]})
    _, found = walk(task)
    assert {u.utterance_id for u in found if u.split == "test"} == {
        u.utterance_id for u in found if u.attributes["take"] in ("0", "1")
    }
    validation = Counter((u.label, u.speaker) for u in found if u.split == "validation")
    assert Counter(u.label for u in found if u.split == "validation") == {"0": 2, "1": 2, "2": 2}
    assert set(validation.values()) == {1}


def test_a_whole_speaker_can_be_the_test_set(tmp_path: Path) -> None:
    task = AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", test_where={"speaker": "bob"})
    _, found = walk(task)
    assert {u.speaker for u in found if u.split == "test"} == {"bob"}
    assert {u.speaker for u in found if u.split != "test"} == {"ann"}


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
        _, found = walk(task)
        for label in ("0", "1", "2"):
            assert Counter(u.split for u in found if u.label == label) == {"train": 24, "validation": 8, "test": 8}
        splits.append([u.split for u in found])
    assert splits[0] == splits[1] != splits[2]


def test_class_folders_need_no_settings(tmp_path: Path) -> None:
    write(tmp_path, [f"{word}/deep/{take}.wav" for word in ("no", "yes") for take in range(10)])
    source, found = walk(AudioFolder(root=str(tmp_path)))
    assert source.classes == ("no", "yes")
    assert all(u.label == u.utterance_id.split("/")[0] and u.speaker == "" for u in found)
    assert Counter(u.split for u in found) == {"train": 16, "validation": 2, "test": 2}


def manifest(tmp_path: Path, text: str) -> str:
    (tmp_path / "list.csv").write_text(text)
    return "list.csv"


SPLIT_ROWS = "path,label,speaker,split,accent\na.wav,yes,ann,train,x\nb.wav,no,bob,train,\nc.wav,yes,ann,test,y\n"


def test_a_manifest_gives_split_speaker_and_attributes(tmp_path: Path) -> None:
    write(tmp_path, ["a.wav", "b.wav", "c.wav"])
    task = AudioFolder(root=str(tmp_path), manifest=manifest(tmp_path, SPLIT_ROWS), min_clips_per_class=1)
    _, found = walk(task)
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
    _, found = walk(task)
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


def bad_tree(tmp_path: Path) -> Path:
    write(tmp_path, [f"{word}/{take}.wav" for word in ("no", "yes") for take in range(20)])
    (tmp_path / "yes/3.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "no/4.wav", np.array([np.nan], np.float32), 16_000, subtype="FLOAT")
    write(tmp_path, ["stray.wav"])
    return tmp_path


def test_bad_recordings_are_an_error_by_default(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"the file lies in no class folder: .*stray\.wav; allowed: .*on_bad_audio: skip"
    ):
        walk(AudioFolder(root=str(bad_tree(tmp_path))))


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
        walk(AudioFolder(root=str(tmp_path), on_bad_audio="skip"))


def test_labels_outside_the_classes_are_unknown_or_refused(tmp_path: Path) -> None:
    write(tmp_path, [f"{word}/{take}.wav" for word in ("cat", "dog", "no", "yes") for take in range(10)])
    with pytest.raises(
        ValueError, match=r"unknown label of .*cat.0\.wav: got 'cat', allowed: yes, no; `unknown_label`"
    ):
        AudioFolder(root=str(tmp_path), classes=["yes", "no"]).read()
    task = AudioFolder(root=str(tmp_path), classes=["yes", "no"], unknown_label="other")
    source, found = walk(task)
    assert source.classes == ("yes", "no", "other")
    assert {u.attributes["word"] for u in found if u.label == "other"} == {"cat", "dog"}
    assert "other" in task.unforgettable


def test_a_speaker_table_adds_attributes(tmp_path: Path) -> None:
    digits(tmp_path)
    (tmp_path / "speakers.csv").write_text("speaker,accent\nann ,scottish\n")
    _, found = walk(AudioFolder(root=str(tmp_path), pattern=DIGITS, label_from="digit", speaker_table="speakers.csv"))
    assert {(u.speaker, u.attributes.get("accent")) for u in found} == {("ann", "scottish"), ("bob", None)}


def test_long_recordings_are_cut_and_any_rate_becomes_16_khz(tmp_path: Path) -> None:
    write(tmp_path, [f"{word}/{take}.wav" for word in ("no", "yes") for take in range(10)], rate_hz=8_000)
    _, found = walk(AudioFolder(root=str(tmp_path), max_seconds=0.005))
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
    source, found = walk(task)
    assert len(source.classes) == num_classes
    assert Counter(u.split for u in found) == {"train": 2430, "validation": 270, "test": 300}
    assert {u.attributes["take"] for u in found if u.split == "test"} == set("01234")
    assert all(u.attributes["accent"] for u in found)
    assert sum(len(u.audio) for u in found) / 16_000 / 60 == pytest.approx(21.9, abs=0.1)


def test_where_takes_only_what_fits(tmp_path: Path) -> None:
    settings = {"root": str(digits(tmp_path)), "pattern": DIGITS, "label_from": "digit"}
    _, found = walk(AudioFolder(**settings, where={"take": [0, 1, 2], "speaker": "ann"}))
    assert {(u.attributes["take"], u.speaker) for u in found} == {(take, "ann") for take in "012"}
    with pytest.raises(ValueError, match="no recording is left: got where"):
        walk(AudioFolder(**settings, where={"take": 99}))


def test_the_order_and_type_of_wanted_values_do_not_name_another_corpus(tmp_path: Path) -> None:
    made = [AudioFolder(root=str(tmp_path), where={"take": w}) for w in (["1", "0"], [0, 1], ("0", "1"))]
    assert len({str(task.settings()) for task in made}) == 1
    assert AudioFolder(root=str(tmp_path), test_where={"take": 1}).settings()["test_where"] == {"take": ["1"]}


def two_words(root: Path, takes: int = 6) -> Path:
    return write(root, [f"{word}/{take}.wav" for word in ("0", "1") for take in range(takes)])


def test_whole_numbers_in_parquet_are_classes_and_speakers_zero_included(tmp_path: Path) -> None:
    paths = sorted(str(path.relative_to(tmp_path)) for path in two_words(tmp_path).rglob("*.wav"))
    for kind in (int, float):
        columns = {"path": paths, "label": [kind(p[0]) for p in paths], "speaker": [kind(n % 3) for n in range(12)]}
        pd.DataFrame(columns).to_parquet(tmp_path / "m.parquet")
        for on_bad_audio in ("error", "skip"):
            source, found = walk(AudioFolder(root=str(tmp_path), manifest="m.parquet", on_bad_audio=on_bad_audio))
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
        walk(AudioFolder(**{**task, "manifest": "m.csv"}, **settings, on_bad_audio=on_bad_audio))  # type: ignore[arg-type]
    assert not isinstance(error.value, BadRecordingError)


def test_a_pattern_without_the_group_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label_from names a column that the pattern does not have: got 'label'"):
        AudioFolder(root=str(digits(tmp_path)), pattern=DIGITS).read()


def test_numbers_are_values_of_classes_and_where_and_a_boolean_is_not_a_class(tmp_path: Path) -> None:
    task = AudioFolder(
        root=str(digits(tmp_path)), pattern=DIGITS, label_from="digit", classes=[2, 0], unknown_label="o"
    )  # type: ignore[list-item]
    source, _ = walk(replace(task, where={"take": [0, 1.0, "2", 3]}))
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
        assert len(walk(task)[1]) == 10


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
