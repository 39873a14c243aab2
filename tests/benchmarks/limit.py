"""How close training comes to the limit: its rate of arithmetic against a large matrix product, and where time goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from cells import checkpoint_of_tiny, nano
from clock import Times, in_turns, table, verdict
from steps import CLASSES, batch_of, step
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from methods.engine.losses import cross_entropy
from orchestrator import plugins
from orchestrator.plan.grid import build_grid
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.run.assignment import Assignment
from orchestrator.run.trial import run_trial

BATCH = 32
SIDE = 2048  # of the square matrices: 48 MB, far above every cache
ROUNDS = 7
PROFILED = 3  # steps
KINDS = {  # of operations, by parts of their names; the first that fits
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "convolutions": ("convolution",),
    "attention": ("scaled_dot_product",),
    "GELU": ("gelu",),
    "layer norm": ("layer_norm",),
    "clipping and AdamW": ("adamw", "AdamW", "vector_norm", "aten::stack", "aten::clamp", "foreach"),
    "copies into other layouts": ("copy_", "contiguous", "clone"),
    "sums, products and additions": ("aten::add", "aten::mul", "aten::sum", "aten::mean", "aten::fill_", "aten::zero_"),
    "torch's own bookkeeping": ("",),
}
LEAST_RATE, LEAST_BF16 = 0.6, 1.4


def whisper_step(checkpoint: str, precision: str = "fp32") -> Any:
    backbone = plugins.load("backbones", "whisper_tiny", checkpoint=checkpoint)
    model, batch = backbone.build(CLASSES), batch_of(backbone, BATCH)

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            return cross_entropy(model, batch)

    return step(model, loss)


def rate(checkpoint: str) -> tuple[float, Times, Times]:
    """FLOP of one step by torch's own count, and times of a step and of a matrix product, in turns."""
    work, (a, b) = whisper_step(checkpoint), torch.randn(2, SIDE, SIDE)
    work()
    with FlopCounterMode(display=False) as counter:
        work()
    trained, product = in_turns(work, lambda: a @ b, rounds=ROUNDS)
    return float(counter.get_total_flops()), trained, product


def shares(checkpoint: str) -> list[tuple[str, str, str]]:
    """Kinds of operations of one step: share of its time, and calls."""
    work = whisper_step(checkpoint)
    work()
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found:
        for _ in range(PROFILED):
            work()
    spent, calls = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0)
    for event in found.key_averages():
        kind = next(kind for kind, parts in KINDS.items() if any(part in event.key for part in parts))
        spent[kind] += event.self_cpu_time_total
        calls[kind] += event.count
    total = sum(spent.values())
    return [(kind, f"{spent[kind] / total:.1%}", str(calls[kind] // PROFILED)) for kind in KINDS]


def bf16_units() -> list[str]:
    """What of this processor multiplies bfloat16."""
    asked = {"AVX-512 BF16": "_is_avx512_bf16_supported", "AMX": "_is_amx_tile_supported"}
    return [name for name, question in asked.items() if getattr(torch.cpu, question, lambda: False)()]


def accuracies(folder: Path, precision: str) -> tuple[float, float]:
    """Validation and test accuracy of an original trained in this precision."""
    cell = nano("whisper_nano")
    sweep = Sweep.model_validate({**cell.sweep(["original"]), "precision": precision})
    spec, context = build_grid(sweep).trials[0], cell.context(folder)
    for _ in run_trial(Assignment(spec, spec.training, spec.method.settings), context):
        pass
    row = context.store.row(spec.trial_id)
    assert row is not None, "the trial left no row"
    return row["validation_accuracy"], row["test_accuracy"]


def bf16(checkpoint: str, scratch: Path) -> list[str]:
    units = bf16_units()
    if not units:
        return [
            (
                "`precision: bf16`: this processor has neither AVX-512 BF16 nor AMX, so bf16 gains nothing, and the "
                f"target (≥ {LEAST_BF16:g} times the fp32 rate with either) was not measured."
            )
        ]
    full, half = in_turns(whisper_step(checkpoint), whisper_step(checkpoint, "bf16"), rounds=ROUNDS)
    gain = full.median / half.median
    rows = [
        (precision, times, "{:.1%}, {:.1%}".format(*accuracies(scratch, precision)))
        for precision, times in (("fp32", full), ("bf16", half))
    ]
    return [
        (
            f"`precision: bf16` on {' and '.join(units)}: {gain:.2f} times the fp32 rate "
            f"({verdict(gain, LEAST_BF16, at_most=False)})."
        ),
        "",
        *table(("precision", "step, ms", "Whisper nano original: validation, test accuracy"), rows),
    ]


def report(scratch: Path) -> list[str]:
    """The share of the limit, the profile, and bf16 where the processor has it."""
    checkpoint, weights = checkpoint_of_tiny(scratch)
    flop, trained, product = rate(checkpoint)
    reached, limit = flop / trained.median / 1e9, 2 * SIDE**3 / product.median / 1e9
    return [
        "## Close to the limit",
        "",
        (
            f"Whisper tiny ({weights} weights), fp32, {BATCH} clips of 1 s; one step is {flop / 1e9:.1f} GFLOP by "
            f"`torch.utils.flop_counter`; {ROUNDS} rounds."
        ),
        "",
        *table(
            ("", "ms", "GFLOP/s"),
            (
                ("training step: forward, backward, clipping, AdamW", trained, f"{reached:.1f}"),
                (f"matrix product {SIDE} × {SIDE} × {SIDE}", product, f"{limit:.1f}"),
            ),
        ),
        "",
        (
            f"Training runs at **{reached / limit:.0%}** of the product's rate "
            f"({verdict(reached / limit, LEAST_RATE, at_most=False)}). Where a step's time goes:"
        ),
        "",
        *table(("operations", "share of time", "calls a step"), shares(checkpoint)),
        "",
        *bf16(checkpoint, scratch),
    ]
