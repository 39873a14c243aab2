"""Make report.html: one file with tables, charts and trials, which needs no network, no server and no JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup, escape

from orchestrator.file_names import file_name
from orchestrator.report.build import Report
from orchestrator.report.charts.chart import Chart
from orchestrator.report.charts.progress import ReadCurves
from orchestrator.report.charts.style import CONFIG
from orchestrator.report.frames.failures import problems
from orchestrator.report.html import scripts
from orchestrator.report.html.summary import summary
from orchestrator.report.html.trials import trial_parts
from orchestrator.report.html.views import View, task_views
from orchestrator.report.tables.published import TITLES, paper_tables

LISTED = 100  # problems in the page's table


@dataclass(frozen=True)
class Section:
    """One task of the page."""

    key: str
    title: str
    views: Sequence[View]
    charts: Sequence[Chart]

    @property
    def groups(self) -> list[tuple[str, list[Chart]]]:
        """Charts by the block that they are of, in the order in which blocks come first."""
        found: dict[str, list[Chart]] = {}
        for chart in self.charts:
            found.setdefault(chart.group, []).append(chart)
        return list(found.items())


def report_page(
    report: Report,
    charts: Mapping[str, Sequence[Chart]],
    others: Mapping[str, Sequence[Chart]],
    sweeps: Sequence[tuple[str, Report]] = (),
    curves: ReadCurves | None = None,
) -> str:
    """Render the page.

    Args:
        report: of `build_report`.
        charts: of each task.
        others: charts that belong to no task, by the title of their section.
        sweeps: of `sweep_reports`.
        curves: of trials by their ids, for their logs.
    """
    views = task_views(report, sweeps)
    sections = [Section(file_name(task), task, of_task, charts.get(task, ())) for task, of_task in views.items()]
    drawn = [one for group in (*charts.values(), *others.values()) for one in group]
    parts, trials = trial_parts(report, curves)
    found = problems(report.selected.rows)
    context = {
        "title": _title(report),
        "policy": scripts.content_policy([scripts.own_script(), scripts.chart_library()]),
        "style": scripts.style_sheet(),
        "script": scripts.own_script(),
        "library": scripts.packed_library() if drawn else "",
        "summary": summary(report),
        "counts": _counts(report),
        "sections": sections,
        "others": {title: of for title, of in others.items() if of},
        "data": scripts.packed_json(_chart_data(drawn)) if drawn else "",
        "paper": paper_tables(report.tables),
        "paper_titles": TITLES,
        "problems": found.head(LISTED).to_dict("records"),
        "problem_columns": list(found.columns),
        "num_problems": len(found),
        "trials": parts,
        "num_trials": trials,
        "superseded": sorted(report.superseded["trial_id"]) if len(report.superseded) else [],
        "missing": missing(report),
        "provenance": provenance(report),
    }
    return template("page.html.j2").render(**context)


def missing(report: Report) -> list[str]:
    """Say what was planned and has no row, and what was left out."""
    have = set(report.selected.rows["trial_id"])
    found = []
    for record in report.selected.records:
        number = sum(trial not in have for trial in record.trials)
        if number:
            found.append(f"{record.title}: {number} of {len(record.trials)} planned runs have not finished yet.")
    if report.selected.left_out:
        found.append(f"{report.selected.left_out} runs that only earlier plans of a sweep contain are left out.")
    found += report.selected.weak
    return found


def provenance(report: Report) -> list[tuple[str, str]]:
    """List the code, versions and devices that the rows come from."""
    rows = report.selected.rows
    kept = {"git_commit": "Code", "package_version": "Package", "torch_version": "torch", "device": "Devices"}
    found = [(title, ", ".join(sorted(set(rows[name]) - {""}))) for name, title in kept.items()]
    ended = max((text for text in rows["finished_at"] if text), default="")
    return [(title, text) for title, text in [*found, ("Last trial ended", ended[:16].replace("T", " "))] if text]


def _title(report: Report) -> str:
    names = sorted({record.name for record in report.selected.records if not record.is_search})
    names = names or sorted(set(report.selected.rows["sweep"]) - {""})
    return ", ".join(names[:4]) + (" and more" if len(names) > 4 else "")


def _counts(report: Report) -> list[tuple[str, int]]:
    rows = report.selected.rows
    collapsed = int((rows["collapsed"] & (rows["status"] == "done")).sum())
    found = [(str(status), int(number)) for status, number in rows["status"].value_counts().items()]
    return [*found, *([("collapsed", collapsed)] if collapsed else [])]


def _chart_data(charts: Sequence[Chart]) -> dict[str, Any]:
    """Return what makes charts interactive: datasets once, however many charts use them."""
    return {
        "config": {key: value for key, value in CONFIG.items() if key != "padding"},
        "data": {name: list(records) for chart in charts for name, records in chart.datasets.items()},
        "specs": {chart.name: {"spec": chart.spec, "uses": sorted(chart.datasets)} for chart in charts},
    }


@cache
def template(name: str) -> jinja2.Template:
    """Return a template of this room; what it is given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orchestrator.report.html", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["code"] = code
    environment.filters["picture"] = lambda chart: Markup(picture(chart))
    return environment.get_template(name)


def code(text: str) -> Markup:
    """Escape text, and set what is between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def picture(chart: Chart) -> str:
    """Return a chart's SVG for the page: hidden from screen readers, to whom the figure says what it shows."""
    svg = chart.svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    # Two pictures of a page must not share the name of a clip path.
    return re.sub(r'(id="|url\(#)(clip|gradient)', rf"\g<1>{file_name(chart.name)}-\g<2>", svg)
