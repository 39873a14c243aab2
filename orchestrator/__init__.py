"""Speech unlearning at cluster scale: a sweep file in, seed-averaged tables out.

The public functions load what they need when first used, so that `import orchestrator` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.api import LaunchOptions, explain_trial, load_sweep, plan_sweep, run_sweep, tune_sweep
    from orchestrator.report.write import write_report
    from orchestrator.results.curves import read_curves
    from orchestrator.results.store import read_rows
    from orchestrator.run.progress.live import launch_display

__all__ = [
    "LaunchOptions",
    "explain_trial",
    "launch_display",
    "load_sweep",
    "plan_sweep",
    "read_curves",
    "read_rows",
    "run_sweep",
    "tune_sweep",
    "write_report",
]

_HOMES = {
    "LaunchOptions": "orchestrator.api",
    "explain_trial": "orchestrator.api",
    "launch_display": "orchestrator.run.progress.live",
    "load_sweep": "orchestrator.api",
    "plan_sweep": "orchestrator.api",
    "run_sweep": "orchestrator.api",
    "tune_sweep": "orchestrator.api",
    "read_curves": "orchestrator.results.curves",
    "read_rows": "orchestrator.results.store",
    "write_report": "orchestrator.report.write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}; public: {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
