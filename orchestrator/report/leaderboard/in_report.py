"""Sections of the leaderboard page that a report has as well: variants, budgets, known shares, and sequences."""

from __future__ import annotations

from orchestrator.report.build import Report
from orchestrator.report.evidence.folder import FolderEvidence
from orchestrator.report.leaderboard.budgets import budgets_pieces
from orchestrator.report.leaderboard.discovery import discovery_pieces
from orchestrator.report.leaderboard.page import leaderboard_cells
from orchestrator.report.leaderboard.pieces import Piece
from orchestrator.report.leaderboard.removed import removed_pieces
from orchestrator.report.leaderboard.variants import variants_pieces


def report_sections(report: Report) -> dict[str, list[Piece]]:
    """Return sections by their titles; figures of attacks and distances are on the leaderboard page only."""
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
