"""Commands that read a results folder: status, tables, evidence, and the folder as one file. No logic here either."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from orchestrator.file_names import absolute_path

app = typer.Typer()
console = Console(width=None if sys.stdout.isatty() else 120)  # a log file is no narrow terminal

Folder = Annotated[str, typer.Argument(help="Results folder or URI.")]
Results = Annotated[str, typer.Option("--results", help="Results folder, or a URI (s3://…, gs://…).")]
Out = Annotated[Optional[Path], typer.Option(help="Folder to write; RESULTS/report when unset.")]  # noqa: UP045
OfSweep = Annotated[Optional[str], typer.Option(help="Only this sweep; NAME@PLAN for an earlier plan of it.")]  # noqa: UP045
TunedOnly = Annotated[bool, typer.Option("--tuned-only", help="Leave out methods whose settings no search chose.")]


@app.command()
def status(results: Folder, sweep: OfSweep = None) -> None:
    """What of each sweep in a results folder is done, failed or missing."""
    from orchestrator.report.status import status_tables
    from orchestrator.results.store import open_store

    for table in status_tables(open_store(results), sweep):
        console.print(table, soft_wrap=isinstance(table, str))


@app.command()
def report(
    results: Folder,
    out: Out = None,
    sweep: OfSweep = None,
    tuned_only: TunedOnly = False,
) -> None:
    """Write tables in the paper's layout (Markdown, LaTeX, CSV) and plots, and print the tables."""
    from orchestrator.report.build import folder_report
    from orchestrator.report.frames.scope import Selection
    from orchestrator.report.tables.terminal import terminal_tables
    from orchestrator.report.write import report_folder, write_files
    from orchestrator.results.store import open_store

    store = open_store(results)
    built = folder_report(store, Selection(sweep, tuned_only))
    written = write_files(built, report_folder(store, out))
    for table in terminal_tables(built.tables):
        console.print(table, soft_wrap=isinstance(table, str))
    console.print(f"report: {written[0]} ({len(written)} files)", soft_wrap=True)


@app.command()
def evidence(
    results: Folder,
    out: Out = None,
    sweep: OfSweep = None,
    tuned_only: TunedOnly = False,
) -> None:
    """Attack what trials left: membership attacks, distances to Retrain, relearning; evidence.md and evidence.csv."""
    from orchestrator.report.evidence.write import write_evidence
    from orchestrator.report.frames.scope import Selection
    from orchestrator.report.write import report_folder
    from orchestrator.results.store import open_store

    store = open_store(results)
    for path in write_evidence(store, report_folder(store, out), Selection(sweep, tuned_only)):
        console.print(f"evidence: {path}", soft_wrap=True)


@app.command()
def leaderboard(
    results: Folder,
    out: Annotated[Optional[Path], typer.Option(help="Page; RESULTS/report/leaderboard.md when unset.")] = None,  # noqa: UP045
    sweep: OfSweep = None,
    tuned_only: TunedOnly = False,
) -> None:
    """Set all methods side by side over all tasks and forget sets, with intervals and attacks, on one page."""
    from orchestrator.report.frames.scope import Selection
    from orchestrator.report.leaderboard.page import write_leaderboard
    from orchestrator.report.write import report_folder
    from orchestrator.results.store import open_store

    store = open_store(results)
    page = absolute_path(out) if out else report_folder(store, None) / "leaderboard.md"
    write_leaderboard(store, page, Selection(sweep, tuned_only))
    console.print(f"leaderboard: {page}", soft_wrap=True)


@app.command()
def compact(
    results: Folder,
    to: Annotated[Path, typer.Option(help="Parquet file to write.")],
) -> None:
    """Write rows and evidence of a results folder to one small file, from which `restore` makes a folder again."""
    from orchestrator.report.archive import compact_results
    from orchestrator.results.store import open_store

    to = absolute_path(to)
    rows = compact_results(open_store(results), to)
    console.print(f"{rows} trials: {to} ({to.stat().st_size / 2**20:.1f} MiB)", soft_wrap=True)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="Parquet file that `compact` wrote.")],
    results: Results,
) -> None:
    """Put the trials of a compacted file into a results folder: `run`, `tune` and `report` then go on from them."""
    from orchestrator.report.archive import restore_results
    from orchestrator.results.store import open_store

    rows = restore_results(absolute_path(file), open_store(results))
    console.print(f"{rows} trials restored; existing ones are unchanged")
