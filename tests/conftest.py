"""What every room's tests share: a quiet, offline machine, and caches that live as long as the session."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

SMALL = """
name: small
tasks: [{name: espeak_keywords, clips: 240, speakers: 12}]
backbones: [{name: logmel_cnn}]
unlearning: [{kind: sample, forget_ratio: 0.1}]
methods: [original, retrain, {name: grad_ascent, learning_rate: 1.0e-4}, {name: scrub, epochs: 1, max_epochs: 1}]
seeds: [0]
training: {learning_rate: 1.0e-3, epochs: 2, batch_size: 16}
"""


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    """Corpora and features, built once a session."""
    return tmp_path_factory.mktemp("cache")


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
def comparable():
    """Reads rows without what may differ between equal runs: times, memory, commit (a checkout may change)."""
    from orchestrator import read_rows

    def read(results):
        rows, differ = read_rows(results), ("started_at", "finished_at", "peak_memory_bytes", "git_commit")
        return rows.drop(columns=[c for c in rows.columns if c.endswith("_seconds") or c in differ])

    return read


@pytest.fixture(scope="session")
def outputs_of():
    """Outputs of one part as a trial leaves them and a report reads them, from logits; ids are the rows' numbers."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from orchestrator.evidence.outputs import parse_outputs

    def make(logits, labels):
        names = {"utterance_id": [str(number) for number in range(len(labels))], "part": ["forget"] * len(labels)}
        values = pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(logits)), np.shape(logits)[1])
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({**names, "label": labels, "true_label": labels, "logits": values}), sink)
        return parse_outputs(sink.getvalue().to_pybytes())

    return make
