"""Serve a list of requests one after another on one model: each starts from the child of the one before; resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.evidence.removal import EXIT_CODES
from orchestrator.forget.lineage import read_report
from orchestrator.forget.request import Request
from orchestrator.forget.serving import Options, serve
from orchestrator.tasks.sources.tables import read_table, text

COLUMNS = ("name", "forget", "speaker", "class")


@dataclass(frozen=True)
class Queued:
    """One request of a list: the name of its output folder, and what it names."""

    name: str
    request: Request


def read_requests(file: Path) -> list[Queued]:
    """Read a table with the columns `name` and one or more of `forget` (a file of ids), `speaker` and `class`.

    Files of ids are relative to the list. A name becomes a folder, so it consists of letters, digits, dots and dashes.

    Raises:
        ValueError: a name is missing, given twice or cannot be a folder, or a row does not name one thing to forget.
    """
    if not file.is_file():
        raise ValueError(f"There is no file {file} with requests")
    table = read_table(file)
    table.require("name")
    found: list[Queued] = []
    for row, cells in enumerate(table.rows, start=1):
        name, ids = text(cells["name"]), text(cells.get("forget"))
        if not name or name in (".", "..") or not name.replace("-", "").replace(".", "").replace("_", "").isalnum():
            raise ValueError(
                f"{file.name} row {row}: {name!r} cannot be a folder; use letters, digits, '-', '_' and '.'"
            )
        if name in [queued.name for queued in found]:
            raise ValueError(f"{file.name} row {row}: {name!r} is given twice; each request needs its own name")
        named = [text(cells.get(column)) or None for column in ("speaker", "class")]
        try:
            request = Request(file.parent / ids if ids else None, *named)
        except ValueError as error:
            raise ValueError(f"{file.name} row {row}: {error}") from None
        found.append(Queued(name, request))
    if not found:
        raise ValueError(f"{file} lists no requests")
    return found


def serve_queue(options: Options, requests: list[Queued], say: Callable[[str], None] = lambda line: None) -> int:
    """Serve the requests that have no output yet, in their order; return the largest exit code of all.

    Outputs are folders of `options.out`. Where one is there already, the next request continues from its model.

    Args:
        options: as for one request; its own `request` is not used.
        requests: the list.
        say: receives lines of progress.
    """
    model, codes = options.model, [0]
    for number, queued in enumerate(requests, start=1):
        out = options.out / queued.name
        if out.exists():
            report = read_report(out)
            say(f"request {number} of {len(requests)}: served before, {report['verdict']}")
            codes.append(EXIT_CODES[report["verdict"]])
        else:
            say(f"request {number} of {len(requests)}")
            codes.append(serve(replace(options, model=model, request=queued.request, out=out), say).decision.exit_code)
        model = out
    return max(codes)
