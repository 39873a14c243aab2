"""Whatever file a finished sweep left is damaged: it is named, it is made again, and no row changes."""

from __future__ import annotations

import random
import shutil
import warnings

import pandas as pd
import pytest

from orchestrator import load_sweep, plan_sweep, run_sweep
from orchestrator.errors import DamagedFile
from orchestrator.report.evidence.folder import folder_evidence
from orchestrator.results.store import open_store
from orchestrator.results.sweep_records import recorded_sweeps
from orchestrator.run.setup.context import WorkerContext

METHODS = "methods=[original, {name: grad_ascent}, {name: fine_tune, epochs: 1}]"
SWEEP = [METHODS, "training.epochs=1", "evidence.zrf=true"]

# One file of each kind, of trials by their method. Files of one group hide no damage of each other: an original that is
# trained anew replaces its logits before anybody reads them.
GROUPS = {
    "row, index, record, model, outputs, features": [
        "rows/{grad_ascent}.parquet", "index.parquet", "sweeps/*.json", "models/{train}.safetensors",
        "outputs/{fine_tune}.parquet", "features/*/features.npy",
    ],
    "logits, tests, lengths, micro-batch": [
        "logits/{train}.safetensors", "evidence/{fine_tune}.parquet", "features/*/lengths.npy", "micro_batches/*.json",
    ],
}  # fmt: skip


def flipped(content: bytes, seed: int) -> bytes:
    at, bit = random.Random(seed).randrange(len(content)), random.Random(-seed - 1).randrange(8)
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


DAMAGES = {
    "emptied": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "a bit flipped": lambda content: flipped(content, seed=0),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache_dir, write_small):
    """A finished sweep with a cache of its own, which knows a size of micro-batches too."""
    folder = tmp_path_factory.mktemp("damage")
    loaded = load_sweep(write_small(folder), SWEEP)
    trials = plan_sweep(loaded).grid.trials
    for built in (cache_dir / "corpora").glob(f"*-{trials[0].task.content}"):
        shutil.copytree(built, folder / "cache" / "corpora" / built.name)
    WorkerContext(open_store(folder / "r"), folder / "cache").known_micro_batch(trials[0]).write(
        1000
    )  # more than any batch
    run_sweep(loaded, folder / "r", executor="local", cache_dir=folder / "cache")
    return loaded, folder, {spec.stage if spec.stage == "train" else spec.method_name: spec.trial_id for spec in trials}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_damaged_files_are_named_and_made_again_and_no_row_changes(finished, tmp_path, comparable, group, damage):
    loaded, folder, ids = finished
    undisturbed = comparable(folder / "r")
    shutil.copytree(folder / "r", tmp_path / "r")
    shutil.copytree(folder / "cache", tmp_path / "cache")
    names = []
    for pattern in group:
        where = tmp_path / ("cache" if pattern.startswith(("features", "micro")) else "r")
        for path in where.glob(pattern.format(**ids)):
            path.write_bytes(damage(path.read_bytes()))
            names.append(path)
    assert len(names) >= len(group)
    for line in ("original", "grad_ascent"):  # which read logits, and the model: there is something left to run
        row = tmp_path / "r" / "rows" / f"{ids[line]}.parquet"
        if row not in names:
            row.unlink()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recorded_sweeps(open_store(tmp_path / "r").files)
        folder_evidence(open_store(tmp_path / "r"))
        dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=tmp_path / "cache")
    told = [str(warned.message) for warned in caught if warned.category is DamagedFile]
    for path in names:
        assert any(path.name in text for text in told), path
    assert dispatcher.graph.counts() == {"done": 4}
    pd.testing.assert_frame_equal(comparable(tmp_path / "r"), undisturbed)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DamagedFile)
        folder_evidence(open_store(tmp_path / "r"))
        assert run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=tmp_path / "cache").num_already_done == 4
    for path in names:
        if path.parent.name in ("models", "outputs") or path.suffix == ".npy":  # other files hold times too
            assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path
