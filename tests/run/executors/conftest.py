from __future__ import annotations

import shutil

import pytest

from orchestrator import load_sweep, run_sweep


@pytest.fixture(scope="session")
def finished(tmp_path_factory, cache_dir, finished_small):
    """Finish the small sweep with class unlearning next to sample unlearning."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(finished_small / "r", folder / "results")
    both = "unlearning=[{kind: sample, forget_ratio: 0.15}, {kind: class, classes: [go]}]"
    loaded = load_sweep(finished_small / "small.yaml", [both])
    dispatcher = run_sweep(loaded, folder / "results", executor="local", cache_dir=cache_dir)
    return loaded, folder / "results", dispatcher
