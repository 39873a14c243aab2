"""`make bench-gpu`: training speed and FLOP utilization of full-size backbones, and what packing trials on a GPU gives.

Weights and features are random: speed does not depend on them. Steps go through `methods.engine.loop`, as a trial's do,
with features on the device. Utilization is the arithmetic of the model (`Backbone.train_gflop`: projections,
feed-forward, attention, three times the forward; the frozen convolutions and the small rest are left out) over the
seconds that the budget charges, against the device's peak in bf16: measured by large matrix products, and the vendor's
where known.
Each backbone runs eagerly and, unless `--eager`, compiled. With `--smoke` all is tiny, on the CPU, and nothing written.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from gpu_workloads import CLASSES, CONFIGS, TINY, Steps, Workload, problem_of, synchronizer, write_config
from torch.utils.flop_counter import FlopCounterMode

from methods.base import UnlearningProblem
from methods.engine.loop import LoopSettings, Outcome, run_method
from methods.engine.losses import cross_entropy
from orchestrator.run.guards.peak_memory import PeakMemory

OUT = Path(__file__).parents[2] / "docs" / "results" / "bench_gpu.md"
VENDOR_TFLOPS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "RTX 4090": 165, "V100": 125}
"""Dense bf16 (V100: fp16) of NVIDIA's data sheets, without sparsity."""

COLUMNS = (
    "backbone", "weights, M", "clips/s", "GFLOP a clip", "by PyTorch's count", "TFLOP/s", "of measured peak",
    "of data sheet", "memory, GiB", "weights and optimizer, GiB",
)  # fmt: skip


def train(work: Workload, problem: UnlearningProblem, epochs: int = 1) -> float:
    """Return the clips per second of the steps of one epoch."""
    before = problem.budget.seconds, problem.budget.samples
    method = Steps(batch_size=work.batch_size, epochs=epochs)
    settings = LoopSettings(precision=work.precision, compile=work.compile)
    for _ in run_method(method, problem, settings=settings, outcome=Outcome()):
        pass
    return (problem.budget.samples - before[1]) / (problem.budget.seconds - before[0])


def counted_gflop(work: Workload, problem: UnlearningProblem) -> float:
    """Billions of operations of forward and backward of one clip, as PyTorch counts them."""
    batch = next(problem.retain.batches(work.batch_size))
    kind = "cuda" if batch.features.is_cuda else "cpu"  # of meta tensors too
    with FlopCounterMode(display=False) as counter, torch.autocast(kind, torch.bfloat16):
        cross_entropy(problem.model, batch).sum().backward()
    for parameter in problem.model.parameters():
        parameter.grad = None
    return counter.get_total_flops() / len(batch) / 1e9


def peak_tflops(device: torch.device, size: int) -> float:
    """The best rate of bf16 products of `size`² matrices, in TFLOP/s."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(8):
        synchronizer(device)()
        started = time.perf_counter()
        for _ in range(10):
            one @ other
        synchronizer(device)()
        best = max(best, 10 * 2 * size**3 / (time.perf_counter() - started) / 1e12)
    return best


def speed(work: Workload, device: torch.device, peak: float) -> dict[str, Any]:
    """Clips a second, utilization and memory of one backbone."""
    memory = PeakMemory(device)
    backbone = work.backbone()
    model = backbone.build(CLASSES, pretrained=False).to(device)
    problem = problem_of(work, model, device)
    train(work, problem)  # warm: kernels are chosen, graphs compiled
    clips = max(train(work, problem) for _ in range(2))
    taken = memory.num_bytes
    gflop = backbone.train_gflop(work.clip_seconds)
    weights = sum(p.numel() for p in model.parameters())
    return {
        "backbone": work.name + (" (compiled)" if work.compile else ""), "weights": weights, "clips": clips,
        "gflop": gflop, "counted": counted_gflop(work, problem), "mfu": clips * gflop / 1e3 / peak,
        "tflops": clips * gflop / 1e3, "memory": taken, "state": 16 * weights,
    }  # fmt: skip


def packed_trials(work: Workload, seconds: float, share: float, start: Any, done: Any, kind: str) -> None:
    """One process of `packing`: trials one after another until the time is up; tells how many, with fractions."""
    device = torch.device(kind)
    torch.set_num_threads(1)
    if device.type == "cuda" and share < 1:
        torch.cuda.set_per_process_memory_fraction(0.95 * share, 0)
    model = work.backbone().build(CLASSES, pretrained=False).to(device)
    problem = problem_of(work, model, device)
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    train(work, problem)
    start.wait()
    until, finished = time.perf_counter() + seconds, 0.0
    while (left := until - time.perf_counter()) > 0:
        began = time.perf_counter()
        model.load_state_dict(initial)
        train(work, problem)
        model.eval()
        with torch.no_grad():
            for batch in problem.retain.batches(256):
                model(batch.features, batch.lengths).cpu()
        finished += min(1.0, left / (time.perf_counter() - began))
    done.put(finished)


def packing(work: Workload, many: int, seconds: float, device: torch.device) -> float:
    """Trials an hour of `many` processes on one device: each trains `batches` and evaluates as many clips."""
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(many), context.SimpleQueue()
    arguments = (work, seconds, 1 / many, start, done, device.type)
    if many == 1:
        packed_trials(*arguments)
        return 3600 * float(done.get()) / seconds
    processes = [context.Process(target=packed_trials, args=arguments) for _ in range(many)]
    for process in processes:
        process.start()
    finished = sum(done.get() for _ in processes)
    for process in processes:
        process.join()
    return 3600 * finished / seconds


def report(device: str, peak: float, rows: list[dict[str, Any]], packed: dict[int, float], work: Workload) -> str:
    """What was found, as Markdown."""
    vendor = next((tflops for name, tflops in VENDOR_TFLOPS.items() if name in device), None)
    lines = [
        "# Speed on a GPU",
        "",
        f"`make bench-gpu` on {device}, torch {torch.__version__}: bf16 autocast, random weights, features on the",
        f"device, batch {work.batch_size} of {work.clip_seconds:g}-s clips.",
        f"Peak in bf16: {peak:.0f} TFLOP/s measured by matrix products"
        + (f", {vendor} by the data sheet." if vendor else "."),
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + len(COLUMNS) * "---|",
    ]
    for row in rows:
        sheet = f"{100 * row['tflops'] / vendor:.0f} %" if vendor else "–"
        lines.append(
            f"| {row['backbone']} | {row['weights'] / 1e6:.0f} | {row['clips']:.0f} | {row['gflop']:.1f} | "
            f"{row['counted']:.1f} | {row['tflops']:.1f} | {100 * row['mfu']:.0f} % | {sheet} | "
            f"{row['memory'] / 2**30:.2f} | {row['state'] / 2**30:.2f} |"
        )
    lines += [
        "",
        "GFLOP a clip is `train_gflop`, which leaves the frozen convolutions out; memory is the most that tensors had,",
        "with weights, gradients and optimizer.",
        "",
        f"Trials of {work.name} ({work.batches} steps and an evaluation of as many clips) packed on the device:",
        "",
        "| processes | trials an hour | against one |",
        "|---|---|---|",
        *(f"| {many} | {found:.0f} | {found / packed[1]:.2f} |" for many, found in packed.items()),
        "",
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Speed on a GPU.")
    parser.add_argument("--smoke", action="store_true", help="tiny models, on the CPU; writes nothing")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--eager", action="store_true", help="do not time compiled steps as well")
    chosen = parser.parse_args(arguments)
    if not chosen.smoke and not torch.cuda.is_available():
        sys.exit("no GPU: bench-gpu needs CUDA; --smoke runs tiny models on the CPU")
    device = torch.device("cpu" if chosen.smoke else "cuda")
    torch.manual_seed(0)
    peak = peak_tflops(device, 64 if chosen.smoke else 8192)
    names = list(TINY) if chosen.smoke else list(CONFIGS)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: write_config(name, Path(scratch), tiny=chosen.smoke) for name in names}
        sizes: dict[str, Any] = {"batch_size": 4, "batches": 2} if chosen.smoke else {}
        rows = []
        for name in names:
            for compiled in (False,) if chosen.eager or chosen.smoke else (False, True):
                rows.append(speed(Workload(name=name, folder=folders[name], compile=compiled, **sizes), device, peak))
                print(json.dumps(rows[-1]), flush=True)
                if device.type == "cuda":
                    torch.cuda.empty_cache()
        small = Workload(name="whisper_base", folder=folders["whisper_base"], **{"batches": 40, **sizes})
        counts = (1,) if chosen.smoke else (1, 2, 4, 8)
        packed = {many: packing(small, many, 0.2 if chosen.smoke else 20.0, device) for many in counts}
    kind = "a CPU (smoke)" if chosen.smoke else torch.cuda.get_device_name(device)
    text = report(kind, peak, rows, packed, small)
    if not chosen.smoke:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
