"""The leaderboard page: all methods over all cells, then cell by cell, and whether the attacks are sound."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from orchestrator.file_names import absolute_path
from orchestrator.report.evidence.audit_columns import audit_columns
from orchestrator.report.evidence.folder import FolderEvidence, folder_evidence
from orchestrator.report.evidence.probes import probe_columns
from orchestrator.report.evidence.table import ATTACK_COLUMNS, Column, column_cells
from orchestrator.report.frames.gaps import TASK_LOSS
from orchestrator.report.frames.scope import EVERYTHING, Selection
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.frames.sequences import is_later_request
from orchestrator.report.frames.summary import NOTHING, BlockMeans, unit_name, with_spread
from orchestrator.report.frames.tuned import mixture, title_note
from orchestrator.report.html.document import document_page
from orchestrator.report.leaderboard.attack_sanity import attack_sanity, sanity_markdown
from orchestrator.report.leaderboard.budgets import budgets_pieces
from orchestrator.report.leaderboard.discovery import KNOWN, UNKNOWN, discovery_pieces
from orchestrator.report.leaderboard.distances import distances_markdown
from orchestrator.report.leaderboard.harmful import harmful_pieces
from orchestrator.report.leaderboard.pieces import Piece, flattened
from orchestrator.report.leaderboard.purposes import purposes_pieces
from orchestrator.report.leaderboard.ranking import (
    EXCESS,
    SHARE,
    Cell,
    original_minus_retrain_over_cells,
    ranking,
    with_excess,
    with_seconds_share,
)
from orchestrator.report.leaderboard.recognition import recognition_pieces
from orchestrator.report.leaderboard.removed import removed_pieces
from orchestrator.report.leaderboard.search_effort import Effort, effort_sentence, search_efforts
from orchestrator.report.leaderboard.speakers import speakers_markdown
from orchestrator.report.leaderboard.variants import variants_pieces
from orchestrator.report.tables.caption import caption, searches_done, trial_hours
from orchestrator.report.tables.cells import body, header
from orchestrator.report.tables.columns import DIFFERENCE_FORGET, GAP, quality_of
from orchestrator.report.tables.markdown import escape, grid_markdown, provenance, set_cell
from orchestrator.report.tables.model import Line, build_tables, contenders, equal_to_original
from orchestrator.report.tables.notes import baselines, block_notes, gap_difference
from orchestrator.report.tables.significance import is_within_noise, original_minus_retrain
from orchestrator.results.storage import Folder
from orchestrator.results.store import Store

ATTACKS = {"loss_auc": "loss AUC", "modified_entropy_auc": "entropy AUC", "rmia_auc": "RMIA AUC"}
OF_SPEAKERS = {
    "speaker_auc": "speaker AUC", "eer_kept": "EER, kept (%)", "eer_forgotten": "EER, forgotten (%)",
    "eer_unheard": "EER, not in training (%)",
}  # fmt: skip
"""Columns of trials that stored speakers and embeddings."""
COUNTED = ("diverged", "failed", "collapsed", "unchanged")
ABOUT_ALL = (
    "Gap, D_t lost and Time are means over all cells within a seed, then over seeds; ranks and Recovery are means over "
    "cells; ± is the half-width of a 95 % t-interval (n ≥ 3), the range of two is in brackets. A mean over fewer seeds "
    "than others has their number next to it; flags count runs. Every column is defined in 'The leaderboard' in "
    "docs/results.md."
)
ABOUT_GLANCE = (
    "In points; Second − closest is paired by seed, and an interval that contains 0 means that the two are not "
    "statistically distinguishable. Italic: Original and Retrain differ on D_f by no more than noise, so no method can "
    "be seen to forget there. The closest method was picked on the runs that it is reported on."
)


def write_leaderboard(store: Store, page: str | Path, selection: Selection = EVERYTHING) -> Path:
    """Write the page from a results folder's rows and outputs, or from a restored file; return the Markdown.

    Args:
        store: the results folder.
        page: Markdown file; the same as HTML is written next to it.
        selection: rows to compare.

    Raises:
        ValueError: there is no finished trial that forgot anything, or none of the selection, or `page` is HTML, or
            the tasks of the selection are judged by accuracy and by WER.
    """
    page = absolute_path(page)
    html = page.with_suffix(".html")
    if html == page:
        raise ValueError(f"--out must name the Markdown page; got {page}. The HTML page is written next to it.")
    found = folder_evidence(store, selection)
    _require_one_quality(found.rows)
    cells = leaderboard_cells(found)
    pieces: list[Piece] = [
        f"# Leaderboard{escape(title_note(found.rows))}", "", *_mixed(found.rows), *_about(found.selected.rows, cells),
        *_overall(cells, search_efforts(found.selected.rows, cells)), *distances_markdown(cells, ranking(cells)),
        *purposes_pieces(cells, found.read_outputs), *harmful_pieces(cells), *variants_pieces(cells),
        *budgets_pieces(cells), *discovery_pieces(cells), *removed_pieces(found.done), *_at_a_glance(cells),
        *(text for cell in cells for text in _cell(cell, found.figures)), *recognition_pieces(cells),
        *speakers_markdown(cells),
        *sanity_markdown(attack_sanity(cells, found.read_outputs)), *provenance(found.done),
    ]  # fmt: skip
    text, charts = flattened(pieces, page.stem)
    folder = Folder(page.parent.as_uri())
    for address, chart in charts.items():
        folder.write_bytes(address, chart.svg_file())
    folder.write_bytes(html.name, document_page(text, "Unlearning methods compared", charts).encode())
    folder.write_bytes(page.name, text.encode())
    return page


def _require_one_quality(rows: pd.DataFrame) -> None:
    """Refuse means over points of accuracy and points of WER."""
    tasks: dict[str, list[str]] = {}
    for task, own in rows.groupby("task"):
        tasks.setdefault(quality_of(own).name, []).append(str(task))
    if len(tasks) > 1:
        named = " and ".join(f"{', '.join(names)} (by {quality})" for quality, names in tasks.items())
        raise ValueError(
            f"A leaderboard averages gaps over tasks that are judged alike; got {named}. Choose a sweep with --sweep, "
            "or keep the tasks in results folders of their own."
        )


def leaderboard_cells(found: FolderEvidence) -> list[Cell]:
    """Make a cell for each training, task, backbone and kind of request."""
    seeds = found.selected.planned_seeds
    columns = [GAP.column, DIFFERENCE_FORGET.column, KNOWN, UNKNOWN, SHARE, TASK_LOSS, EXCESS, *found.figures]
    keys = ["training", "task", "backbone", "unlearning", "forget_rule"]
    cells = []
    rows = with_excess(with_seconds_share(found.rows), f"excess_{_most_relearned(found.figures)}")
    for _, own in rows[~is_later_request(rows)].groupby(keys):
        table = build_tables(own, seeds)[0]
        cells.append(Cell(table, BlockMeans.of(table.blocks[0].rows, columns, seeds.get(table.task, ()))))
    return cells


def _mixed(rows: pd.DataFrame) -> list[str]:
    return [escape(mixed), ""] if (mixed := mixture(rows)) else []


def _about(rows: pd.DataFrame, cells: Sequence[Cell]) -> list[str]:
    """Say how the page was made and what that cost, and give the caption of all tables."""
    tables = [cell.table for cell in cells]
    together = replace(
        tables[0],
        backbones=(", ".join(sorted({b for table in tables for b in table.backbones})),),
        columns=tuple(dict.fromkeys(measure for table in tables for measure in table.columns)),
        blocks=tuple(cell.block for cell in cells),
        rows=pd.concat([table.rows for table in tables], ignore_index=True),
    )
    sweeps = ", ".join(f"`unlearn run {name} --results RESULTS`" for name in sorted(set(together.rows["sweep"]) - {""}))
    return [
        f"Made by {sweeps or 'a sweep'}, then `unlearn leaderboard RESULTS`. {escape(trial_hours(rows))}", "",
        escape(caption(together)), "", escape(searches_done(rows)), "",
    ]  # fmt: skip


def _overall(cells: Sequence[Cell], efforts: Mapping[str, Effort]) -> list[str]:
    """Compare all methods over all cells; Original − Retrain on D_f comes first, then how much each was searched."""
    found, worth = ranking(cells), sum(cell.forgettable for cell in cells)
    titles = ["Method", "Gap", "Rank", f"Rank, {worth} to forget", "Closest", "Closer than Original", "Compared",
              "D_t lost", "Recovery − Retrain's", *(flag.capitalize() for flag in COUNTED), "Out of budget",
              "Time / Retrain's", *(["Search trials"] if efforts else [])]  # fmt: skip
    grid, most = [], max((one.gap.n for one in found), default=0)
    for one in found:
        is_method, not_original = one.line.method not in REFERENCES, one.line.method != "original"
        grid.append(
            [
                escape(one.line.label),
                "target" if one.line.method == "retrain" else with_spread(one.gap) + _of_seeds(one.gap.n, most),
                *(with_spread(rank) if is_method else NOTHING for rank in (one.rank, one.rank_forgettable)),
                *(
                    f"{n}/{one.cells}" if is_method else NOTHING
                    for n in (one.closest, one.closer_than_original, one.compared)
                ),
                with_spread(one.task_loss) + _of_seeds(one.task_loss.n, most) if not_original else NOTHING,
                with_spread(one.excess, 2) + (f" ({one.excess.n})" if one.excess.n else "") if is_method else NOTHING,
                *(str(one.flags[flag]) for flag in COUNTED),
                str(one.out_of_budget),
                f"{one.share.mean:.2f}" if one.share.n and not_original else NOTHING,
                *([efforts[one.line.variant].text if one.line.variant in efforts else NOTHING] if efforts else []),
            ]
        )
    difference = original_minus_retrain_over_cells(cells)
    said = (
        f"{quality_of(cells[0].table.rows).difference}, mean over {len(cells)} cells: {with_spread(difference)} points "
        f"(n = {difference.n} seed{'' if difference.n == 1 else 's'}); beyond noise in {worth} of them."
    )
    more = [sentence for sentence in (effort_sentence(efforts), _without_an_epoch(cells)) if sentence]
    told = [line for sentence in more for line in (escape(sentence), "")]
    return ["## All cells", "", said, "", grid_markdown(titles, grid), "", escape(ABOUT_ALL), "", *told]


def _without_an_epoch(cells: Sequence[Cell]) -> str:
    """Name lines whose budget ended before one epoch of a pass, with the number of such runs."""
    rows = pd.concat([cell.block.rows for cell in cells], ignore_index=True)
    cut = rows[(rows["stop_reason"] == "budget") & (rows["epochs_ended"] == 0)]
    runs = rows["label"].value_counts().to_dict()
    counts = sorted(cut["label"].value_counts().to_dict().items())
    named = [f"{label} ({count} of {runs[label]} runs)" for label, count in counts]
    return f"The budget ended before one epoch of a pass: {', '.join(named)}." if named else ""


def _of_seeds(n: int, most: int) -> str:
    """Mark a mean over fewer seeds than other lines have: the two must not be compared."""
    return f" ({n} of {most} seeds)" if 0 < n < most else ""


def _at_a_glance(cells: Sequence[Cell]) -> list[str]:
    """Make a row for each cell: what there was to forget, the closest method, and how far the second is from it."""
    titles = [
        "Cell",
        quality_of(cells[0].table.rows).difference,
        "|D_f|",
        "Closest",
        "Gap",
        "Second",
        "Second − closest",
        "Gap of Original",
    ]
    grid = []
    for cell in cells:
        difference, (best, second) = original_minus_retrain(cell.block), _first_and_second(cell)
        row = [cell.name, with_spread(difference), f"{cell.block.rows['num_forget'].mean():.0f}"]
        if best:
            row += [", ".join(line.label for line in best), with_spread(best[0].summaries[GAP.column])]
            row += [second.label, with_spread(gap_difference(cell.block, second, best[0]))] if second else []
        elif equal := equal_to_original(cell.block.lines, contenders(cell.block.lines)):
            row += [f"none: {len(equal)} with the gap of Original"]
        row += [NOTHING] * (len(titles) - 1 - len(row))
        original = [line.summaries[GAP.column] for line in cell.block.lines if line.method == "original"]
        row.append(with_spread(original[0]) if original else NOTHING)
        shown = [escape(text) for text in row]
        grid.append([shown[0], *(shown[1:] if cell.forgettable else [f"*{text}*" for text in shown[1:]])])
    return ["## Cells at a glance", "", grid_markdown([escape(t) for t in titles], grid), "", escape(ABOUT_GLANCE), ""]


def _cell(cell: Cell, figures: Collection[str]) -> list[str]:
    """Make one cell's table, after Original − Retrain on D_f; columns in which that is noise are italic."""
    block, table = cell.block, cell.table
    attacks = [f for f in ATTACK_COLUMNS if f.name in ATTACKS]
    audits = [f for group in audit_columns(list(figures)).values() for f in group if f.name in OF_SPEAKERS]
    group = [*(replace(f, title=ATTACKS[f.name]) for f in attacks), *_relearning(figures)]
    group += [replace(f, title=OF_SPEAKERS[f.name]) for f in audits]
    shown, evidence = column_cells([f for f in group if f.name in block.rows], block, cell.means)
    measures = 1 + len(table.columns)
    titles = header(table)
    titles[measures:measures] = [column.title for column in shown]
    grid = []
    for line, row in zip(block.lines, body(table, block), strict=True):
        texts = [set_cell(escape(text), place, row) for place, text in enumerate(row.cells)]
        texts[measures:measures] = evidence[line.variant]
        grid.append(texts)
    notes = block_notes(block)
    first = [note.text for note in notes if note.kind == "forgettable"]
    rest = [*(note.text for note in notes if note.kind != "forgettable"), _second(cell), baselines(table.rows)]
    return [
        f"## {escape(cell.name)}", "", *_mixed(table.rows), *(escape(sentence) for sentence in first), "",
        grid_markdown([escape(title) for title in titles], grid), "",
        *(f"- {escape(sentence)}" for sentence in rest if sentence), "",
    ]  # fmt: skip


def _relearning(figures: Collection[str]) -> list[Column]:
    """Return accuracy after relearning and memorization recovery for the largest k that was tried."""
    k = _most_relearned(figures)
    if k is None:
        return []
    known = [column for group in probe_columns(list(figures)).values() for column in group]
    titles = {f"relearned_{k}": f"relearned, k = {k} (%)", f"excess_{k}": "recovery − Retrain's"}
    return [replace(column, title=titles[column.name]) for column in known if column.name in titles]


def _most_relearned(figures: Collection[str]) -> int | None:
    """Return the largest number of forgotten utterances that relearning was shown; None if it was not tried."""
    return max((int(found[1]) for name in figures if (found := re.fullmatch(r"relearned_(\d+)", name))), default=None)


def _first_and_second(cell: Cell) -> tuple[list[Line], Line | None]:
    """Return the lines with the smallest gap, and the next one."""
    best = [line for line in cell.block.lines if line.best]
    rest = sorted((line for line in contenders(cell.block.lines) if not line.best), key=lambda line: line.gap)
    return best, rest[0] if rest else None


def _second(cell: Cell) -> str:
    """Compare the second line with the best, paired."""
    best, second = _first_and_second(cell)
    if not best or not second:
        return ""
    apart = gap_difference(cell.block, second, best[0])
    pairs = f"n = {apart.n} {unit_name(cell.block.over, apart.n)}"
    verdict = "not statistically distinguishable" if is_within_noise(apart) else "statistically distinguishable"
    verdict = "too few for a test" if apart.n < 3 else verdict
    return f"{second.label} − {best[0].label}: {with_spread(apart)} points, paired ({pairs}): {verdict}."
