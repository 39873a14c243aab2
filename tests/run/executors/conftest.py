from __future__ import annotations

import pytest

from orchestrator import load_sweep, run_sweep


@pytest.fixture(scope="session")
def finished(tmp_path_factory, cache_dir, write_small):
    """One finished run of the small sweep, with class unlearning next to sample unlearning."""
    folder = tmp_path_factory.mktemp("finished")
    loaded = load_sweep(
        write_small(folder), ["unlearning=[{kind: sample, forget_ratio: 0.1}, {kind: class, classes: [go]}]"]
    )
    dispatcher = run_sweep(loaded, folder / "results", executor="local", cache_dir=cache_dir)
    return loaded, folder / "results", dispatcher
