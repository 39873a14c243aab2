"""`make bench`: speed and memory as ratios measured in one run; written to docs/results/bench.md.

`python tests/benchmarks/speed.py steps limit` runs some parts and prints them only.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

OUT = Path(__file__).parents[2] / "docs" / "results" / "bench.md"


def parts() -> dict[str, Callable[[Path], list[str]]]:
    """By name, in the order of the report."""
    import against_trainer
    import limit
    import memory
    import steps

    found = {
        "steps": steps.report,
        "limit": limit.report,
        "against": against_trainer.steps_report,
        "sweeps": against_trainer.sweeps_report,
        "memory": memory.report,
    }
    if importlib.util.find_spec("orchestration"):
        import orchestration

        found["orchestration"] = orchestration.report
    return found


def machine() -> str:
    """Processor, cores and versions."""
    import transformers

    cpuinfo = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.backends.cpu.get_cpu_capability()}; torch {torch.__version__}, transformers {transformers.__version__}"
    )


def main() -> None:
    torch.set_num_threads(1)
    available = parts()
    asked = sys.argv[1:] or list(available)
    lines = [
        "# Speed and memory",
        "",
        (
            f"Written by `make bench`, one thread, on {machine()}. Ratios compare sides of one run; absolute times are "
            "this machine's, whose other cores may have been busy."
        ),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked:
            torch.manual_seed(0)
            started = time.perf_counter()
            section = available[name](Path(scratch))
            print("\n".join(section), f"\n\n({name}: {time.perf_counter() - started:.0f} s)\n", flush=True)
            lines += ["", *section]
    if not sys.argv[1:]:
        OUT.parent.mkdir(parents=True, exist_ok=True)
        OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
