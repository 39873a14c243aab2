"""A tracker that cannot be used is refused before anything runs."""

from __future__ import annotations

import pytest

from orchestrator import load_sweep, run_sweep
from orchestrator.extras import MODULES, MissingExtra
from orchestrator.run.tracking.trackers import PLACES, check_trackers


def test_a_local_folder_takes_every_tracker(tmp_path):
    check_trackers(list(PLACES), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_object_store_needs_a_place(monkeypatch):
    for variable in PLACES.values():
        monkeypatch.delenv(variable or "UNUSED", raising=False)
    with pytest.raises(
        ValueError, match=r"log_to: mlflow .* must be a local folder; got s3://b/r. set MLFLOW_TRACKING_URI"
    ):
        check_trackers(["mlflow"], "s3://b/r")
    with pytest.raises(ValueError, match=r"log_to: tensorboard .* choose a local results folder"):
        check_trackers(["tensorboard"], "s3://b/r")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    check_trackers(["mlflow"], "s3://b/r")


def test_a_missing_extra_stops_a_run_before_it_writes(small_sweep, tmp_path, monkeypatch):
    monkeypatch.setitem(MODULES, "wandb", ("a_module_that_nobody_has",))
    with pytest.raises(MissingExtra, match=r"log_to: \[wandb\] needs the extra \"wandb\": pip install"):
        run_sweep(load_sweep(small_sweep, ["log_to=[wandb]"]), tmp_path / "r", executor="local")
    assert not (tmp_path / "r").exists()


def test_an_unknown_tracker_is_refused(small_sweep):
    with pytest.raises(ValueError, match="tensorboard"):
        load_sweep(small_sweep, ["log_to=[comet]"])
