"""`unlearn watch` reads the results folder alone, says what changed, and ends when the run ends."""

from __future__ import annotations

import io
import json
import shutil
import time

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from orchestrator.report.watch import Watch, follow, region
from orchestrator.results.curves import write_curve
from orchestrator.results.store import open_store


@pytest.fixture
def store(finished_small, tmp_path):
    """The finished small sweep, of which one trial has no row; its row is in `hidden`."""
    shutil.copytree(finished_small / "r", tmp_path / "r")
    store = open_store(tmp_path / "r")
    trial_id = store.rows().set_index("method").loc["scrub", "trial_id"]
    shutil.move(tmp_path / "r" / store.row_files.path(trial_id), tmp_path / "hidden")
    return store


def finish(store, tmp_path) -> None:
    trial_id = pq.read_table(tmp_path / "hidden")["trial_id"][0].as_py()
    shutil.copy(tmp_path / "hidden", tmp_path / "r" / store.row_files.path(trial_id))


def drive(store, **changes) -> None:
    lease = {"pid": 12, "host": "elsewhere", "since_seconds": time.time() - 100, "token": "1-a", **changes}
    store.files.write_bytes("driver.json", json.dumps(lease).encode())


def shown(store, sleep, terminal: bool = False) -> str:
    out = io.StringIO()
    follow(store, Console(file=out, force_terminal=terminal, width=120), sleep=sleep)
    return out.getvalue()


def test_a_view_counts_rows_and_shows_what_runs(store):
    drive(store)
    (running,) = store.curves.ids() - store.row_files.ids()
    point = {"title": "scrub seed 0", "point": "epoch", "epoch": 1, "budget_used": 0.4, "forget_accuracy": 0.5}
    write_curve(store, running, [point])
    view = Watch(store).look()
    assert view.summary().startswith("small: 4 of 5 trials ended (4 done)")
    assert view.running == ("scrub seed 0: epoch 1, 40 % of the budget, D_f 50.0 %",)
    assert view.driver.startswith("process 12 on elsewhere, last heartbeat ")
    assert not view.is_complete


def test_what_an_earlier_driver_left_does_not_run(store):
    drive(store, since_seconds=time.time() + 3600)
    assert Watch(store).look().running == ()
    store.files.delete("driver.json")
    assert Watch(store).look().running == ()


def test_a_driver_without_heartbeats_seems_to_have_ended(store):
    drive(store)
    watch = Watch(store, clock=lambda: time.time() + 600)
    assert watch.look().driver.endswith("it seems to have ended")


def test_a_trial_that_ends_is_one_line_and_the_last_one_ends_the_watch(store, tmp_path):
    drive(store)
    said = shown(store, sleep=lambda _: finish(store, tmp_path)).splitlines()
    assert said[0].startswith("small: 4 of 5 trials ended (4 done)")
    assert said[1].startswith("done     espeak_keywords logmel_cnn sample 0.15 scrub seed 0 (D_f ")
    assert said[-1] == "small: 5 of 5 trials ended (5 done): complete"


def test_a_run_that_ends_with_trials_left_ends_the_watch(store):
    drive(store)
    said = shown(store, sleep=lambda _: store.files.delete("driver.json"))
    assert "1 without a row. No driver works on this folder; `unlearn run` continues it" in said


def test_the_first_row_of_a_folder_is_a_line_too(store, tmp_path):
    for row in (tmp_path / "r" / "rows").iterdir():
        row.unlink()
    drive(store)

    def go_on(_: float) -> None:
        finish(store, tmp_path)
        store.files.delete("driver.json")

    said = shown(store, sleep=go_on).splitlines()
    assert said[0] == "small: 0 of 5 trials ended"
    assert said[1].startswith("done     espeak_keywords logmel_cnn sample 0.15 scrub seed 0 (D_f ")


def test_rows_that_a_driver_wrote_before_it_ended_are_counted(store, tmp_path, monkeypatch):
    """The driver ends between two reads of one look."""
    drive(store)
    read = Watch._update

    def late(watch: Watch) -> list[str]:
        found = read(watch)
        if store.files.exists("driver.json") and looks:
            finish(store, tmp_path)
            store.files.delete("driver.json")
        looks.append(1)
        return found

    looks: list[int] = []
    monkeypatch.setattr(Watch, "_update", late)
    assert shown(store, sleep=lambda _: None).splitlines()[-1] == "small: 5 of 5 trials ended (5 done): complete"


def test_a_terminal_is_redrawn_and_an_interrupt_ends_the_watch(store):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    drive(store)
    said = shown(store, sleep=interrupt, terminal=True)
    assert "\x1b[" in said
    assert "driver: process 12 on elsewhere" in said
    assert region(Watch(store).look()) is not None


def test_nothing_is_written(store):
    store.rows()  # brings the index up to date
    drive(store)
    folder = store.files.local_path
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    watch = Watch(store)
    watch.look()
    watch.look()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_folder_without_a_sweep_is_refused(tmp_path, store):
    with pytest.raises(ValueError, match=r"No sweep was run on .*Run one: `unlearn run SWEEP"):
        follow(open_store(tmp_path / "nothing"), Console(file=io.StringIO()))
    with pytest.raises(ValueError, match="No sweep 'other' was run on"):
        follow(store, Console(file=io.StringIO()), "other")


def test_a_sweep_that_is_still_prepared_is_waited_for(tmp_path, store):
    early = open_store(tmp_path / "early")
    drive(early)

    def begin(seconds: float) -> None:
        shutil.copytree(store.files.local_path, tmp_path / "early", dirs_exist_ok=True)
        (tmp_path / "early" / "driver.json").unlink()

    said = shown(early, sleep=begin)
    assert said.startswith("preparing: no trial is planned yet")
    assert "trials ended" in said


def test_messages_name_a_local_folder_as_it_is_typed(tmp_path):
    with pytest.raises(ValueError, match=rf"was run on {tmp_path}/a b\. Run"):
        Watch(open_store(tmp_path / "a b")).look()


def test_rows_without_the_record_of_their_sweep_are_counted(store):
    shutil.rmtree(store.files.local_path / "sweeps")
    with pytest.raises(ValueError, match="has 4 rows, but no record of the sweep that planned them"):
        Watch(store).look()
