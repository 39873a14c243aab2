"""Serve a list of requests one after another on one model: each starts from the child of the one before; resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backbones.checkpoints import weights_id
from backbones.opened import open_model
from orchestrator.evidence.removal import CANNOT_TELL, EVIDENCE, EXIT_CODES
from orchestrator.forget.earlier import earlier_requests, read_what_is_left, rows_removed
from orchestrator.forget.lineage import model_folder, read_report
from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.request import Request, asked_of, resolve, without_earlier
from orchestrator.forget.serving import Options, serve
from orchestrator.tasks.sources.tables import read_table, text

COLUMNS = ("name", "forget", "speaker", "class", "entity", "canary")


@dataclass(frozen=True)
class Queued:
    """One request of a list: the name of its output folder, and what it names."""

    name: str
    request: Request


def read_requests(file: Path) -> list[Queued]:
    """Read a table with the columns `name` and one or more of `forget` (a file of ids) and the others of `COLUMNS`.

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
        named = [text(cells.get(column)) or None for column in COLUMNS[2:]]
        try:
            request = Request(file.parent / ids if ids else None, *named)
        except ValueError as error:
            raise ValueError(f"{file.name} row {row}: {error}") from None
        found.append(Queued(name, request))
    if not found:
        raise ValueError(f"{file} lists no requests")
    return found


def serve_queue(options: Options, requests: list[Queued], say: Callable[[str], None] = lambda line: None) -> int:
    """Serve the requests that have no output yet, in their order; return 3, 4 or 0: the strongest exit code of all.

    Outputs are folders of `options.out`. Where one is there already and is that of this request on this model, the next
    request continues from its model.

    Args:
        options: as for one request; its own `request` is not used.
        requests: the list.
        say: receives lines of progress.

    Raises:
        ValueError: before anything is served, a mistake in a row, or an output that is not of the request of its name
            or not of the model before it; or what `serve` refuses.
    """
    _require_same(options, requests)
    _require_all_found(options, requests)
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
    return next(code for code in (EXIT_CODES[EVIDENCE], EXIT_CODES[CANNOT_TELL], 0) if code in codes)


def _require_all_found(options: Options, requests: list[Queued]) -> None:
    """Find what every request names, each after those before it, so that a mistake in the last stops the first.

    Recordings of a request that was served may have been deleted since, rows or files.

    Raises:
        ValueError: a row names nothing that is there, or nothing that rows before it leave.
    """
    left = [queued for queued in requests if not (options.out / queued.name).exists()]
    if not left:
        return
    done = [options.model, *(options.out / queued.name for queued in requests if queued not in left)]
    model, pseudonyms = done[-1], open_key(options.key)  # the last that was served: it knows what all before it removed
    opened = open_model(model_folder(model))
    recordings = read_what_is_left(options.data, opened.classes, options.root, model, pseudonyms)
    before = rows_removed(earlier_requests(model, recordings, pseudonyms))
    for queued in left:
        try:
            found = without_earlier(resolve(queued.request, recordings, opened.classes), recordings, before)
        except ValueError as error:
            raise ValueError(f"request {requests.index(queued) + 1} ({queued.name}): {error}") from None
        before = np.union1d(before, found.everything)


def _require_same(options: Options, requests: list[Queued]) -> None:
    """Compare outputs that are there with the list: the request of each, under which key, and from which model."""
    if not any((options.out / queued.name).exists() for queued in requests):
        return
    pseudonyms, model = open_key(options.key), options.model
    for row, queued in enumerate(requests, start=1):
        out = options.out / queued.name
        if out.exists():
            report = read_report(out)
            asked = pseudonyms.of("asked", asked_of(queued.request))
            if report["key_fingerprint"] != pseudonyms.fingerprint:
                raise ValueError(f"{out} was served with another key; name that key with --key")
            if report["request"].get("asked") != asked:
                raise ValueError(
                    f"{out} is not the output of the request in row {row} of the list ({queued.name}), which has "
                    "changed since. Give the changed request another name, or name another --out"
                )
            if report["model"]["parent_sha256"] != _weights(model):
                raise ValueError(
                    f"{out} was not made from {model}, as the list in its present order says (row {row}, "
                    f"{queued.name}). Restore the order and the model, or name another --out"
                )
        model = out


def _weights(model: Path) -> str:
    try:
        return weights_id(str(model_folder(model)), "main")
    except (OSError, ValueError):
        return "none"
