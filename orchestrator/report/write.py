"""The report's folder: report.html and report.md, LaTeX, CSV, SVG and PDF files; no file is ever half-written."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from orchestrator.file_names import absolute_path
from orchestrator.report.build import Report, folder_report, sweep_reports
from orchestrator.report.charts.chart import Chart
from orchestrator.report.charts.collection import task_charts
from orchestrator.report.charts.curricula import curricula_charts
from orchestrator.report.charts.search import search_charts
from orchestrator.report.evidence.folder import Readers, readers_of
from orchestrator.report.evidence.probes import relearning_curves
from orchestrator.report.frames.failures import problems
from orchestrator.report.frames.scope import EVERYTHING, Selected, Selection
from orchestrator.report.html.page import report_page
from orchestrator.report.html.views import first_tables
from orchestrator.report.leaderboard.in_report import report_sections
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.tables.csv import spreadsheet_csv, tidy
from orchestrator.report.tables.curricula import against_controls, curricula_csv, curricula_markdown
from orchestrator.report.tables.latex import table_latex
from orchestrator.report.tables.markdown import escape, provenance, table_markdown
from orchestrator.report.tables.model import Table
from orchestrator.report.tables.published import TITLES, paper_tables
from orchestrator.results.statuses import STATUSES
from orchestrator.results.store import Store, open_store

LISTED = 100  # problems shown in report.md; all are in problems.csv


def write_report(results: str | Path, out: str | Path | None = None, selection: Selection = EVERYTHING) -> list[Path]:
    """Write the report of a results folder, as `unlearn report` does; return the files, `report.md` first.

    Args:
        results: folder or URI.
        out: folder to write; `RESULTS/report` when None.
        selection: rows to show.

    Raises:
        ValueError: there is no row at all, or none of the selection.
    """
    store = open_store(results)
    return write_files(folder_report(store, selection), report_folder(store, out), readers_of(store))


def report_folder(store: Store, out: str | Path | None) -> Path:
    """Return the folder that reports are written to: `out`, else `report` in the results folder.

    A results folder on an object store has its report in the current folder.
    """
    return absolute_path(out) if out else (store.files.local_path or Path.cwd() / "report-of-results") / "report"


def write_files(report: Report, out: Path, readers: Readers | None = None) -> list[Path]:
    """Write a report; return the files, `report.md` and `report.html` first.

    Args:
        report: of `build_report`.
        out: folder, created if absent; files of an earlier report are replaced one by one.
        readers: of stored outputs and tests; without them there are no charts of attacks and relearning.
    """
    rows, tables, found = report.selected.rows, report.tables, problems(report.selected.rows)
    files: dict[str, bytes] = {}
    parts = ["# Report", "", "[The same as one page, with more charts and every trial](report.html)", ""]
    parts += [*_summary(report.selected), ""]
    done = report.lines[report.lines["status"] == "done"]
    relearned = relearning_curves(done, readers.tests) if readers else None
    charts: dict[str, list[Chart]] = {}
    sweeps = sweep_reports(report)
    for task in dict.fromkeys(table.task for table in tables):
        own = [table for table in tables if table.task == task]
        drawn = task_charts(
            own,
            readers.outputs if readers else None,
            relearned,
            readers.curves if readers else None,
            [table for _, table in first_tables(sweeps, task)],
        )
        charts[task] = [chart for of_table in drawn.values() for chart in of_table]
        parts += [f"## {escape(task)}", "", *_task(own, drawn, files)]
    parts += _paper(tables)
    others = {title: _pieces(pieces, files, parts) for title, pieces in report_sections(report, readers).items()}
    others |= {"Curricula": _curricula(report.lines, files, parts), "Searches": search_charts(rows)}
    if others["Searches"]:
        parts += ["## Searches", "", *_pictures(others["Searches"], files)]
    parts += _problems(found, files)
    parts += _superseded(report.superseded)
    parts += provenance(rows)
    page = report_page(report, charts, others, sweeps, readers.curves if readers else None).encode()
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        _replace(out / name, content)
    _replace(out / "report.html", page)
    _replace(out / "report.md", "\n".join(parts).encode())  # last: what it points to is there
    return [out / "report.md", out / "report.html", *(out / name for name in files)]


def _summary(selected: Selected) -> list[str]:
    rows = selected.rows
    counts = rows["status"].value_counts()
    said = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    collapsed = int((rows["collapsed"] & (rows["status"] == "done")).sum())
    text = f"{len(rows)} runs: {said}"
    found = [text + (f" (of them {collapsed} collapsed)" if collapsed else "") + "."]
    have = set(rows["trial_id"])
    for record in selected.records:
        missing = sum(trial not in have for trial in record.trials)
        if missing:
            name, total = escape(record.title), len(record.trials)
            found.append(f"**{name}: {missing} of {total} planned runs have not finished yet.**")
    if selected.left_out:
        found.append(
            f"Left out: {selected.left_out} runs that did not finish and that only earlier plans of a sweep contain "
            "(`unlearn status` lists the plans)."
        )
    return found + [escape(sentence) for sentence in selected.weak]


def _task(tables: list[Table], charts: Mapping[str, Sequence[Chart]], files: dict[str, bytes]) -> list[str]:
    parts = []
    for table in tables:
        files[f"tables/{table.name}.tex"] = table_latex(table).encode()
        files[f"tables/{table.name}.csv"] = spreadsheet_csv(tidy(table))
        parts += [table_markdown(table), f"[LaTeX](tables/{table.name}.tex), [CSV](tables/{table.name}.csv)", ""]
        parts += _pictures(charts.get(table.name, ()), files)
    return parts


def _paper(tables: Sequence[Table]) -> list[str]:
    """Put the paper's published figures next to ours, where there are any."""
    parts = []
    for one in paper_tables(tables):
        rows = [[escape(cell) for cell in row] for row in one.rows]
        grid = tabulate(rows, [escape(name) for name in TITLES], tablefmt="pipe", disable_numparse=True)
        parts += [f"### {escape(one.title)}", "", grid, "", escape(one.about), ""]
    return ["## Next to the paper", "", *parts] if parts else []


def _pictures(charts: Sequence[Chart], files: dict[str, bytes]) -> list[str]:
    """Add the files of charts; return the Markdown that shows them."""
    parts = []
    for chart in charts:
        path = f"plots/{chart.name}"
        files[f"{path}.svg"], files[f"{path}.pdf"] = chart.svg_file(), chart.pdf_file()
        parts += [
            f"![{escape(chart.title)}]({path}.svg)",
            "",
            f"{escape('. '.join(filter(None, (chart.group, chart.text))))} [PDF]({path}.pdf)",
            "",
        ]
    return parts


def _pieces(pieces: Sequence[Piece], files: dict[str, bytes], parts: list[str]) -> list[Chart]:
    """Add a section that the leaderboard page has as well; return its charts."""
    charts = []
    for piece in pieces:
        parts += [piece] if isinstance(piece, str) else _pictures([piece], files)
        charts += [] if isinstance(piece, str) else [piece]
    return charts


def _curricula(lines: pd.DataFrame, files: dict[str, bytes], parts: list[str]) -> list[Chart]:
    """Add the section on curricula; return its charts."""
    found = against_controls(lines)
    if found.empty:
        return []
    files["tables/curricula.csv"] = curricula_csv(found)
    text = (
        "Each line minus its control, paired by forget set, in points; below 0 the line's gap or accuracy is smaller. "
        "Means over seeds; ± is the half-width of the 95 % interval of a paired test over seeds (t from 3, bootstrap-t "
        "from 10), and p its p-value, corrected by Holm over all rows of a measure. Controls: 'Compare a modifier with "
        "its control' in docs/methods.md."
    )
    charts = curricula_charts(found)
    parts += ["## Curricula against their controls", "", text, "", curricula_markdown(found), ""]
    parts += ["[CSV](tables/curricula.csv)", "", *_pictures(charts, files)]
    return charts


def _problems(found: pd.DataFrame, files: dict[str, bytes]) -> list[str]:
    if found.empty:
        return []
    files["problems.csv"] = spreadsheet_csv(found)
    shown = [[escape(str(cell)) for cell in row] for row in found.head(LISTED).itertuples(index=False, name=None)]
    more = [f"{len(found) - LISTED} more are in [problems.csv](problems.csv).", ""] if len(found) > LISTED else []
    advice = [f"- {status}: {STATUSES[status]}" for status in STATUSES if status in set(found["status"])]
    grid = tabulate(shown, list(found.columns), tablefmt="pipe", disable_numparse=True)
    return ["## Problems", "", grid, "", *more, *advice, ""]


def _superseded(older: pd.DataFrame) -> list[str]:
    if older.empty:
        return []
    ids = ", ".join(sorted(older["trial_id"]))
    text = f"In no table, because a later run has the same settings on the same forget set: {ids}."
    return ["## Superseded runs", "", text, ""]


def _replace(path: Path, content: bytes) -> None:
    """Write to a scratch file in the same folder, then rename: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
