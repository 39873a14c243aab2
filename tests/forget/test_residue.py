from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.recordings import read_manifest
from orchestrator.forget.request import Request, resolve
from orchestrator.forget.residue import Sought, purge, scan
from orchestrator.forget.scratch import CONTENT, MARKER

SWEEP = """
name: residue
tasks: [{name: audio_folder, root: ROOT, manifest: manifest.csv}]
backbones: [logmel_cnn]
unlearning: [{kind: speaker, speakers: [ann]}]
methods: [original, {name: grad_ascent, learning_rate: 1.0e-4}]
seeds: [0]
training: {learning_rate: 1.0e-3, epochs: 1, batch_size: 32}
keep_models: final
evidence: {embeddings: true}
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory, commands):
    """A sweep on the commands leaves a corpus, features, models, logits and outputs; an interrupted run a scratch."""
    from orchestrator import load_sweep, run_sweep

    folder = tmp_path_factory.mktemp("planted")
    (folder / "sweep.yaml").write_text(SWEEP.replace("ROOT", str(commands)))
    run_sweep(load_sweep(folder / "sweep.yaml"), folder / "r", executor="local", cache_dir=folder / "cache")
    (folder / "outputs/.out-abc").mkdir(parents=True)
    (folder / "outputs/.out-abc" / MARKER).write_text(CONTENT)
    return folder


def found_by(folder, commands, **settings):
    recordings = read_manifest(commands / "manifest.csv", ("down", "left", "right", "up"))
    resolved = resolve(Request(speaker="ann"), recordings, ("down", "left", "right", "up"))
    rows = np.union1d(resolved.everything, resolved.never_trained)
    return scan(recordings, rows, [folder / "r"], folder / "outputs", folder / "cache", **settings)


def holding(folder):
    """Every file or folder that the sweep and the interrupted run left of the recordings."""
    shelves = ("models", "logits", "outputs", "unlearned", "checkpoints", "prepared", "evidence", "embeddings")
    left = [p for shelf in shelves for p in (folder / "r" / shelf).glob("*")]
    for kind in ("corpora", "features"):
        left += [p for p in (folder / "cache" / kind).iterdir() if p.is_dir()]
    return {*left, folder / "outputs/.out-abc"}


def test_all_that_was_planted_is_found_and_nothing_is_changed(planted, commands):
    before = sorted(planted.rglob("*"))
    found = found_by(planted, commands)
    assert {residue.path for residue in found} == holding(planted)
    assert len(found) >= 7
    assert sorted(planted.rglob("*")) == before


def test_outputs_that_another_request_kept_are_listed_and_left(planted, commands, first, tmp_path):
    """They have the recordings under pseudonyms; those of other recordings, or unreadable ones, are not listed."""
    key, kept = open_key(first.folder.parent / "key", create=False), tmp_path / "outputs/r1/evidence/outputs.parquet"
    shutil.copytree(first.folder, tmp_path / "outputs/r1")
    (tmp_path / "outputs/r2/evidence").mkdir(parents=True)
    (tmp_path / "outputs/r2/evidence/outputs.parquet").write_text("torn")
    (tmp_path / "r").mkdir()
    left = purge(found_by(tmp_path, commands, sought=Sought(key.of)))
    assert [(residue.path, "unlearn gc" in residue.kept_because) for residue in left] == [(kept, True)]
    assert kept.exists()
    assert found_by(tmp_path, commands) == []  # under another key


def test_purge_removes_all_of_it_and_no_input(planted, commands, tmp_path):
    copy = shutil.copytree(planted, tmp_path / "copy")
    recordings = sorted(commands.iterdir())
    assert purge(found_by(copy, commands)) == []
    assert holding(copy) - {copy / "outputs/.out-abc"} == set()
    assert not (copy / "outputs/.out-abc").exists()
    assert list((copy / "r/rows").glob("*"))
    assert sorted(commands.iterdir()) == recordings


def test_results_on_other_recordings_are_left_alone(planted, commands, finished_small, tmp_path):
    copy = shutil.copytree(finished_small / "r", tmp_path / "r")
    assert found_by(tmp_path, commands) == []
    assert (copy / "rows").is_dir()


def test_outputs_in_which_only_some_ids_are_the_same_are_listed_and_kept(planted, commands, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "r/outputs").mkdir(parents=True)
    ids = ["up-ann-00.wav", *(f"other-{n}.wav" for n in range(20))]
    pq.write_table(pa.table({"utterance_id": ids, "true_label": [0] * 21}), tmp_path / "r/outputs/t.parquet")
    found = found_by(tmp_path, commands)
    assert [r.path.name for r in found] == ["t.parquet"]
    assert "most are not in the manifest: check it by hand" in purge(found)[0].kept_because
    assert found[0].path.exists()


def test_results_that_a_launch_is_using_are_kept(planted, commands, tmp_path):
    from orchestrator.results.store import open_store
    from orchestrator.run.scheduling.driver_lease import sole_driver

    copy = shutil.copytree(planted, tmp_path / "copy")
    found = [r for r in found_by(copy, commands) if r.path.is_relative_to(copy / "r")]
    with sole_driver(open_store(copy / "r").files):
        left = purge(found)
    assert {r.kept_because for r in left} == {"a launch is using that results folder"}
    assert all(r.path.exists() for r in found)


@pytest.mark.parametrize("shelf", ["outputs", "embeddings"])
def test_outputs_without_rows_and_corpora_are_found_by_their_ids(planted, commands, tmp_path, shelf):
    shutil.copytree(planted / "r" / shelf, tmp_path / "r" / shelf)
    assert {r.path.name for r in found_by(tmp_path, commands)} == {p.name for p in (planted / "r" / shelf).iterdir()}


def test_what_contains_input_or_is_shared_or_in_use_is_kept_with_the_reason(planted, commands, tmp_path, monkeypatch):
    from filelock import FileLock

    copy = shutil.copytree(planted, tmp_path / "copy")
    monkeypatch.setenv("UNLEARN_SHARED_CACHE", str(copy / "cache"))
    shared = [r for r in found_by(copy, commands) if "cache" in r.path.parts]
    assert {r.kept_because for r in shared} == {"it is in a cache that machines share"}
    monkeypatch.delenv("UNLEARN_SHARED_CACHE")
    found = [r for r in found_by(copy, commands) if r.path.parent.name == "corpora"]
    with FileLock(f"{found[0].path}.lock"):
        left = purge(found)
    assert [r.kept_because for r in left] == ["another process is using it"]
    assert found[0].path.exists()


def test_features_are_theirs_by_the_corpus_that_they_name_and_not_by_their_lengths(planted, commands, tmp_path):
    """Other features of equal lengths are left alone if they name another corpus, and kept if they name none."""
    copy = shutil.copytree(planted, tmp_path / "copy")
    theirs = next(p for p in (copy / "cache/features").iterdir() if p.is_dir())
    other, nameless = (shutil.copytree(theirs, theirs.with_name(name)) for name in ("other", "nameless"))
    (other / "corpus.txt").write_text("another corpus")
    (nameless / "corpus.txt").unlink()
    found = found_by(copy, commands)
    assert {r.path for r in found if r.path.parent == theirs.parent} == {theirs, nameless}
    assert [r.path for r in purge(found) if "by hand" in r.kept_because] == [nameless]
    assert (theirs.exists(), other.exists(), nameless.exists()) == (False, True, True)


def test_features_are_found_when_their_corpus_is_deleted_already(planted, commands, tmp_path):
    copy = shutil.copytree(planted, tmp_path / "copy")
    shutil.rmtree(copy / "cache/corpora")
    theirs = next(p for p in (copy / "cache/features").iterdir() if p.is_dir())
    assert theirs in {r.path for r in found_by(copy, commands)}


def test_a_folder_that_only_looks_like_scratch_is_never_taken(planted, commands, tmp_path):
    notes = tmp_path / "outputs/.my-notes/result/thesis.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("years of work")
    (tmp_path / "outputs/.my-notes/features.npy").write_text("")
    (tmp_path / "r").mkdir()
    assert found_by(tmp_path, commands) == []


def test_the_scratch_of_a_run_that_goes_on_is_kept(planted, commands, tmp_path):
    from orchestrator.forget.scratch import scratch_folder

    (tmp_path / "outputs").mkdir()
    (tmp_path / "r").mkdir()
    with scratch_folder(tmp_path / "outputs/out") as running:
        left = purge(found_by(tmp_path, commands))
        assert [(r.path, r.kept_because) for r in left] == [(running, "another process is using it")]
        assert running.is_dir()


def test_scratch_files_of_trials_are_removed_only_when_they_are_old(planted, commands, tmp_path):
    folder = tmp_path / "cache/scratch"
    folder.mkdir(parents=True)
    (tmp_path / "r").mkdir()
    for name in ("old", "new"):
        (folder / name).write_text("outputs")
    os.utime(folder / "old", (0, 0))
    found = found_by(tmp_path, commands)
    os.utime(folder / "new", (0, 0))
    assert [r.path.name for r in found if not r.kept_because] == ["old"]
    (folder / "old").touch()  # used again after the scan
    assert {r.path.name for r in purge(found)} == {"old", "new"}
    assert sorted(p.name for p in folder.iterdir()) == ["new", "old"]


def test_a_scratch_file_that_a_trial_removes_during_the_scan_does_not_end_it(planted, commands, tmp_path, monkeypatch):
    from orchestrator.forget import residue

    (tmp_path / "cache/scratch").mkdir(parents=True)
    (tmp_path / "r").mkdir()
    (tmp_path / "cache/scratch/brief").write_text("outputs")
    monkeypatch.setattr(residue, "is_old", lambda path: path.unlink() or False)
    assert [r.path.name for r in found_by(tmp_path, commands)] == ["brief"]


def test_audio_that_is_deleted_and_rows_that_are_pruned_are_found_by_what_a_report_kept(planted, commands, tmp_path):
    recordings = read_manifest(commands / "manifest.csv", ("down", "left", "right", "up"))
    rows = np.flatnonzero(recordings.speakers == "ann")
    audio = {f"audio-{digest}" for digest in recordings.digests[rows]}
    lines = (commands / "manifest.csv").read_text().splitlines()
    (tmp_path / "pruned.csv").write_text("\n".join(line for line in lines if ",ann," not in line))
    pruned = read_manifest(tmp_path / "pruned.csv", ("down", "left", "right", "up"), missing_allowed=True)
    none = np.empty(0, dtype=np.int64)
    where = pruned, none, [planted / "r"], planted / "outputs", planted / "cache"
    assert {r.path for r in scan(*where)} == {planted / "outputs/.out-abc"}
    assert {r.path for r in scan(*where, sought=Sought(audio=audio))} == holding(planted)


def test_outputs_on_pruned_rows_are_found_by_their_keyed_ids(tmp_path, commands, planted):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "r/outputs").mkdir(parents=True)
    ids = [f"{word}-ann-{take:02d}" for word in ("down", "up") for take in range(9)]
    table = pa.table({"utterance_id": [*ids, "gone"], "true_label": [1] * 9 + [0] * 10})
    pq.write_table(table, tmp_path / "r/outputs/t.parquet")
    pq.write_table(table.drop(["true_label"]), tmp_path / "r/outputs/torn.parquet")
    found = found_by(tmp_path, commands, sought=Sought(ids={"recording-gone"}, audio=()))
    assert [r.path.name for r in found if not r.kept_because] == ["t.parquet"]
    assert [r.path.name for r in found if "cannot be read" in r.kept_because] == ["torn.parquet"]


def test_an_unrelated_study_with_the_same_ids_and_other_labels_is_kept(planted, commands, tmp_path):
    """Nothing of its trials or of others on its corpus is removed, though all ids are in the manifest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    copy = shutil.copytree(planted / "r", tmp_path / "r")
    named = {file for shelf in ("outputs", "embeddings") for file in (copy / shelf).iterdir()}
    for file in named:
        table = pq.read_table(file)
        place = table.column_names.index("true_label")
        pq.write_table(table.set_column(place, "true_label", pa.array(np.arange(len(table)) % 3)), file)
    found = found_by(tmp_path, commands)
    assert {r.path for r in found} == named
    assert all("labels are not those of the manifest" in r.kept_because for r in purge(found))
