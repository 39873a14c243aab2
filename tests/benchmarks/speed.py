"""`make bench`: speed and memory as ratios measured in one run; written to docs/results/bench.md.

`python tests/benchmarks/speed.py steps limit` runs some parts and replaces their sections.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
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
    import gradients
    import limit
    import memory
    import steps
    import sweeps_against_trainer
    import throughput

    found = {
        "steps": steps.report,
        "throughput": throughput.report,
        "gradients": gradients.report,
        "limit": limit.report,
        "against": against_trainer.steps_report,
        "sweeps": sweeps_against_trainer.sweeps_report,
        "memory": memory.report,
    }
    if importlib.util.find_spec("orchestration"):
        import orchestration

        found["orchestration"] = lambda scratch: ["## The driver", "", *(f"- {line}" for line in orchestration.lines())]
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


def commit() -> str:
    """The commit that runs here, and whether the tree has changes; the report itself does not count as one."""
    folder = OUT.parents[2]

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{OUT.relative_to(folder)}")
        return f"commit {git('rev-parse', '--short', 'HEAD')}{', with changes' if changes else ''}"
    except (OSError, subprocess.CalledProcessError):
        return "an unknown commit"


def with_commit(section: list[str], measured_at: str) -> list[str]:
    """The section with what it was measured at under its heading: others may be from another run."""
    return [section[0], "", f"Measured at {measured_at}.", *section[1:]]


def with_section(text: str, section: list[str]) -> str:
    """The report with this section in place of the one of the same heading, or at its end."""
    pieces = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    new = "\n".join(section) + "\n"
    found = [at for at, piece in enumerate(pieces) if piece.startswith(section[0] + "\n")]
    pieces = [piece.rstrip("\n") + "\n" for piece in pieces]
    if found:
        pieces[found[0]] = new
    else:
        pieces.append(new)
    return "\n".join(pieces)


def main() -> None:
    torch.set_num_threads(1)
    available = parts()
    asked = sys.argv[1:] or list(available)
    text = OUT.read_text() if sys.argv[1:] and OUT.exists() else ""
    _, heading, sections = text.partition("\n## ")
    text = "\n".join(introduction()) + "\n" + heading + sections
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked:
            torch.manual_seed(0)
            started = time.perf_counter()
            measured_at = commit()  # before: a long measurement may see the tree change
            section = with_commit(available[name](Path(scratch)), measured_at)
            print("\n".join(section), f"\n\n({name}: {time.perf_counter() - started:.0f} s)\n", flush=True)
            text = with_section(text, section)
            OUT.write_text(text)


def introduction() -> list[str]:
    return [
        "# Speed and memory",
        "",
        f"Written by `make bench`, with one thread unless stated otherwise, on {machine()}.",
        "Ratios compare sides of one run; absolute times are this machine's. Spreads are the lowest and the highest.",
    ]


if __name__ == "__main__":
    main()
