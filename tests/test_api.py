from __future__ import annotations

import pytest

import orchestrator
from orchestrator.run import launch, tuning


@pytest.mark.parametrize("name", orchestrator.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(orchestrator, name).__doc__


def test_keywords_become_launch_options(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(launch, "run_sweep", lambda loaded, results, options: given.append(options))
    monkeypatch.setattr(
        tuning, "tune_sweep", lambda loaded, results, options, **search: given.append((options, search))
    )
    orchestrator.run_sweep(None, tmp_path, executor="local", retry_failed=True)
    orchestrator.tune_sweep(None, tmp_path, executor="local", trials=3)
    options = orchestrator.LaunchOptions(executor="local")
    search = {"trials": 3, "objective": None, "lock": None}
    assert given == [orchestrator.LaunchOptions(executor="local", retry_failed=True), (options, search)]


def test_an_unknown_option_is_refused_by_name(tmp_path):
    with pytest.raises(TypeError, match="max_concurent"):
        orchestrator.run_sweep(None, tmp_path, max_concurent=2)
