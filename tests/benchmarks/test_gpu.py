"""The GPU benchmark runs through on a CPU in its smallest form, and counts what it says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="module")
def gpu():
    """Load the benchmark as a module."""
    folder = Path(__file__).parent
    sys.path.insert(0, str(folder))  # it imports its neighbors, as a script does
    spec = importlib.util.spec_from_file_location("bench_gpu", folder / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_gpu"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(folder))
    del sys.modules["bench_gpu"]


def test_the_documented_arithmetic_is_near_what_pytorch_counts_and_not_above(gpu, tmp_path):
    for name in gpu.CONFIGS:  # on meta tensors: shapes alone
        work = gpu.Workload(name=name, folder=gpu.write_config(name, tmp_path, tiny=False), batch_size=2, batches=1)
        backbone = work.backbone()
        with torch.device("meta"):
            model = backbone.build(gpu.CLASSES, pretrained=False)
        problem = gpu.problem_of(work, model, torch.device("meta"))
        counted = gpu.counted_gflop(work, problem)
        # PyTorch counts the weight gradient of the grouped convolution of positions as if it had no groups.
        assert 0.7 < backbone.train_gflop(work.clip_seconds) / counted < 1.05, name


def test_utilization_is_arithmetic_over_time_and_peak(gpu, tmp_path):
    folder = gpu.write_config("wav2vec2_base", tmp_path, tiny=True)
    work = gpu.Workload(name="wav2vec2_base", folder=folder, batch_size=4, batches=2)
    found = gpu.speed(work, torch.device("cpu"), peak=2.0)
    assert found["mfu"] == pytest.approx(found["clips"] * found["gflop"] / 1e3 / 2)


def test_published_sizes_are_those_of_the_papers(gpu, tmp_path):
    weights = {}
    for name in gpu.CONFIGS:
        backbone = gpu.Workload(name=name, folder=gpu.write_config(name, tmp_path, tiny=False)).backbone()
        with torch.device("meta"):
            weights[name] = sum(p.numel() for p in backbone.build(gpu.CLASSES, pretrained=False).parameters()) / 1e6
    assert weights["wav2vec2_base"] == pytest.approx(91, abs=3)  # 95 M with the convolutions
    assert weights["wav2vec2_large"] == pytest.approx(313, abs=5)  # 317 M with them
    assert weights["hubert_xlarge"] == pytest.approx(960, abs=10)  # 964 M with them
    assert weights["whisper_base"] == pytest.approx(19, abs=3)  # the encoder of 74 M


def test_no_gpu_is_said_so(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main([])


def test_smoke_runs_through_and_writes_nothing(gpu, tmp_path, capsys):
    gpu.main(["--smoke", "--out", str(tmp_path / "bench.md")])
    told = capsys.readouterr().out
    assert "| wav2vec2_base |" in told
    assert "| 1 |" in told
    assert not (tmp_path / "bench.md").exists()
