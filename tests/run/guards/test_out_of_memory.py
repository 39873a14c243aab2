"""When memory runs out, a trial starts again with half as many utterances at a time, and ends with the same row."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
import torch

from backbones.logmel import LogMelCnn, LogMelCnnClassifier
from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.errors import DamagedFile
from orchestrator.run.evaluation import probes
from orchestrator.run.guards.device_errors import is_out_of_memory
from orchestrator.run.guards.out_of_memory import FoundSize, MemorySpent, in_halves, retry_with_smaller_batches

METHODS = "methods=[retrain, {name: salun, learning_rate: 1.0e-4, batch_size: 16, superloss: true}]"


@pytest.fixture
def small_memory(monkeypatch):
    """Return a function that limits training to four utterances at a time, and returns the list of refused batches."""
    refused, shrunk = [], []
    real = LogMelCnnClassifier.embed

    def embed(self, features, lengths):
        if shrunk and torch.is_grad_enabled() and len(features) > 4:
            refused.append(len(features))
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return real(self, features, lengths)

    monkeypatch.setattr(LogMelCnnClassifier, "embed", embed)

    def shrink():
        shrunk.append(True)
        return refused

    return shrink


@pytest.fixture
def own_cache(finished_small, cache_dir, tmp_path):
    """Return a cache with the corpora and features of all tests, without sizes that other tests found."""
    own = tmp_path / "cache"
    own.mkdir()
    for name in ("corpora", "features"):
        (own / name).symlink_to(cache_dir / name)
    return own


def test_a_trial_that_runs_out_of_memory_ends_as_it_would_have(
    small_sweep, own_cache, tmp_path, small_memory, injected
):
    loaded = load_sweep(small_sweep, [METHODS])
    run_sweep(loaded, tmp_path / "whole", executor="local", cache_dir=own_cache)
    refused = small_memory()
    run_sweep(loaded, tmp_path / "parts", executor="local", cache_dir=own_cache)
    whole, parts = read_rows(tmp_path / "whole"), read_rows(tmp_path / "parts")
    came = "the trial restarts with half as many utterances at a time; equal but for rounding"
    injected("memory runs out", came, tmp_path / "parts", whole["trial_id"].tolist(), injections=len(refused))
    assert set(parts["status"]) == {"done"}
    assert set(parts["micro_batch"]) == {4}
    assert whole["micro_batch"].isna().all()
    for column in ("trial_id", "steps", "samples", "budget_used", "stop_reason"):  # effective batch and clock as before
        assert parts[column].tolist() == whole[column].tolist(), column
    assert parts["test_loss"].tolist() == pytest.approx(whole["test_loss"].tolist(), rel=1e-3)
    assert refused == [16, 8]  # the first trial finds the size, the others start with it


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:9], lambda b: b.replace(b"6", b"7", 1)])
def test_a_damaged_size_is_reported_and_found_again(tmp_path, damage):
    found = FoundSize.of(tmp_path)
    found.write(6)
    found.path.write_bytes(damage(found.path.read_bytes()))
    with pytest.warns(DamagedFile, match=f"cannot read {found.path.name}"):
        assert found.read() is None
    found.write(8)
    assert found.read() == 8
    assert [path.name for path in found.path.parent.iterdir() if path.is_file()] == [found.path.name]


def test_a_trial_that_does_not_fit_at_all_is_a_row_with_advice(small_sweep, own_cache, tmp_path, monkeypatch, injected):
    def embed(self, features, lengths):
        raise MemoryError

    monkeypatch.setattr(LogMelCnnClassifier, "embed", embed)
    dispatcher = run_sweep(load_sweep(small_sweep), tmp_path / "r", executor="local", cache_dir=own_cache)
    rows = read_rows(tmp_path / "r")
    ran, came = (
        set(dispatcher.specs) - set(dispatcher.graph.blocked),
        "a `failed` row with advice; what depends on it is `blocked`",
    )
    injected("no memory for one utterance", came, tmp_path / "r", ran)
    row = rows.set_index("stage").loc["train"]
    assert set(rows["status"]) == {"failed"}
    assert "a smaller backbone" in row["error"]
    assert row["steps"] == 0
    assert not list(own_cache.glob("micro_batches/*"))


def test_an_error_of_the_hosts_allocator_counts_as_memory_that_ran_out():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_the_smallest_size_is_kept_and_only_for_its_own_case(tmp_path):
    here, there = FoundSize.of(tmp_path, device="a"), FoundSize.of(tmp_path, device="b")
    assert here.read() is None
    here.write(8)
    here.write(16)
    assert (here.read(), there.read()) == (8, None)


def attempts(limit, found, start=None):
    """The sizes that are tried until one is at most `limit`, and the run that tries them; whole batches have 20."""
    tried = []

    def attempt(size):
        tried.append(size)
        yield "began"
        if (size or 20) > limit:
            raise MemorySpent(size or 20)

    return tried, retry_with_smaller_batches(attempt, start, found, lambda: tried.append("forgotten"))


def test_sizes_halve_until_one_fits(tmp_path):
    found = FoundSize.of(tmp_path)
    tried, run = attempts(5, found)
    assert list(run) == ["began"] * 3
    assert tried == [None, "forgotten", 10, "forgotten", 5]
    tried, run = attempts(5, found, start=8)
    list(run)
    assert tried == [5]


def test_memory_for_less_than_one_utterance_is_an_error(tmp_path):
    tried, run = attempts(0, FoundSize.of(tmp_path), start=2)
    with pytest.raises(MemorySpent, match="one utterance at a time"):
        list(run)
    assert tried == [2, "forgotten", 1]


def test_a_trial_that_fits_with_no_size_saves_none(tmp_path):
    found = FoundSize.of(tmp_path)
    _, run = attempts(0, found)
    with pytest.raises(MemorySpent):
        list(run)
    assert found.read() is None
    _, run = attempts(5, found)
    assert (next(run), found.read()) == ("began", None)
    list(run)
    assert found.read() == 5


def test_evaluation_continues_in_smaller_batches():
    tried = []

    def work(size):
        tried.append(size)
        if size > 64:
            raise torch.OutOfMemoryError
        return size

    assert in_halves(work, 256) == 64
    assert tried == [256, 128, 64]
    with pytest.raises(KeyError):
        in_halves(lambda size: {}[size], 256)


def test_memory_that_ran_out_outside_of_a_batch_is_tried_again_only_if_some_was_freed(tmp_path):
    tried, room = [], iter([True, False])

    def attempt(size):
        tried.append(size)
        yield "began"
        raise MemorySpent(0, "RuntimeError: out of memory")

    run = retry_with_smaller_batches(attempt, None, FoundSize.of(tmp_path), lambda: None, lambda: next(room))
    with pytest.raises(MemorySpent, match=r"outside of any batch \(RuntimeError: out of memory\)\. Use a device"):
        list(run)
    assert tried == [None, None]


@pytest.mark.parametrize("where", ["build", "evaluate"])
def test_memory_that_runs_out_before_or_after_the_batches_is_a_row_with_advice(
    small_sweep, cache_dir, tmp_path, monkeypatch, where
):
    calls = []

    def fails(self, *given, **named):
        if where == "build" or not torch.is_grad_enabled():
            calls.append(1)
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        return real(self, *given, **named)

    owner, name = (LogMelCnn, "build") if where == "build" else (LogMelCnnClassifier, "embed")
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, fails)
    said = ["methods=[original]", "training.keep_epoch=last", "curves={points: 0}"]
    loaded = load_sweep(small_sweep, said)
    run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    row = read_rows(tmp_path / "r").set_index("stage").loc["train"]
    assert row["status"] == "failed"
    assert "a smaller backbone" in row["error"]
    assert "CUDNN_STATUS_ALLOC_FAILED" in row["error"]
    assert len(calls) == (1 if where == "build" else 6)  # 32, 16 ... 1 utterances


def test_a_test_of_the_model_continues_in_smaller_batches(small_sweep, cache_dir, tmp_path, monkeypatch):
    tests = "{probe: true, zrf: true, attribution: {utterances: 4, steps: 2}, relearning: {forgotten: [1], epochs: 1}}"
    loaded = load_sweep(small_sweep, [f"evidence={tests}", "methods=[retrain]", "unlearning=[{kind: class}]"])
    run_sweep(loaded, tmp_path / "whole", executor="local", cache_dir=cache_dir)
    real_embed, testing = LogMelCnnClassifier.embed, []
    real_tests = probes.run_tests

    def embed(self, features, lengths):
        if testing and len(features) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return real_embed(self, features, lengths)

    def run_tests(*given):
        testing.append(1)
        try:
            return real_tests(*given)
        finally:
            testing.clear()

    monkeypatch.setattr(LogMelCnnClassifier, "embed", embed)
    monkeypatch.setattr(probes, "run_tests", run_tests)
    run_sweep(loaded, tmp_path / "parts", executor="local", cache_dir=cache_dir)

    def values(folder):
        (file,) = [f for f in (folder / "evidence").glob("*.parquet") if "attribution" not in f.name]
        return pq.read_table(file).to_pandas().drop(columns="seconds")

    whole, parts = values(tmp_path / "whole"), values(tmp_path / "parts")
    assert "failed" not in set(parts["measure"])
    assert parts["value"].tolist() == pytest.approx(whole["value"].tolist(), abs=0.02, nan_ok=True)
