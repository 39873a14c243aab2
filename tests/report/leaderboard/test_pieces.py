"""Charts of the page are files next to it."""

from __future__ import annotations

from orchestrator.report.charts.differences import differences_chart
from orchestrator.report.frames.summary import summarize
from orchestrator.report.leaderboard.pieces import flattened


def test_a_chart_becomes_an_image_whose_address_begins_with_the_name_of_the_page() -> None:
    drawn = differences_chart("n", "What it shows", "How to read it.", "points", [("a", summarize([1.0]), False)])
    text, charts = flattened(["# Page", "", drawn, "End."], "board")
    assert text == "# Page\n\n![What it shows](board-plots/n.svg)\n\nHow to read it.\n\nEnd."
    assert charts == {"board-plots/n.svg": drawn}
