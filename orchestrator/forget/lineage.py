"""Requests that were served before on the same model: they are found by their report, and checked again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.evidence.removal import EXIT_CODES, Decision, decide
from orchestrator.forget.comparing import Logits, Rows, comparisons
from orchestrator.forget.kept_outputs import read_outputs
from orchestrator.forget.pseudonyms import Pseudonyms
from orchestrator.forget.recordings import Recordings
from orchestrator.results.storage import Folder

REPORT, OUTPUTS = "report.json", "evidence/outputs.parquet"
LINEAGE = "lineage.json"  # in the folder of a model
FORMAT = 1  # of reports and lineages
NEEDED: dict[str, type | tuple[type, ...]] = {
    "verdict": str, "reasons": list, "key_fingerprint": str, "request.pseudonym": str, "request.kind": str,
    "request.forgotten": list, "request.never_trained_on": list, "model.child_sha256": str, "model.parent_sha256": str,
    "model.parent_folder": str, "model.parent_output": (str, type(None)), "model.clip_samples": int,
}  # fmt: skip
"""What a report must have to be worked with, by type."""
SERVED = ("pseudonym", "kind", "forgotten", "output")  # of each request in a lineage


@dataclass(frozen=True)
class Earlier:
    """A request before this one, with the rows that it removed."""

    pseudonym: str
    kind: str
    rows: Rows  # of this manifest, ascending
    row_of: Mapping[str, int]  # by pseudonym of a recording
    folder: Path


def model_folder(path: Path) -> Path:
    """Return the folder of the weights: `path` itself, or `model/` in the output of an earlier request."""
    return path / "model" if (path / REPORT).is_file() and (path / "model").is_dir() else path


def output_folder(model: Path) -> Path | None:
    """Return the output of an earlier request that a model belongs to; None if it is another model."""
    for folder in (model, model.parent):
        if (folder / REPORT).is_file() and (folder / "model").is_dir():
            return folder
    return None


def read_report(folder: Path) -> dict[str, Any]:
    """Read the report of an output.

    Raises:
        ValueError: there is none, it cannot be read, or it is no report of this format.
    """
    report = _read(folder / REPORT, f"{folder} is no output of `unlearn forget`: it has no {REPORT}")
    if report.get("format") != FORMAT:
        raise ValueError(
            f"{folder / REPORT} is no report of `unlearn forget` of format {FORMAT}: its format is "
            f"{report.get('format')!r}. Name another output, or restore the file from a copy"
        )
    for name, kind in NEEDED.items():
        value: Any = report
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            raise ValueError(f"{folder / REPORT} is damaged (no usable {name}): restore it from a copy")
    if report["verdict"] not in EXIT_CODES:
        raise ValueError(f"{folder / REPORT} is damaged (unknown verdict): restore it from a copy")
    return report


def earlier_requests(model: Path, recordings: Recordings, pseudonyms: Pseudonyms) -> list[Earlier]:
    """Find the requests that the model has served, oldest first, and their recordings in this manifest.

    A model knows them by the file `lineage.json` in its folder, wherever the folder is. Outputs of before that file was
    written are followed by their reports.

    Raises:
        ValueError: an earlier request was written with another key, so that its recordings cannot be found; or the
            output of an earlier request is gone and nothing else says what it removed.
    """
    rows = {pseudonyms.of("recording", str(name)): row for row, name in enumerate(recordings.ids)}
    folder, found = output_folder(model), list[Earlier]()
    for served in served_requests(model, pseudonyms):
        named = [rows[name] for name in served["forgotten"] if name in rows]
        known = Path(served["output"])
        if folder is not None and _is_output_of(folder, served["pseudonym"]):
            known = folder
        elif not _is_output_of(known, served["pseudonym"]):
            known = known / "no output"  # moved, or replaced by another: its outputs cannot be compared with
        found.append(Earlier(served["pseudonym"], served["kind"], np.array(sorted(named), dtype=np.int64), rows, known))
    return found


def served_requests(model: Path, pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    """Return what a model has forgotten, oldest first: request, kind, pseudonyms of the recordings, and its output.

    Raises:
        ValueError: as `earlier_requests`.
    """
    kept = model_folder(model) / LINEAGE
    if kept.is_file():
        lineage = _read(kept, "")
        served = lineage.get("requests")
        good = isinstance(served, list) and all(
            isinstance(one, dict) and set(SERVED) <= set(one) and isinstance(one["forgotten"], list) for one in served
        )
        if lineage.get("format") != FORMAT or not good:
            raise ValueError(f"{kept} is damaged: restore it from a copy. It says what the model has forgotten")
        _require_key(kept, lineage.get("key_fingerprint"), pseudonyms)
        return list(served or [])
    folder, found = output_folder(model), list[dict[str, Any]]()
    while folder is not None:
        report = read_report(folder)
        _require_key(folder, report["key_fingerprint"], pseudonyms)
        found.append({**{name: report["request"][name] for name in SERVED[:-1]}, "output": str(folder)})
        before = report["model"]["parent_output"]
        if before and not (Path(before) / REPORT).is_file():
            raise ValueError(
                f"{folder} continues from {before}, which is gone: without its report, the recordings that it removed "
                "would be trained on again. Restore that folder"
            )
        folder = Path(before) if before else None
    return found[::-1]


def write_lineage(folder: Path, served: Sequence[Mapping[str, Any]], pseudonyms: Pseudonyms) -> None:
    """Write into the folder of a model what it has forgotten, so that the folder alone still knows."""
    lineage = {"format": FORMAT, "key_fingerprint": pseudonyms.fingerprint, "requests": list(served)}
    Folder(folder.as_uri()).write_bytes(LINEAGE, (json.dumps(lineage, indent=1) + "\n").encode())


def _read(file: Path, missing: str) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(missing) from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({error}): restore it from a copy") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} is damaged (it holds no JSON object): restore it from a copy")
    return found


def _require_key(where: Path, fingerprint: object, pseudonyms: Pseudonyms) -> None:
    if fingerprint != pseudonyms.fingerprint:
        raise ValueError(
            f"The earlier request in {where} was served with another key. Use that key: without it, the recordings "
            "that it removed cannot be found"
        )


def _is_output_of(folder: Path, request: str) -> bool:
    try:
        return bool(read_report(folder)["request"]["pseudonym"] == request)
    except ValueError:
        return False


def still_forgotten(earlier: Earlier, child: Logits) -> dict[str, Any]:
    """Judge an earlier request on another child by the same rule, against the original of that time.

    The original's outputs are those that the earlier request kept; without them the answer is `cannot tell`.

    Args:
        earlier: the request.
        child: (N, C) logits of the new child on the whole manifest.
    """
    decision = _judged(earlier, child)
    return {
        "request": earlier.pseudonym,
        "kind": earlier.kind,
        "recordings": len(earlier.rows),
        "verdict": decision.verdict,
        "reasons": list(decision.reasons),
    }


def _judged(earlier: Earlier, child: Logits) -> Decision:
    path = earlier.folder / OUTPUTS
    if not path.is_file():
        return decide([], f"The outputs that the earlier request kept were moved or deleted ({OUTPUTS}).")
    kept = read_outputs(path)
    sides = [kept.forget_ids.tolist(), kept.unheard_ids.tolist()]
    if any(name not in earlier.row_of for side in sides for name in side):
        return decide([], "The recordings of the earlier request are not all in this manifest.")
    mine, theirs = (child[[earlier.row_of[name] for name in side]] for side in sides)
    logits = {name: both for name, both in kept.logits.items() if name in ("original", "retrained")}
    return decide(*comparisons(replace(kept, logits={**logits, "child": (mine, theirs)})))
