"""Options, the console and what is done to paths, which several commands share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from orchestrator.file_names import absolute_path

console = Console(width=None if sys.stdout.isatty() else 120)  # a log file is not a narrow terminal

Results = Annotated[str, typer.Option("--results", help="Results folder, or a URI (s3://…, gs://…).")]


def absolute_location(location: str | None) -> str | None:
    """Return a path as an absolute one; a URI, or None, unchanged."""
    return location if location is None or "://" in location else str(absolute_path(location))
