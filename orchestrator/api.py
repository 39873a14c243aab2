"""The Python interface: what the commands call, with the same results.

`import orchestrator` exports these functions. Each loads what it needs when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.run.launch import LaunchOptions
from orchestrator.run.planning import LoadedSweep, SweepPlan, explain_trial, load_sweep, plan_sweep

if TYPE_CHECKING:
    from orchestrator.plan.tuned_settings import Lock
    from orchestrator.run.scheduling.dispatcher import Dispatcher

__all__ = [
    "LaunchOptions",
    "LoadedSweep",
    "SweepPlan",
    "explain_trial",
    "load_sweep",
    "plan_sweep",
    "run_sweep",
    "tune_sweep",
]


def run_sweep(loaded: LoadedSweep, results: str | Path, **options: Any) -> Dispatcher:
    """Run the trials of a sweep that have no row in the results folder; the same call resumes and extends.

    The sweep is checked first, for which corpora that are not in the cache are built. Trials that cannot run are
    refused, and the others run.

    Args:
        loaded: the sweep, from `load_sweep`.
        results: a folder or a URI of an object store.
        **options: fields of `LaunchOptions`, such as `executor="local"`.

    Returns:
        The dispatcher: `outcome()` has the number of trials by status, `stopped` why the launch stopped early.

    Raises:
        SweepError: data or models that the sweep names are missing, or cannot be used.
        ValueError: another driver uses the results folder.
    """
    from orchestrator.run import launch

    return launch.run_sweep(loaded, results, LaunchOptions(**options))


def tune_sweep(
    loaded: LoadedSweep,
    results: str | Path,
    *,
    trials: int | None = None,
    objective: str | None = None,
    lock: Path | None = None,
    **options: Any,
) -> Lock:
    """Search each method's settings per task, backbone, kind of unlearning and modifiers; return the choices.

    Every search has the same number of trials and the same budget, and starts with the method's defaults. With several
    tuning seeds, trial n of a search is judged on seed n modulo their number.

    Args:
        loaded: the sweep, from `load_sweep`.
        results: a folder or a URI of an object store.
        trials: of each search; those of the sweep by default.
        objective: `rewind`, `gap_to_retrain` or `authors`; that of the sweep by default.
        lock: the lock file to write; none by default.
        **options: fields of `LaunchOptions`, such as `executor="local"`; `retry_failed` has no effect.

    Raises:
        SweepError: nothing to tune, or an unknown objective.
        ValueError: another driver uses the results folder.
        StoppedEarly: too many trials failed with the same error, or a disk is full.
        Interrupted: trials are left after an interrupt.
    """
    from orchestrator.run import tuning

    return tuning.tune_sweep(loaded, results, LaunchOptions(**options), trials=trials, objective=objective, lock=lock)
