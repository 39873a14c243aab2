"""The command line: parse, call one function, print. No logic here; heavy imports are inside commands only."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer
from rich.console import Console
from rich.markup import escape

from orchestrator.cli_forget import app as forget_app
from orchestrator.cli_options import Results, absolute_location, console
from orchestrator.cli_results import app as results_app
from orchestrator.cli_setup import app as setup_app
from orchestrator.errors import (
    DamagedFile,
    FolderFull,
    Interrupted,
    RecordingsNotice,
    StoppedEarly,
    TooLarge,
    TrackerFailed,
    in_one_line,
)
from orchestrator.extras import missing_extra, require_extras
from orchestrator.file_names import absolute_path

app = typer.Typer(
    name="unlearn",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Speech unlearning at cluster scale: a sweep file in, seed-averaged tables out.",
)
app.add_typer(results_app)
app.add_typer(setup_app)
app.add_typer(forget_app)

SweepFile = Annotated[Path, typer.Argument(help="Sweep file, or the name of one that ships with the package.")]
Set = Annotated[
    Optional[list[str]],
    typer.Option("--set", help="Override a key of the sweep file: key=value, with dots for nested keys."),
]
Executor = Annotated[str, typer.Option(help="ray, or local (one process without Ray).")]
Address = Annotated[Optional[str], typer.Option(help="Ray cluster to connect to (default: start Ray on this machine).")]
MaxConcurrent = Annotated[
    Optional[int], typer.Option(min=1, help="Trials that run at the same time (default: as many as fit).")
]

ErrorLimit = Annotated[
    int, typer.Option(min=0, help="Stop after this many trials fail with the same error (0 = never).")
]


@app.command("ls")
def list_plugins(
    kind: Annotated[str, typer.Argument(help="tasks, backbones, trainings, methods or sweeps.")] = "all",
) -> None:
    """List tasks, backbones, trainings, methods and sweeps."""
    from orchestrator.catalog import listing

    console.print(listing(kind))


@app.command()
def plan(
    sweep: SweepFile,
    results: Annotated[
        Optional[str], typer.Option("--results", help="Results folder or URI: count what is done there.")
    ] = None,
    explain: Annotated[
        Optional[str], typer.Option(help="Explain why a trial runs: its id, or the first digits.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Build and check corpora that are not in the cache.")] = False,
    cores: Annotated[Optional[int], typer.Option(min=1, help="CPU cores to estimate for (default: all).")] = None,
    set_: Set = None,
) -> None:
    """Count a sweep's trials: done, pending, refused, failed; estimate duration and storage, also of its searches.

    Exit code 1 when a part of the sweep is refused.
    """
    require_extras("unlearn plan", "train")
    with _without_collection():
        from orchestrator.api import explain_trial, load_sweep, plan_sweep
        from orchestrator.run.console import explanation_tables, plan_tables
        from orchestrator.run.planned_searches import plan_searches
        from orchestrator.run.progress.display import PlainDisplay

        loaded, folder, refused = load_sweep(sweep, set_ or []), absolute_location(results), False
        if explain and not folder:
            raise ValueError(f"--explain {explain} needs --results: it compares the trial with finished ones")
        if explain and folder:
            tables = explanation_tables(explain_trial(loaded, folder, explain))
        else:
            planned = plan_sweep(loaded, folder, check=check, cores=cores, observer=PlainDisplay(console))
            searches = plan_searches(loaded, folder, check=check, cores=cores, observer=PlainDisplay(console))
            refused = bool(planned.grid.refused or (searches and searches.refused))
            tables = plan_tables(planned, searches)
    for table in tables:
        console.print(table, soft_wrap=isinstance(table, str))
    if refused:
        raise typer.Exit(1)


@app.command()
def run(
    sweep: SweepFile,
    results: Results,
    executor: Executor = "ray",
    address: Address = None,
    max_concurrent: MaxConcurrent = None,
    error_limit: ErrorLimit = 5,
    set_: Set = None,
    retry: Annotated[Optional[str], typer.Option(help="Run these trials again: failed.")] = None,
) -> None:
    """Run, resume or extend a sweep; you can interrupt it at any time."""
    require_extras("unlearn run", *_extras(executor))
    from orchestrator.api import load_sweep, run_sweep
    from orchestrator.run.progress.live import launch_display

    loaded, where, again = load_sweep(sweep, set_ or []), str(absolute_location(results)), _retry(retry)
    with _early_ray(executor, address, where):
        dispatcher = run_sweep(
            loaded,
            where,
            executor=_executor(executor),
            address=address,
            max_concurrent=max_concurrent,
            error_limit=error_limit,
            retry_failed=again,
            observer=launch_display(console, command=_command()),
        )
    raise typer.Exit(dispatcher.outcome().exit_code)


@app.command()
def tune(
    sweep: SweepFile,
    results: Results,
    trials: Annotated[Optional[int], typer.Option(min=1, help="Number of trials of each search.")] = None,
    objective: Annotated[
        Optional[str], typer.Option(help="What a search minimizes: rewind, gap_to_retrain or authors.")
    ] = None,
    lock: Annotated[Optional[Path], typer.Option(help="Lock file to write (default: SWEEP.lock.yaml).")] = None,
    executor: Executor = "ray",
    address: Address = None,
    max_concurrent: MaxConcurrent = None,
    error_limit: ErrorLimit = 5,
    set_: Set = None,
) -> None:
    """Search the settings of every method with equal effort on tuning seeds, and write a lock file."""
    require_extras("unlearn tune", *_extras(executor))
    from orchestrator.api import load_sweep, tune_sweep
    from orchestrator.run.console import lock_table
    from orchestrator.run.progress.live import launch_display

    loaded = load_sweep(sweep, set_ or [])
    target = absolute_path(lock or Path(f"{loaded.sweep.name}.lock.yaml"))
    then = shlex.join(["unlearn", "run", str(sweep), "--results", results, "--set", f"lock={target}"])
    where = str(absolute_location(results))
    with _early_ray(executor, address, where):
        chosen = tune_sweep(
            loaded,
            where,
            trials=trials,
            objective=objective,
            lock=target,
            executor=_executor(executor),
            address=address,
            max_concurrent=max_concurrent,
            error_limit=error_limit,
            observer=launch_display(console, command=_command(), then=then),
        )
    console.print(lock_table(chosen))
    console.print(f"lock file: {target}", soft_wrap=True)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Collect no garbage: a plan creates thousands of modules and trials and frees none."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _require_current_folder() -> None:
    """Check that the current folder exists.

    Raises:
        ValueError: it was deleted.
    """
    try:
        os.getcwd()
    except OSError:
        raise ValueError("The current folder no longer exists. Change to another folder with cd.") from None


def _executor(name: str) -> Any:
    if name not in ("ray", "local"):
        raise ValueError(f"--executor must be ray or local; got {name!r}")
    return name


def _extras(executor: str) -> tuple[str, ...]:
    return ("train", "ray") if executor == "ray" else ("train",)


def _early_ray(executor: str, address: str | None, results: str) -> contextlib.AbstractContextManager[None]:
    """Start Ray while a new launch is checked; a launch with rows may have nothing left to run."""
    if _executor(executor) != "ray":
        return contextlib.nullcontext()
    from orchestrator.results.store import open_store
    from orchestrator.run.executors.ray_early import early_start

    return early_start(wanted=address is None and not open_store(results).row_files.ids())


def _command() -> str:
    """The command that this process was given, without `--retry`."""
    words = sys.argv[1:]
    if "--retry" in words:
        at = words.index("--retry")
        words = words[:at] + words[at + 2 :]
    return shlex.join(["unlearn", *words])


def _retry(what: str | None) -> bool:
    if what not in (None, "failed"):
        raise ValueError(f"--retry must be failed; got {what!r}")
    return what == "failed"


def _say_damage(otherwise: Callable[..., None]) -> Callable[..., None]:
    printed: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, (DamagedFile, RecordingsNotice, TooLarge, TrackerFailed)):
            otherwise(message, category, *where, **more)
            return
        if str(message) in printed:
            return
        printed.add(str(message))
        # Through sys.stderr as it is now, which a live display redirects above itself; rich's own would write into it.
        typer.secho(f"warning: {message}", fg="yellow", file=sys.stderr)

    return show


def main() -> None:
    """Run `unlearn`; a user's mistake ends in one clear message, never in a traceback.

    Exit codes: 0 success; 1 trials failed, are blocked or were refused; 2 a mistake; 3 stopped early; 130 interrupted.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _say_damage(warnings.showwarning)
        atexit.register(gc.freeze)  # else the exit takes a second, to look for garbage in what was imported
        try:
            _require_current_folder()
            app()
        except Interrupted as stopped:
            Console(stderr=True).print(str(stopped), soft_wrap=True)
            sys.exit(130)
        except (StoppedEarly, FolderFull) as stopped:
            Console(stderr=True).print(f"[red]stopped:[/red] {escape(str(stopped))}", highlight=False, soft_wrap=True)
            sys.exit(3)
        except ImportError as error:
            if (missing := missing_extra(f"unlearn {' '.join(sys.argv[1:2])}".strip(), error)) is None:
                raise
            _exit_with_error(str(missing))
        except (ValueError, OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "home directory" not in str(error):
                raise
            _exit_with_error(in_one_line(error) if isinstance(error, (OSError, RuntimeError)) else str(error))


def _exit_with_error(said: str) -> NoReturn:
    Console(stderr=True).print(f"[red]error:[/red] {escape(said)}", highlight=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
