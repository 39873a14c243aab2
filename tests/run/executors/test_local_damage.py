"""Damaged files of a results folder are named and made again."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep
from orchestrator.errors import DamagedFile
from orchestrator.report.evidence.folder import folder_evidence
from orchestrator.results.store import open_store


@pytest.fixture
def damaged(finished, tmp_path):
    """A copy of the finished results, to be damaged."""
    shutil.copytree(finished[1], tmp_path / "r")
    return finished[0], tmp_path / "r", read_rows(tmp_path / "r")


def planned(loaded) -> list[str]:
    """Ids of a sweep's trials."""
    return [spec.trial_id for spec in plan_sweep(loaded).grid.trials]


def of_plan(rows, loaded):
    """Rows of the trials that a sweep plans."""
    return rows[rows["trial_id"].isin(planned(loaded))]


def times_but(results, *trial_ids) -> dict[str, int]:
    """When the rows were written, but for those of some trials."""
    paths = (path for path in results.glob("rows/*.parquet") if path.stem not in trial_ids)
    return {path.name: path.stat().st_mtime_ns for path in paths}


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed_since(results, before) -> set[str]:
    after = read_rows(results).set_index("trial_id")
    earlier = before.set_index("trial_id")
    return {t for t in after.index if t not in earlier.index or after["started_at"][t] != earlier["started_at"][t]}


def test_a_torn_row_is_named_and_its_trial_alone_runs_again(damaged, finished, cache_dir, comparable, injected):
    loaded, results, before = damaged
    torn = before[before["method"] == "scrub"]["trial_id"].iloc[0]
    kept = times_but(results, torn)
    cut(results / "rows" / f"{torn}.parquet")
    with pytest.warns(DamagedFile, match=f"cannot read rows/{torn}.parquet"):
        dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert dispatcher.graph.counts() == {"done": len(before)}
    assert changed_since(results, before) == {torn}
    came = "named, set aside; its trial alone runs again"
    injected("a row's file is cut off", came, results, comparable(finished[1]), finished=kept)


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:300] + bytes([b[300] ^ 1]) + b[301:]]
)
def test_damaged_outputs_are_named_by_a_report_and_made_again_by_a_run(damaged, cache_dir, comparable, damage):
    loaded, results, before = damaged
    undisturbed = comparable(results)
    hurt = before[before["method"] == "scrub"]["trial_id"].iloc[0]
    path = results / "outputs" / f"{hurt}.parquet"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.warns(DamagedFile, match=f"cannot read outputs/{hurt}.parquet .*`unlearn run` recreates it"):
        figures = folder_evidence(open_store(results)).done.set_index("trial_id")["loss_auc"]
    assert figures.isna()[hurt]
    assert figures.drop(hurt).notna().any()
    pd.testing.assert_frame_equal(comparable(results), undisturbed)  # a report takes no row back
    assert [spec.trial_id for spec in plan_sweep(loaded, results, cache_dir).pending] == [hurt]
    run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert changed_since(results, before) == {hurt}
    pd.testing.assert_frame_equal(comparable(results), undisturbed)
    assert path.read_bytes() == whole
    assert plan_sweep(loaded, results, cache_dir).pending == []


@pytest.mark.parametrize("folder", ["models", "logits"])
def test_an_unreadable_parent_is_made_again_and_no_child_fails(
    damaged, finished, cache_dir, folder, comparable, injected
):
    loaded, results, before = damaged
    original = before[before["stage"] == "train"]["trial_id"].iloc[0]
    children = set(before[before["method"] == "scrub"]["trial_id"])
    for child in children:
        (results / "rows" / f"{child}.parquet").unlink()
    kept = times_but(results, original)
    cut(results / folder / f"{original}.safetensors")
    with pytest.warns(DamagedFile) as warned:
        dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert any(f"cannot read {folder}/{original}.safetensors" in str(w.message) for w in warned)
    assert any(f"trial {original} runs again" in str(w.message) for w in warned)
    assert dispatcher.graph.counts() == {"done": len(before)}
    assert changed_since(results, before) == {original, *children}
    what = {"models": "an original's model cannot be read", "logits": "an original's outputs cannot be read"}[folder]
    came = "named, set aside and recreated before what depends on it"
    injected(what, came, results, comparable(finished[1]), finished=kept)


def test_a_training_whose_last_epoch_is_torn_starts_anew(
    small_sweep, finished, cache_dir, tmp_path, comparable, injected
):
    loaded = load_sweep(small_sweep, ["methods=[original]"])
    original = plan_sweep(loaded).grid.trials[0].trial_id
    (tmp_path / "r" / "checkpoints").mkdir(parents=True)
    (tmp_path / "r" / "checkpoints" / f"{original}.safetensors").write_bytes(b"torn")
    with pytest.warns(DamagedFile, match=f"cannot read checkpoints/{original}"):
        dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    undisturbed = of_plan(comparable(finished[1]), loaded)
    injected("a training's last epoch cannot be read", "named, set aside; it starts again", tmp_path / "r", undisturbed)
    assert dispatcher.graph.counts() == {"done": 2}
