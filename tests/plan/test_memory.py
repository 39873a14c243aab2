"""What trials tell Ray that they need, against what they were measured to hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from orchestrator import load_sweep
from orchestrator.errors import TooLarge
from orchestrator.plan.grid import build_grid
from orchestrator.plan.memory import PROCESS_BYTES, trial_bytes

AT_MOST = 2.0  # times what was measured

MEASURE = """
import json, sys
from pathlib import Path
from orchestrator import load_sweep, run_sweep
from orchestrator.plan.memory import trial_bytes
from orchestrator.run.progress.observer import LaunchObserver
from orchestrator.run.guards.peak_memory import process_bytes

class Memory(LaunchObserver):
    def finished(self, spec, row):
        assert row["status"] == "done", row["error"]
        now = process_bytes()
        private = now["VmHWM"] - now["RssFile"] - now["RssShmem"]
        print(json.dumps([spec.backbone.title, private, trial_bytes(spec, on_gpu=False)]))

folder = Path(sys.argv[1])
run_sweep(load_sweep(folder / "m.yaml"), folder / "r", executor="local", observer=Memory())
"""

SWEEP = """
name: m
tasks: [{name: espeak_keywords, clips: 240, speakers: 12}]
backbones: BACKBONES
unlearning: [{kind: sample, forget_ratio: 0.1}]
methods: METHODS
seeds: [0]
training: {learning_rate: 1.0e-3, epochs: 1, batch_size: 32}
"""


def measured(folder, cache_dir, backbones: list[object], methods: list[str]) -> dict[str, tuple[int, int]]:
    """Bytes of the most private memory of a process that runs trials, and of the largest estimate, by backbone."""
    (folder / "m.yaml").write_text(
        SWEEP.replace("BACKBONES", json.dumps(backbones)).replace("METHODS", json.dumps(methods))
    )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder)],
        env={**os.environ, "UNLEARN_CACHE": str(cache_dir)}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    print(rows)
    return {title: tuple(max(row[at] for row in rows if row[0] == title) for at in (1, 2)) for title, *_ in rows}


def check(found: dict[str, tuple[int, int]]) -> None:
    for title, (held, estimate) in found.items():
        assert held <= estimate <= AT_MOST * held, (title, held / 2**20, estimate / 2**20)


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is counted on Linux only")


@needs_proc
def test_small_networks_ask_for_what_they_need(tmp_path, cache_dir):
    check(measured(tmp_path, cache_dir, ["whisper_nano", "wav2vec2_nano"], ["original", "ssd"]))


@needs_proc
@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("UNLEARN_MODELS"), reason="UNLEARN_MODELS names no folder of models")
@pytest.mark.parametrize("size", ["tiny", "base"])
def test_whisper_asks_for_what_it_needs(tmp_path, cache_dir, size):
    checkpoint = f"{os.environ['UNLEARN_MODELS']}/whisper-{size}"
    check(
        measured(
            tmp_path,
            cache_dir,
            [{"name": f"whisper_{size}", "checkpoint": checkpoint}],
            ["original", "retrain", "salun", "ssd"],
        )
    )


def gib(small_sweep, backbone: str, *, on_gpu: bool = False, micro_batch: int | None = None) -> float:
    trials = build_grid(load_sweep(small_sweep, [f"backbones=[{backbone}]", "methods=[original]"]).sweep).trials
    return max(trial_bytes(spec, on_gpu=on_gpu, micro_batch=micro_batch) for spec in trials) / 2**30


def test_larger_networks_need_more_and_a_gpu_holds_most_of_it(small_sweep):
    sizes = [gib(small_sweep, name) for name in ("whisper_tiny", "whisper_base", "hubert_base", "hubert_large")]
    assert sizes == sorted(sizes)
    assert gib(small_sweep, "hubert_xlarge") > 8 * 3.7  # eight times its weights
    assert gib(small_sweep, "hubert_xlarge", on_gpu=True) < 12


def test_a_smaller_micro_batch_needs_less(small_sweep):
    assert gib(small_sweep, "wav2vec2_nano", micro_batch=1) < gib(small_sweep, "wav2vec2_nano")
    assert gib(small_sweep, "wav2vec2_nano", micro_batch=1) * 2**30 > PROCESS_BYTES


def classes(small_sweep, backbones: str, largest: float) -> dict[str, float]:
    from orchestrator.run.executors.ray_tune import _memory_classes
    from orchestrator.run.setup.context import Limits

    trials = build_grid(load_sweep(small_sweep, [f"backbones={backbones}", "methods=[original]"]).sweep).trials
    return _memory_classes(SimpleNamespace(specs={spec.trial_id: spec for spec in trials}), Limits(), False, largest)


def test_backbones_that_take_long_to_load_have_requests_of_their_own(small_sweep):
    asked = classes(small_sweep, "[whisper_nano, wav2vec2_nano, hubert_base, wav2vec2_base]", 2.0**40)
    assert asked["whisper_nano"] == asked["wav2vec2_nano"]
    assert len(set(asked.values())) == 3


def test_more_than_any_node_has_is_capped_with_a_warning_and_waits_for_nothing(small_sweep):
    with pytest.warns(TooLarge, match=r"trials of hubert_(large|xlarge) may need \d+\.\d GiB, more than any node has"):
        asked = classes(small_sweep, "[hubert_xlarge, hubert_large, whisper_nano]", 2.0**30)
    assert max(asked.values()) <= 2.0**30
    assert len(set(asked.values())) == 3
