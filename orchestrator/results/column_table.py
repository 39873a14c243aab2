"""The tables of all columns in docs/results.md (`make docs-tables`)."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.results.schema import COLUMNS, FLAG, INTEGER, NUMBER, TEXT, TOPICS

TYPE_NAMES = {TEXT: "text", INTEGER: "integer", NUMBER: "number", FLAG: "flag"}


def column_table() -> str:
    """Return the tables of all columns in Markdown, one table for each topic."""
    return "\n".join(line for topic in TOPICS for line in _topic_lines(topic))


def _topic_lines(topic: str) -> Iterator[str]:
    yield from (f"### {topic}", "", "| column | type | meaning |", "|---|---|---|")
    for column in COLUMNS:
        if column.topic == topic:
            kind = ", ".join(filter(None, (TYPE_NAMES[column.type], column.unit)))
            yield f"| `{column.name}` | {kind} | {column.meaning} |"
    yield ""
