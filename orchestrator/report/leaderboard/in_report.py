"""Sections of the leaderboard page that a report has as well: variants, budgets, known shares, and sequences."""

from __future__ import annotations

from orchestrator.report.build import Report
from orchestrator.report.evidence.folder import FolderEvidence, Readers
from orchestrator.report.evidence.recognition import with_recognition
from orchestrator.report.frames.recognition import TRANSCRIPTS
from orchestrator.report.leaderboard.budgets import budgets_pieces
from orchestrator.report.leaderboard.discovery import discovery_pieces
from orchestrator.report.leaderboard.page import leaderboard_cells
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.recognition import TITLE, recognition_pieces
from orchestrator.report.leaderboard.removed import removed_pieces
from orchestrator.report.leaderboard.variants import variants_pieces


def report_sections(report: Report, readers: Readers | None = None) -> dict[str, list[Piece]]:
    """Return sections by their titles; figures of attacks and distances are on the leaderboard page only.

    Args:
        report: of `build_report`.
        readers: of stored outputs and tests; without them there is nothing of canaries.
    """
    recognizers = _recognizers(report, readers) if readers else []
    return {**_of_rows(report), **({TITLE: recognizers} if recognizers else {})}


def _recognizers(report: Report, readers: Readers) -> list[Piece]:
    """Return the section on canaries and groups, which reads outputs and tests of recognizers only."""
    lines = report.lines[report.lines["task_kind"] == TRANSCRIPTS].reset_index(drop=True)
    found = with_recognition(lines, readers.outputs, readers.tests)
    figures = tuple(str(name) for name in found.columns if name not in lines.columns)
    if not figures:
        return []
    found = found.astype(dict.fromkeys(figures, "float64"))
    return recognition_pieces(
        leaderboard_cells(FolderEvidence(found, figures, readers.outputs, readers.tests, report.selected))
    )


def _of_rows(report: Report) -> dict[str, list[Piece]]:
    """Return the sections that rows alone suffice for."""
    lines = report.lines
    if not (
        lines["varied"].ne("").any() or lines["known_share"].notna().any() or lines["requests_before"].ne("").any()
    ):
        return {}
    cells = leaderboard_cells(FolderEvidence(lines, (), lambda _: None, lambda _: None, report.selected))
    found = {"Removed so far": removed_pieces(lines[lines["status"] == "done"])}
    if cells:
        found = {
            "Variants": variants_pieces(cells),
            "Budgets": budgets_pieces(cells),
            "Known wrong labels": discovery_pieces(cells),
            **found,
        }
    return {title: pieces for title, pieces in found.items() if pieces}
