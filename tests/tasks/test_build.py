from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.errors import DamagedFile, RecordingsNotice
from orchestrator.tasks.base import Source, Utterance
from orchestrator.tasks.build import open_corpus, with_holdout, with_label_noise, write_corpus

SCRIPT = Path(__file__).parent / "toy_builder.py"
spec = importlib.util.spec_from_file_location("toy_builder", SCRIPT)
assert spec is not None
assert spec.loader is not None
toy = importlib.util.module_from_spec(spec)
sys.modules["toy_builder"] = toy
spec.loader.exec_module(toy)


def start(folder: Path, builders: int, fate: str = "lives") -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(folder), str(builders), fate]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "corpora").iterdir() if path.is_dir() and path.name[0] != ".")


def hidden(folder: Path) -> list[Path]:
    return [path for path in (folder / "corpora").iterdir() if path.is_dir() and path.name[0] == "."]


def test_what_was_read_comes_back_row_by_row(tmp_path: Path) -> None:
    corpus = open_corpus(toy.ToyTask(folder=tmp_path, holdout_share=0.0), tmp_path)
    given = list(toy.toy_utterances(("yes", "no", "up")))
    assert len(corpus) == len(given)
    for row, utterance in enumerate(given):
        assert np.array_equal(corpus.audio(row), utterance.audio)
    assert corpus.num_samples.tolist() == [len(u.audio) for u in given]
    assert corpus.utterance_ids.tolist() == [u.utterance_id for u in given]
    assert [corpus.classes[label] for label in corpus.labels] == [u.label for u in given]
    assert corpus.speakers.tolist() == [u.speaker for u in given]
    assert corpus.splits.tolist() == [u.split for u in given]
    assert corpus.column("snr_db").tolist() == [u.attributes["snr_db"] for u in given]
    assert corpus.column("accent").tolist() == [u.attributes.get("accent") for u in given]


def test_the_level_of_an_utterance_is_its_root_mean_square_of_full_scale(tmp_path: Path) -> None:
    corpus = open_corpus(toy.ToyTask(folder=tmp_path), tmp_path)
    levels = corpus.levels_db(np.array([64, 0, 32, 64]))  # an utterance's samples all have its number as value
    assert levels.tolist() == pytest.approx([20 * np.log10(64 / 2**15), -100, 20 * np.log10(32 / 2**15), levels[0]])


def test_a_corpus_of_many_batches_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.tasks.build.ROWS_PER_BATCH", 7)
    corpus = open_corpus(toy.ToyTask(folder=tmp_path), tmp_path)
    assert [int(corpus.audio(row)[0]) for row in range(len(corpus))] == list(range(len(corpus)))


def test_a_corpus_is_built_once_and_its_folder_named_by_its_fingerprint(tmp_path: Path) -> None:
    first, second = (open_corpus(toy.ToyTask(folder=tmp_path), tmp_path) for _ in range(2))
    assert first.path == second.path
    assert first.path.name.endswith(first.fingerprint)
    assert len(list(tmp_path.glob("built-by-*"))) == 1
    info = json.loads((first.path / "corpus.json").read_text())
    assert sum(info["counts"].values()) == len(first)


def test_settings_outside_the_identity_do_not_rename_the_corpus(tmp_path: Path) -> None:
    names = {toy.ToyTask(folder=folder).fingerprint() for folder in (tmp_path, tmp_path / "elsewhere")}
    assert len(names) == 1
    assert toy.ToyTask(holdout_share=0.2).fingerprint() not in names


def test_builders_that_come_at_once_make_one_corpus_that_all_can_read(tmp_path: Path) -> None:
    processes = [start(tmp_path, builders=3) for _ in range(3)]
    answers = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert answers == {f"180 {visible(tmp_path)[0]} 77\n"}
    assert len(list(tmp_path.glob("came-*"))) == 3
    assert len(list(tmp_path.glob("built-by-*"))) == 1
    assert len(visible(tmp_path)) == 1
    assert not hidden(tmp_path)


def test_a_killed_builder_leaves_nothing_visible_and_the_next_one_clears_up(
    tmp_path: Path, injected: Callable[..., Any]
) -> None:
    assert start(tmp_path, 1, "killed").wait() == -9
    assert visible(tmp_path) == []
    assert len(hidden(tmp_path)) == 1
    injected("SIGKILL of a process that builds a corpus", "nothing half-built is visible; the next one cleans up")
    corpus = open_corpus(toy.ToyTask(folder=tmp_path), tmp_path)
    assert visible(tmp_path) == [corpus.path.name]
    assert not hidden(tmp_path)
    assert len(corpus) == 180


def with_read(task: Any, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Any:
    """The toy task, whose fourth utterance is changed."""
    given = list(toy.toy_utterances(("yes", "no", "up")))
    given[3] = replace(given[3], **changes)
    monkeypatch.setattr(type(task), "read", lambda _: Source(("yes", "no", "up"), iter(given)))
    return task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "maybe"}, "unknown label of u3: got 'maybe', allowed: yes, no, up"),
        ({"split": "dev"}, "unknown split of u3: got 'dev', allowed: train, validation, test, holdout"),
        ({"utterance_id": "u1"}, "utterance id given twice: u1"),
        ({"attributes": {"split": "test"}}, "attributes of u3 named like columns: got split"),
    ],
)
def test_bad_recordings_are_refused_and_nothing_is_left(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=message):
        open_corpus(with_read(toy.ToyTask(folder=tmp_path), monkeypatch, **changes), tmp_path)
    assert not visible(tmp_path)
    assert not hidden(tmp_path)


def test_whole_numbers_too_large_for_a_float_are_kept_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = open_corpus(
        with_read(toy.ToyTask(folder=tmp_path), monkeypatch, attributes={"client": 2**60 + 1}), tmp_path
    )
    assert corpus.column("client")[:5].tolist() == [None, None, None, str(2**60 + 1), None]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_corpus_without_train_or_test_is_refused(split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Utterance] = [u for u in toy.toy_utterances(("yes", "no", "up")) if u.split != split]
    monkeypatch.setattr(toy.ToyTask, "read", lambda _: Source(("yes", "no", "up"), iter(given)))
    with pytest.raises(ValueError, match=f"the {split} split is empty"):
        write_corpus(toy.ToyTask(), tmp_path)


def test_train_gives_up_the_same_share_of_each_class_for_holdout(tmp_path: Path) -> None:
    corpus = open_corpus(toy.ToyTask(folder=tmp_path, holdout_share=0.1), tmp_path)
    assert np.bincount(corpus.labels[corpus.rows("holdout")]).tolist() == [4, 4, 4]
    assert np.bincount(corpus.labels[corpus.rows("train")]).tolist() == [36, 36, 36]
    assert len(corpus.rows("test")) == len(corpus.rows("validation")) == 30


def test_a_corpus_with_its_own_holdout_keeps_its_train_split() -> None:
    splits = np.array(["train"] * 20 + ["holdout", "test"])
    assert np.array_equal(with_holdout(splits, np.zeros(22, dtype=int), 0.5), splits)
    assert np.array_equal(with_holdout(splits[:20], np.zeros(20, dtype=int), 0.0), splits[:20])


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_holdout_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"holdout_share must lie in \[0, 1\)"):
        with_holdout(np.array(["train"]), np.zeros(1, dtype=int), share)


def test_label_noise_spoils_its_share_of_train_and_holdout_only(tmp_path: Path) -> None:
    corpus = open_corpus(
        toy.ToyTask(folder=tmp_path, holdout_share=0.25, label_noise={"share": 0.2, "seed": 1}), tmp_path
    )
    wrong = corpus.labels != corpus.true_labels
    assert {split: int(wrong[corpus.rows(split)].sum()) for split in ("train", "holdout")} == {
        "train": 18,
        "holdout": 6,
    }
    assert not wrong[corpus.rows("test")].any()
    assert not wrong[corpus.rows("validation")].any()


def test_wrong_labels_are_spread_over_all_other_classes_and_follow_the_seed() -> None:
    true, splits = np.repeat(np.arange(4), 500), np.full(2000, "train")
    noisy = {seed: with_label_noise(true, splits, 4, {"share": 0.5, "seed": seed}) for seed in (0, 1)}
    assert not np.array_equal(noisy[0], noisy[1])
    assert np.array_equal(noisy[0], with_label_noise(true, splits, 4, {"share": 0.5, "seed": 0}))
    shifts = np.bincount((noisy[0] - true) % 4, minlength=4)
    assert shifts[0] == 1000
    assert shifts[1:].min() > 250


@pytest.mark.parametrize("noise", [{"share": 0.0}, {"share": 1.0}, {"seed": 1}, {"share": 0.1, "sead": 1}])
def test_label_noise_that_cannot_be_meant_is_refused_before_anything_is_read(noise: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="label_noise"):
        toy.ToyTask(label_noise=noise)


def test_fewer_than_two_classes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy.ToyTask, "read", lambda _: Source(("yes",), iter(toy.toy_utterances(("yes",)))))
    with pytest.raises(ValueError, match="too few classes: got yes, allowed: two or more"):
        open_corpus(toy.ToyTask(), tmp_path)


def test_identical_audio_under_several_ids_is_found_and_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list(toy.toy_utterances(("yes", "no", "up")))
    for row in (3, 60, 170):
        given[row] = replace(given[row], audio=given[0].audio)
    monkeypatch.setattr(toy.ToyTask, "read", lambda _: Source(("yes", "no", "up"), iter(given)))
    said = r"4 recordings have the same audio as another \(groups: 1; in several splits: 1; in several classes: 1\)"
    with pytest.warns(RecordingsNotice, match=f"Toy: {said}: u0 = u3 = u60 = …"):
        corpus = open_corpus(toy.ToyTask(folder=tmp_path), tmp_path)
    assert corpus.info["duplicates"] == [["u0", "u3", "u60", "u170"]]


@pytest.mark.filterwarnings("ignore::orchestrator.errors.RecordingsNotice")
def test_identical_recordings_that_are_both_poisoned_stay_known_as_identical(tmp_path: Path, monkeypatch) -> None:
    given = list(toy.toy_utterances(("yes", "no", "up")))
    same = [row for row, utterance in enumerate(given) if utterance.split == "train" and utterance.label != "up"][:40]
    for row in same:
        given[row] = replace(given[row], audio=given[same[0]].audio)
    monkeypatch.setattr(toy.ToyTask, "read", lambda _: Source(("yes", "no", "up"), iter(given)))
    corpus = open_corpus(toy.ToyTask(folder=tmp_path, poison={"share": 0.3, "target": "up"}), tmp_path)
    groups: dict[bytes, set[str]] = {}
    for row in np.flatnonzero(corpus.splits != "triggered"):
        groups.setdefault(corpus.audio(int(row)).tobytes(), set()).add(str(corpus.utterance_ids[row]))
    assert sorted(map(sorted, corpus.info["duplicates"])) == sorted(sorted(g) for g in groups.values() if len(g) > 1)
    assert len(corpus.info["duplicates"]) == 2


@pytest.mark.parametrize("name", ["corpus.json", "arrow/data-00000-of-00001.arrow", "arrow/state.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "removed"])
def test_a_damaged_corpus_is_named_set_aside_and_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: str
) -> None:
    monkeypatch.setattr("orchestrator.digests.SETTLED_NS", -1)
    task = toy.ToyTask(folder=tmp_path)
    file = open_corpus(task, tmp_path).path / name
    content = file.read_bytes()
    flipped = content[:-30] + bytes([content[-30] ^ 1]) + content[-29:]
    damaged = {"flipped": flipped, "cut": content[: len(content) // 2], "emptied": b""}.get(damage)
    file.unlink() if damaged is None else file.write_bytes(damaged)
    with pytest.warns(DamagedFile, match=rf"is damaged \(changed or missing: {re.escape(name)}\)"):
        corpus = open_corpus(task, tmp_path)
    assert len(corpus) == 180
    assert (corpus.path / name).read_bytes() == content
    assert (tmp_path / "damaged" / corpus.path.name / "digests.json").is_file()


def test_a_whole_corpus_is_read_once_for_its_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.digests.SETTLED_NS", -1)
    task = toy.ToyTask(folder=tmp_path)
    for _ in range(2):
        open_corpus(task, tmp_path)
    monkeypatch.setattr("orchestrator.digests.sha256_of", lambda file: pytest.fail(f"{file} was read again"))
    open_corpus(task, tmp_path)


def test_named_utterances_stay_in_train_and_others_take_their_place() -> None:
    splits, labels = np.full(40, "train"), np.repeat([0, 1], 20)
    moved = np.flatnonzero(with_holdout(splits, labels, 0.25) == "holdout")
    keep = np.isin(np.arange(40), moved[:3])
    again = with_holdout(splits, labels, 0.25, keep=keep) == "holdout"
    assert not np.any(again & keep)
    assert np.bincount(labels[again]).tolist() == [5, 5]
    assert set(moved[3:]) < set(np.flatnonzero(again))


def test_ids_to_keep_in_train_are_there_and_name_the_corpus(tmp_path: Path) -> None:
    plain = toy.ToyTask(folder=tmp_path, holdout_share=0.5)
    moved = open_corpus(plain, tmp_path).utterance_ids[open_corpus(plain, tmp_path).rows("holdout")][:5].tolist()
    kept = toy.ToyTask(folder=tmp_path, holdout_share=0.5, keep_in_train=[f" ./{name}" for name in moved])
    corpus = open_corpus(kept, tmp_path)
    assert corpus.fingerprint != plain.fingerprint()
    assert set(corpus.splits[np.isin(corpus.utterance_ids, moved)]) == {"train"}
    assert corpus.info["counts"] == open_corpus(plain, tmp_path).info["counts"]
    assert kept.fingerprint() == replace(plain, keep_in_train=tuple(reversed(moved))).fingerprint()
    assert len(str(kept.settings()["keep_in_train"])) < 80  # in every row: a digest, however many there are
    assert "keep_in_train" not in plain.settings()
