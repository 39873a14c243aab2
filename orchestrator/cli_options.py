"""Options and the console that several commands share."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

console = Console(width=None if sys.stdout.isatty() else 120)  # a log file is not a narrow terminal

Results = Annotated[str, typer.Option("--results", help="Results folder, or a URI (s3://…, gs://…).")]
