"""What every room's tests share: a quiet, offline machine, and caches that live as long as the session."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
from collections import Counter

import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch's threads wait for each other where processes share the cores
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

SMALL = """
name: small
tasks: [{name: espeak_keywords, clips: 160, speakers: 12}]
backbones: [{name: logmel_cnn}]
unlearning: [{kind: sample, forget_ratio: 0.15}]
methods: [original, retrain, {name: grad_ascent, learning_rate: 1.0e-4}, {name: scrub, epochs: 1, max_epochs: 1}]
seeds: [0]
training: {learning_rate: 1.0e-3, epochs: 2, batch_size: 16}
"""


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory):
    """Digests of files are remembered here, not in the user's cache."""
    os.environ.setdefault("UNLEARN_CACHE", str(tmp_path_factory.mktemp("default-cache")))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Return a folder that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def cache_dir(shared_folder):
    """Return the cache of corpora and features, each of which is built once per test run."""
    return shared_folder / "shared-cache"


@pytest.fixture(scope="session")
def write_small():
    """Writes a sweep of five trials of a second each into a folder; gives its path."""

    def write(folder):
        path = folder / "small.yaml"
        path.write_text(SMALL)
        return path

    return write


@pytest.fixture
def small_sweep(tmp_path, write_small):
    """The path of that sweep in the test's own folder."""
    return write_small(tmp_path)


@pytest.fixture(scope="session")
def finished_small(shared_folder, write_small, cache_dir):
    """Run that sweep once per test run; return a folder with `small.yaml` and its results `r`. Copy it to change it."""
    from orchestrator import load_sweep, run_sweep

    folder = shared_folder / "finished-small"
    with FileLock(f"{folder}.lock"):
        if not (folder / "whole").exists():
            folder.mkdir()
            run_sweep(load_sweep(write_small(folder)), folder / "r", executor="local", cache_dir=cache_dir)
            (folder / "whole").touch()
    return folder


@pytest.fixture
def begun(finished_small, tmp_path):
    """Return results of the test's own in which the small sweep is done: another sweep runs what it adds to that."""
    return shutil.copytree(finished_small / "r", tmp_path / "r")


@pytest.fixture
def kill_seed(request):
    """Return the seed of a test that kills something at a random moment; `UNLEARN_TEST_SEED` repeats a test run."""
    return f"{os.environ['UNLEARN_TEST_SEED']} {request.node.name}"


@pytest.fixture(scope="session")
def comparable():
    """Reads rows without what may differ between equal runs: times, memory, commit (a checkout may change)."""
    from orchestrator import read_rows

    def read(results):
        rows, differ = (
            read_rows(results),
            ("started_at", "finished_at", "peak_memory_bytes", "git_commit", "driver_token"),
        )
        return rows.drop(columns=[c for c in rows.columns if c.endswith("_seconds") or c in differ])

    return read


@pytest.fixture(scope="session")
def outputs_of():
    """Outputs of one part as a trial leaves them and a report reads them, from logits; ids are the rows' numbers."""
    import numpy as np
    import pyarrow as pa

    from orchestrator.evidence.outputs import parse_outputs

    def make(logits, labels):
        names = {"utterance_id": [str(number) for number in range(len(labels))], "part": ["forget"] * len(labels)}
        values = pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(logits)), np.shape(logits)[1])
        return parse_outputs(pa.table({**names, "label": labels, "true_label": labels, "logits": values}))

    return make


def pytest_configure(config):
    """Draw the seed of kill moments before processes start that run tests: all have the same."""
    os.environ.setdefault("UNLEARN_TEST_SEED", str(random.SystemRandom().randrange(10**6)))


def pytest_report_header(config):
    """Print that seed."""
    return f"kill moments: UNLEARN_TEST_SEED={os.environ['UNLEARN_TEST_SEED']}"


def pytest_itemcollected(item):
    """Mark tests of faults, and group those that start Ray, before xdist reads the groups."""
    if "injected" in getattr(item, "fixturenames", ()):
        item.add_marker("fault")
    if item.get_closest_marker("ray"):
        item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.hookimpl(tryfirst=True)  # before tests are selected by marker
def pytest_collection_modifyitems(items):
    """Let tests that start Ray come first, in one process, which takes longest."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


def pytest_collection_finish(session):
    """Let the garbage collector pass over what imports left: each trial calls it, to measure memory."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Hand out tests by group or by file: those of one file share fixtures."""
    from xdist.scheduler import LoadGroupScheduling

    class ByGroupOrFile(LoadGroupScheduling):
        def _split_scope(self, nodeid):
            return super()._split_scope(nodeid).split("::")[0]

    return ByGroupOrFile(config, log)


@pytest.fixture
def tally(comparable):
    """Counts the rows of a results folder that a fault lost, doubled or changed.

    `undisturbed` is what the sweep gives without the fault: its comparable rows or, where the fault itself is the
    result of a trial, the ids of its trials alone. A row is doubled when a second file has its id, or when one of the
    files in `finished`, which are names and times of change from before, was written again.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from orchestrator.results.store import open_store

    def count(results, undisturbed, finished=None):
        rows = comparable(results)  # sets aside what cannot be read
        files = open_store(results).files
        written = files.modified("rows")
        parts = [
            pq.read_table(pa.BufferReader(files.read_bytes(f"rows/{name}"))).select(["trial_id"]) for name in written
        ]
        times = Counter(trial_id for part in parts for trial_id in part.column("trial_id").to_pylist())
        whole = hasattr(undisturbed, "columns")
        expected = undisturbed["trial_id"].tolist() if whole else list(undisturbed)
        again = sum(name in written and written[name] != at for name, at in (finished or {}).items())
        counted = {
            "rows": len(expected),
            "lost": len(set(expected) - set(times)),
            "doubled": again + sum(number - 1 for number in times.values()),
        }
        if whole:
            ours, theirs = (frame.set_index("trial_id").astype(object) for frame in (rows, undisturbed))
            both = ours.index.intersection(theirs.index)
            ours, theirs = ours.loc[both], theirs.loc[both].reindex(columns=ours.columns)
            differ = ~((ours == theirs) | (ours.isna() & theirs.isna())).all(axis=1)
            counted["differ"] = int(differ.sum()) + len(set(times) - set(expected))
        return counted

    return count


@pytest.fixture(scope="session")
def _commit(record_testsuite_property):
    """The commit under test stands in the XML."""
    from orchestrator.run.evaluation.row import git_commit

    record_testsuite_property("commit", git_commit())


@pytest.fixture
def injected(record_property, tally, _commit):
    """Tells `make faults` what a test injected and what came of it; gives the rows that `tally` counted."""

    def say(fault, came, results=None, undisturbed=None, *, injections=1, finished=None, section="", **figures):
        counted = {} if undisturbed is None else tally(results, undisturbed, finished)
        said = {"fault": fault, "came": came, "injections": injections, "section": section, **counted, **figures}
        record_property("fault", json.dumps(said))
        return counted

    return say
