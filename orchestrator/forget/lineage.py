"""Requests that were served before on the same model: they are found by their report, and checked again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.evidence.removal import Decision, decide
from orchestrator.forget.comparing import Logits, Rows, comparisons
from orchestrator.forget.kept_outputs import read_outputs
from orchestrator.forget.pseudonyms import Pseudonyms
from orchestrator.forget.recordings import Recordings

REPORT, OUTPUTS = "report.json", "evidence/outputs.parquet"


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
        ValueError: there is none, or it cannot be read.
    """
    try:
        report: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} is no output of `unlearn forget`: it has no {REPORT}") from None
    except ValueError as error:
        raise ValueError(f"{folder / REPORT} is damaged ({error}): restore it from a copy") from None
    return report


def earlier_requests(model: Path, recordings: Recordings, pseudonyms: Pseudonyms) -> list[Earlier]:
    """Find the requests that the model has served, oldest first, and their recordings in this manifest.

    Raises:
        ValueError: an earlier request was written with another key, so that its recordings cannot be found.
    """
    folder, found = output_folder(model), list[Earlier]()
    rows = {pseudonyms.of("recording", str(name)): row for row, name in enumerate(recordings.ids)}
    while folder is not None:
        report = read_report(folder)
        if report["key_fingerprint"] != pseudonyms.fingerprint:
            raise ValueError(
                f"The earlier request in {folder} was served with another key. Use that key: without it, the "
                "recordings that it removed cannot be found"
            )
        named = [rows[name] for name in report["request"]["forgotten"] if name in rows]
        request = report["request"]
        found.append(
            Earlier(request["pseudonym"], request["kind"], np.array(sorted(named), dtype=np.int64), rows, folder)
        )
        before = report["model"]["parent_output"]
        folder = Path(before) if before and Path(before).is_dir() else None
    return found[::-1]


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
        return decide([], f"The outputs that the earlier request kept were deleted ({OUTPUTS}).")
    kept = read_outputs(path)
    sides = [kept.forget_ids.tolist(), kept.unheard_ids.tolist()]
    if any(name not in earlier.row_of for side in sides for name in side):
        return decide([], "The recordings of the earlier request are not all in this manifest.")
    mine, theirs = (child[[earlier.row_of[name] for name in side]] for side in sides)
    logits = {name: both for name, both in kept.logits.items() if name in ("original", "retrained")}
    return decide(*comparisons(replace(kept, logits={**logits, "child": (mine, theirs)})))
