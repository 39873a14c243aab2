"""Commands that read a results folder: status, tables, evidence, and the folder as one file. No logic here either."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from orchestrator.cli_options import Results, console
from orchestrator.file_names import absolute_path

app = typer.Typer()

Folder = Annotated[str, typer.Argument(help="Results folder or URI.")]
Out = Annotated[Optional[Path], typer.Option(help="Folder to write to (default: RESULTS/report).")]
OfSweep = Annotated[Optional[str], typer.Option(help="Show this sweep only; NAME@PLAN for an earlier plan of it.")]
TunedOnly = Annotated[bool, typer.Option("--tuned-only", help="Leave out methods whose settings no search chose.")]


@app.command()
def status(results: Folder, sweep: OfSweep = None) -> None:
    """Show what is done, failed or missing of each sweep in a results folder."""
    from orchestrator.report.status import status_tables
    from orchestrator.results.store import open_store

    for table in status_tables(open_store(results), sweep):
        console.print(table, soft_wrap=isinstance(table, str))


@app.command()
def watch(
    results: Folder,
    sweep: OfSweep = None,
    every: Annotated[
        Optional[float],
        typer.Option(min=0.1, help="Seconds after which it reads again (default: 2; 10 for an object store)."),
    ] = None,
) -> None:
    """Follow a run from another shell or machine, until it ends or Ctrl-C; only the results folder is read."""
    from orchestrator.report.watch import follow
    from orchestrator.results.store import open_store

    follow(open_store(results), console, sweep, every)


@app.command()
def report(
    results: Folder,
    out: Out = None,
    sweep: OfSweep = None,
    tuned_only: TunedOnly = False,
) -> None:
    """Write one page (report.html), tables (Markdown, LaTeX, CSV) and plots, and print the tables."""
    from orchestrator.report.build import folder_report
    from orchestrator.report.evidence.folder import readers_of
    from orchestrator.report.frames.scope import Selection
    from orchestrator.report.tables.terminal import terminal_tables
    from orchestrator.report.write import report_folder, write_files
    from orchestrator.results.store import open_store

    store = open_store(results)
    built = folder_report(store, Selection(sweep, tuned_only))
    written = write_files(built, report_folder(store, out), readers_of(store))
    for table in terminal_tables(built.tables):
        console.print(table, soft_wrap=isinstance(table, str))
    console.print(f"report: {written[1]} ({len(written)} files)", soft_wrap=True)


@app.command()
def compare(
    results: Annotated[list[str], typer.Argument(help="Results folders or URIs; FOLDER#SWEEP for one sweep.")],
    out: Annotated[Optional[Path], typer.Option(help="Page to write (default: comparison.html).")] = None,
) -> None:
    """Show what changed between results: settings, figures with intervals, and trials that only one has."""
    from orchestrator.report.compare.differences import compare as compared
    from orchestrator.report.compare.sources import open_sources
    from orchestrator.report.compare.write import comparison_tables, write_comparison

    found = compared(open_sources(results))
    page = write_comparison(found, absolute_path(out or Path("comparison.html")))
    for table in comparison_tables(found):
        console.print(table, soft_wrap=isinstance(table, str))
    console.print(f"comparison: {page}", soft_wrap=True)


@app.command()
def evidence(
    results: Folder,
    out: Out = None,
    sweep: OfSweep = None,
    tuned_only: TunedOnly = False,
) -> None:
    """Compute membership attacks, distances to Retrain and relearning: evidence.md and evidence.csv."""
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
    out: Annotated[
        Optional[Path], typer.Option(help="Markdown page (default: RESULTS/report/leaderboard.md); HTML is next to it.")
    ] = None,
    sweep: OfSweep = None,
    tuned_only: TunedOnly = False,
) -> None:
    """Compare all methods over all tasks and forget sets on one page, with intervals and attacks."""
    from orchestrator.report.frames.scope import Selection
    from orchestrator.report.leaderboard.page import write_leaderboard
    from orchestrator.report.write import report_folder
    from orchestrator.results.store import open_store

    store = open_store(results)
    page = absolute_path(out) if out else report_folder(store, None) / "leaderboard.md"
    write_leaderboard(store, page, Selection(sweep, tuned_only))
    console.print(f"leaderboard: {page}, {page.with_suffix('.html')}", soft_wrap=True)


@app.command()
def compact(
    results: Folder,
    to: Annotated[Path, typer.Option(help="Parquet file to write.")],
) -> None:
    """Write rows and evidence of a results folder to one small file; `restore` makes a folder of it."""
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
    """Restore the trials of a compacted file into a results folder; `run`, `tune` and `report` continue from them."""
    from orchestrator.report.archive import restore_results
    from orchestrator.results.store import open_store

    rows = restore_results(absolute_path(file), open_store(results))
    console.print(f"{rows} trials restored; existing ones are unchanged")
