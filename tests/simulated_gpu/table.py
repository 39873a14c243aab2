"""Prints which methods run on the simulated device in which mode, and how often a step waits for it.

python tests/simulated_gpu/table.py [METHOD ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulated_gpu.device import simulated_gpu
from simulated_gpu.problems import make_problem, run, small

from methods import influence
from methods.engine import gradients
from methods.modifiers.superloss import SuperLoss
from orchestrator import plugins

MODES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "sample fp32": ({}, {}),
    "sample bf16": ({}, {"precision": "bf16"}),
    "class fp32": ({"kind": "class"}, {}),
    "class bf16": ({"kind": "class"}, {"precision": "bf16"}),
    "micro-batches": ({}, {"micro_batch": 3}),
    "SuperLoss": ({}, {"superloss": SuperLoss()}),
    "read ahead": ({"reading": "ahead"}, {}),
    "random crops": ({"reading": "random crops"}, {}),
    "buckets": ({"reading": "buckets"}, {}),
}


def cell(name: str, mode: str) -> str:
    """Waits a step, `–` where the mode does nothing, or the error."""
    problem_settings, settings = MODES[mode]
    if "superloss" in settings and plugins.plugin_class("methods", name).edits_weights:
        return "–"
    with simulated_gpu() as gpu:
        problem = make_problem("cuda", gpu=gpu, **problem_settings)
        try:
            run(small(name), problem, **settings)
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:60]}"
        return f"{problem.budget.waits_a_step:g}"


def main(names: list[str]) -> None:
    """Print the table, a method a line."""
    gradients.CHUNK = influence.CHUNK = 4  # so that a set is more than one
    width = max(len(name) for name in names)
    print("Waits a step on the simulated GPU; a number means that the method ran to its end.\n")
    print("  ".join([f"{'method':{width}}", *MODES]))
    for name in names:
        print("  ".join([f"{name:{width}}", *(f"{cell(name, mode):>{len(mode)}}" for mode in MODES)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or plugins.names("methods"))
