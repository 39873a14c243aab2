"""Speech unlearning at cluster scale: a sweep file in, seed-averaged tables out.

The public functions load what they need when first used, so that `import orchestrator` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.report.write import write_report
    from orchestrator.results.store import read_rows
    from orchestrator.run.launch import load_sweep, plan_sweep, run_sweep
    from orchestrator.run.progress.live import launch_display
    from orchestrator.run.tuning import tune_sweep

__all__ = ["launch_display", "load_sweep", "plan_sweep", "read_rows", "run_sweep", "tune_sweep", "write_report"]

_HOMES = {
    "launch_display": "orchestrator.run.progress.live",
    "load_sweep": "orchestrator.run.launch",
    "plan_sweep": "orchestrator.run.launch",
    "run_sweep": "orchestrator.run.launch",
    "tune_sweep": "orchestrator.run.tuning",
    "read_rows": "orchestrator.results.store",
    "write_report": "orchestrator.report.write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}; public: {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
