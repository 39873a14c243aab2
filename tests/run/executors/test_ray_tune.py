"""Ray gives the rows that one process gives, with warm or fresh workers; and searches are pruned."""

from __future__ import annotations

import shutil
import threading
import time

import pandas as pd
import pytest
import ray
from simulated_launch import Recorder

from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep, tune_sweep
from orchestrator.errors import DamagedFile
from orchestrator.plan.stages import STAGES
from orchestrator.plan.tuned_settings import read_lock
from orchestrator.results.store import open_store
from orchestrator.run.executors import ray_tune
from orchestrator.run.executors.ray_actor import gpus_of
from orchestrator.run.executors.ray_start import prepare_tune, start
from orchestrator.run.scheduling import driver_lease

pytestmark = pytest.mark.ray

ONE = {"max_concurrent": 1}
MADE_AGAIN = "named, set aside and recreated before what depends on it"
HUNG = "a `failed` row with the stack of what hung; the rest runs"


def planned(loaded) -> list[str]:
    """Ids of a sweep's trials."""
    return [spec.trial_id for spec in plan_sweep(loaded).grid.trials]


@pytest.fixture(scope="module")
def ray_session():
    """A local Ray of two processors for this module. Tests in which nothing runs side by side start one worker."""
    start(None, 2)
    prepare_tune(private=True)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def local_rows(finished_small, comparable):
    """Return the reference: rows of the same sweep in one process."""
    return comparable(finished_small / "r")


def test_warm_workers_give_the_rows_of_one_process(
    ray_session, local_rows, small_sweep, tmp_path, cache_dir, comparable
):
    dispatcher = run_sweep(load_sweep(small_sweep), tmp_path / "r", executor="ray", cache_dir=cache_dir)
    assert dispatcher.over
    pd.testing.assert_frame_equal(comparable(tmp_path / "r"), local_rows)


def test_running_trials_say_what_they_do_through_tune(ray_session, small_sweep, tmp_path):
    observer, loaded = Recorder(), load_sweep(small_sweep, ["methods=[original]", "seeds=[0]"])
    run_sweep(loaded, tmp_path / "r", executor="ray", cache_dir=tmp_path / "c", observer=observer, **ONE)
    assert [what for what, _ in observer.of("prepared")] == ["the corpus of espeak_keywords", "Ray"]
    assert observer.of("ready") == [("", 1)]
    first = observer.of("progressed")[:2]
    assert [result.phase for _, result in first] == ["preparing", "training"]
    assert {what for what, _ in first} == {observer.of("started")[0][0]}
    assert [status for _, status in observer.of("finished")] == ["done", "done"]


def test_fresh_workers_give_the_rows_of_one_process(
    ray_session, local_rows, small_sweep, tmp_path, cache_dir, monkeypatch, comparable
):
    monkeypatch.setattr(ray_tune, "REUSE_BELOW_SECONDS", 0.0)
    loaded = load_sweep(small_sweep, ["methods=[retrain, {name: grad_ascent, learning_rate: 1.0e-4}]"])
    run_sweep(loaded, tmp_path / "r", executor="ray", cache_dir=cache_dir)
    same = local_rows[local_rows["trial_id"].isin(planned(loaded))].reset_index(drop=True)
    pd.testing.assert_frame_equal(comparable(tmp_path / "r"), same)


def test_workers_end_with_a_driver_that_lost_its_lease(ray_session, small_sweep, tmp_path, cache_dir, monkeypatch):
    monkeypatch.setattr(driver_lease, "BEAT_SECONDS", 0.2)
    results = tmp_path / "r"

    def steal():
        while not list(results.glob("checkpoints/*.safetensors")):  # an epoch is over
            time.sleep(0.05)
        with driver_lease._locked(open_store(results).files):
            (results / driver_lease.NAME).write_text('{"token": "999999-theirs", "pid": 1}')

    thief = threading.Thread(target=steal, daemon=True)
    thief.start()
    endless = load_sweep(small_sweep, ["training.epochs=1000000", "methods=[original]"])
    dispatcher = run_sweep(endless, results, executor="ray", cache_dir=cache_dir, **ONE)
    assert not thief.is_alive()
    assert "another driver" in dispatcher.stopped
    assert not dispatcher.over
    assert read_rows(results).empty


def test_a_bug_in_a_method_is_a_row_under_ray_too(ray_session, small_sweep, tmp_path, cache_dir, injected):
    loaded = load_sweep(small_sweep, ["methods=[retrain, {name: scrub, batch_size: 100000000000000000000}]"])
    dispatcher = run_sweep(loaded, tmp_path / "r", executor="ray", cache_dir=cache_dir, **ONE)
    injected("a bug in a method", "a `failed` row with its traceback", tmp_path / "r", planned(loaded))
    row = read_rows(tmp_path / "r").set_index("method").loc["scrub"]
    assert row["status"] == "failed"
    assert "Traceback" in row["error"]
    assert dispatcher.graph.counts() == {"done": 2, "failed": 1}


@pytest.mark.slow
@pytest.mark.parametrize("breakable", [True, False], ids=["in Python", "in a call that nothing interrupts"])
def test_a_hang_under_ray_is_a_row_and_the_rest_runs(
    ray_session, small_sweep, tmp_path, cache_dir, monkeypatch, breakable, injected
):
    class Hanging(ray_tune.TrialActor):
        def step(self):
            from methods.scrub import Scrub
            from orchestrator.run.guards import watchdog

            def passes(method, problem):
                while True:
                    try:
                        time.sleep(0.05)
                    except watchdog.Hung:
                        if breakable:
                            raise
                yield

            Scrub.passes, watchdog.GRACE_SECONDS = passes, 0.5
            return super().step()

    monkeypatch.setattr(ray_tune, "TrialActor", Hanging)
    loaded = load_sweep(small_sweep, ["hang_seconds=10.0", "methods=[scrub, {name: grad_ascent, epochs: 1}]"])
    run_sweep(loaded, tmp_path / "r", executor="ray", cache_dir=cache_dir)
    what = "a hang in Python" if breakable else "a hang in a call that nothing interrupts"
    injected(f"{what}, under Ray", HUNG, tmp_path / "r", planned(loaded))
    rows = read_rows(tmp_path / "r").set_index("method")
    assert rows.loc["scrub", ["status", "stop_reason"]].tolist() == ["failed", "hang"]
    assert "time.sleep(0.05)" in rows.loc["scrub", "error"]
    assert rows.loc[["original", "grad_ascent"], "status"].tolist() == ["done", "done"]


def test_gpus_are_shared_by_searches_and_not_where_seconds_count():
    def gpus(stage, timed):
        return gpus_of(STAGES[stage], 0.25, timed)

    assert [gpus(stage, False) for stage in ("train", "retrain", "unlearn", "tune")] == [0.25] * 4
    assert [gpus(stage, True) for stage in ("train", "retrain", "unlearn")] == [1.0] * 3
    assert [gpus(stage, True) for stage in ("study", "tune")] == [0.25] * 2


def test_the_same_error_in_many_trials_stops_the_run_under_ray_too(ray_session, small_sweep, tmp_path, cache_dir):
    broken = "{name: scrub, batch_size: 100000000000000000000, learning_rate: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}"
    loaded = load_sweep(small_sweep, [f"methods=[original, {broken}]"])
    dispatcher = run_sweep(loaded, tmp_path / "r", executor="ray", cache_dir=cache_dir, error_limit=2, **ONE)
    assert "the same error in 2 trials (scrub on espeak_keywords, logmel_cnn)" in dispatcher.stopped
    assert not dispatcher.over
    assert 2 <= (read_rows(tmp_path / "r")["status"] == "failed").sum() < 8


def test_a_torn_model_is_made_again_under_ray_and_no_child_fails(
    ray_session, finished_small, local_rows, small_sweep, tmp_path, cache_dir, comparable, injected
):
    shutil.copytree(finished_small / "r", tmp_path / "r")
    original = local_rows[local_rows["stage"] == "train"]["trial_id"].iloc[0]
    for child in local_rows[local_rows["method"].isin(["scrub", "grad_ascent"])]["trial_id"]:
        (tmp_path / "r" / "rows" / f"{child}.parquet").unlink()
    (tmp_path / "r" / "models" / f"{original}.safetensors").write_bytes(b"torn")
    with pytest.warns(DamagedFile, match=f"trial {original} runs again.*models/{original}.safetensors"):
        dispatcher = run_sweep(load_sweep(small_sweep), tmp_path / "r", executor="ray", cache_dir=cache_dir, **ONE)
    injected("an original's model cannot be read", MADE_AGAIN, tmp_path / "r", local_rows)
    assert dispatcher.graph.counts() == {"done": 5}
    pd.testing.assert_frame_equal(comparable(tmp_path / "r"), local_rows)


def test_a_sequence_goes_on_from_a_request_whose_model_was_not_kept(ray_session, small_sweep, tmp_path, cache_dir):
    alone = ["methods=[grad_ascent]", "training.epochs=1", "seeds=[0]"]
    run_sweep(load_sweep(small_sweep, alone), tmp_path / "r", executor="local", cache_dir=cache_dir)
    steps = "[{kind: sample, forget_ratio: 0.15}, {kind: class}]"
    longer = load_sweep(small_sweep, [*alone, f"unlearning=[{{kind: sequence, requests: {steps}}}]"])
    dispatcher = run_sweep(longer, tmp_path / "r", executor="ray", cache_dir=cache_dir, **ONE)
    assert dispatcher.num_already_done == 1  # the original; the request ran again
    assert dispatcher.graph.counts() == {"done": 3}
    rows = read_rows(tmp_path / "r").set_index("stage")
    assert rows.loc["unlearn", "status"].tolist() == ["done", "done"]


def test_a_search_writes_a_lock_no_worse_than_the_defaults(ray_session, small_sweep, tmp_path, cache_dir):
    loaded = load_sweep(small_sweep, ["tuning={seeds: [7], trials: 4, objective: gap_to_retrain}", "seeds=[0]"])
    lock = tmp_path / "small.lock.yaml"
    observer = Recorder()
    chosen = tune_sweep(loaded, tmp_path / "r", lock=lock, executor="ray", cache_dir=cache_dir, observer=observer)
    assert read_lock(lock) == chosen
    assert {c.method for c in chosen.choices} == {"grad_ascent", "scrub"}
    for choice in chosen.choices:
        assert choice.objective <= choice.default_objective
    rows = read_rows(tmp_path / "r")
    searched = rows[rows["stage"] == "tune"]
    assert searched.groupby("method").size().to_dict() == {"grad_ascent": 4, "scrub": 4}
    assert set(searched["status"]) <= {"done", "pruned"}
    ended = sorted(dict(zip(searched["trial_id"], searched["status"], strict=True)).items())
    assert sorted(event for event in observer.of("finished") if event[0] in dict(ended)) == ended  # once each
    assert (searched.loc[searched["budget_used"] >= 1, "status"] == "done").all()
    assert set(searched["seed"]) == {7}
    assert searched["objective"].notna().all()
