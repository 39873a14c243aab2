"""MLflow has a run per trial in the experiment of the sweep, in a database and on a real server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from orchestrator.results.curves import read_curve

mlflow = pytest.importorskip("mlflow")


def check(uri, store, scrub, grad_ascent) -> None:
    """Compare what MLflow has with the results folder."""
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("small")
    runs = {run.data.tags["trial_id"]: run for run in client.search_runs([experiment.experiment_id])}
    assert {trial_id: run.info.status for trial_id, run in runs.items()} == {
        scrub.trial_id: "FINISHED",
        grad_ascent.trial_id: "KILLED",
    }
    run, row, curve = runs[scrub.trial_id], store.row(scrub.trial_id), read_curve(store, scrub.trial_id)
    assert run.info.run_name == "sample 0.15 scrub seed 0 (espeak_keywords, logmel_cnn)"
    assert run.data.params["settings.epochs"] == "1"
    assert run.data.params["backbone"] == "logmel_cnn"
    assert run.data.metrics["final/test_accuracy"] == row["test_accuracy"]
    history = client.get_metric_history(run.info.run_id, "curve/forget_accuracy")
    assert sorted((metric.step, metric.value) for metric in history) == sorted(
        (point["epoch"], point["forget_accuracy"]) for point in curve
    )


def test_a_database_in_the_results_folder_has_every_run(sent, store, scrub, grad_ascent, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert sent("mlflow") == []
    check(f"sqlite:///{store.files.local_path}/mlflow.db", store, scrub, grad_ascent)


@pytest.mark.slow
def test_a_real_server_has_every_run(sent, store, scrub, grad_ascent, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri, database = f"http://127.0.0.1:{port}", f"sqlite:///{tmp_path}/server.db"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        [*command, "--backend-store-uri", database], cwd=tmp_path, env=quiet, start_new_session=True
    )
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                if urllib.request.urlopen(f"{uri}/health", timeout=1).status == 200:
                    break
            except OSError:
                continue
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert sent("mlflow") == []
        check(uri, store, scrub, grad_ascent)
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
