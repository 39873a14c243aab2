"""Requests that were served before on the same model: they are found by their report, and checked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.evidence.removal import EXIT_CODES, Decision, decide
from orchestrator.forget.comparing import Logits, Rows
from orchestrator.forget.judging import judge
from orchestrator.forget.kept_outputs import read_outputs
from orchestrator.forget.pseudonyms import Pseudonyms
from orchestrator.forget.recordings import Recordings
from orchestrator.results.storage import Folder

REPORT, OUTPUTS = "report.json", "evidence/outputs.parquet"
PLACES = "evidence/places.json"  # paths, which may name people: the operator's alone
LINEAGE = "lineage.json"  # in the folder of a model
FORMAT = 1  # of reports and lineages
NEEDED: dict[str, type] = {
    "verdict": str, "reasons": list, "key_fingerprint": str, "request.pseudonym": str, "request.kind": str,
    "request.forgotten": list, "request.never_trained_on": list, "model.child_sha256": str, "model.parent_sha256": str,
    "model.clip_samples": int,
}  # fmt: skip
"""What a report must have to be worked with, by type."""
SERVED = ("pseudonym", "kind", "forgotten")  # of each request in a lineage; `child_sha256` says which output it has


class OtherFormat(ValueError):
    """A report that another version of this project wrote, in a format that this one does not read."""


@dataclass(frozen=True)
class Earlier:
    """A request before this one, with the rows that it removed."""

    pseudonym: str
    kind: str
    rows: Rows  # of this manifest, ascending
    row_of: Mapping[str, int]  # by pseudonym of a recording
    folder: Path | None  # its output; None if it is not found


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
        OtherFormat: another version wrote it.
        ValueError: there is none, it cannot be read, or it is no report.
    """
    report = _read(folder / REPORT, f"{folder} is no output of `unlearn forget`: it has no {REPORT}")
    if isinstance(report.get("format"), int) and report["format"] != FORMAT:
        raise OtherFormat(
            f"{folder / REPORT} was written by {writer_of(report)} in format {report['format']}, and this version "
            f"reads format {FORMAT}. Use that version"
        )
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


def writer_of(report: Mapping[str, Any]) -> str:
    """Return which version of this project wrote a report, as text."""
    provenance = report.get("provenance")
    versions = provenance.get("versions") if isinstance(provenance, dict) else None
    version = versions.get("speech-unlearning") if isinstance(versions, dict) else None
    return f"speech-unlearning {version or 'of an unknown version'}"


def earlier_requests(
    model: Path, recordings: Recordings, pseudonyms: Pseudonyms, near: Sequence[Path] = ()
) -> list[Earlier]:
    """Find the requests that the model has served, oldest first, and their recordings in this manifest.

    A model knows them by the file `lineage.json` in its folder, wherever the folder is. That file has no paths, which
    may name people. Outputs are found by the digest of their model, where the model's own output says that they are
    (`evidence/places.json`), next to it, or in the folders `near`.

    Raises:
        ValueError: an earlier request was written with another key, so that its recordings cannot be found; or nothing
            says what it removed.
    """
    rows = {pseudonyms.of("recording", str(name)): row for row, name in enumerate(recordings.ids)}
    served = served_requests(model, pseudonyms)
    outputs = _outputs_by_child(model, near) if served else {}
    return [
        Earlier(
            one["pseudonym"],
            one["kind"],
            np.array(sorted(rows[name] for name in one["forgotten"] if name in rows), dtype=np.int64),
            rows,
            outputs.get((str(one.get("child_sha256")), str(one["pseudonym"]))),
        )
        for one in served
    ]


def served_requests(model: Path, pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    """Return what a model has forgotten, oldest first: request, kind, pseudonyms of recordings, digest of the child.

    Raises:
        ValueError: as `earlier_requests`.
    """
    kept, folder = model_folder(model) / LINEAGE, output_folder(model)
    if kept.is_file():
        lineage = _read(kept, "")
        served, fingerprint = lineage.get("requests"), lineage.get("key_fingerprint")
        good = lineage.get("format") == FORMAT
    elif folder is not None:  # the file was deleted: the report has the same
        kept = folder / REPORT
        report = read_report(folder)
        served, fingerprint, good = report.get("lineage"), report["key_fingerprint"], True
    else:
        return []
    if not (good and isinstance(served, list) and all(_is_served(one) for one in served)):
        raise ValueError(f"{kept} is damaged: restore it from a copy. It says what the model has forgotten")
    if fingerprint != pseudonyms.fingerprint:
        raise ValueError(
            f"The earlier request in {kept} was served with another key. Use that key: without it, the recordings "
            "that it removed cannot be found"
        )
    return list(served)


def _is_served(one: object) -> bool:
    return isinstance(one, dict) and set(SERVED) <= set(one) and isinstance(one["forgotten"], list)


def places_of(folder: Path) -> dict[str, Any]:
    """Return where the original and the outputs of earlier requests were when an output was written; {} if unknown."""
    try:
        found = _read(folder / PLACES, "none")
    except ValueError:
        return {}
    good = isinstance(found.get("original"), str) and isinstance(found.get("outputs"), list)
    return found if good else {}


def write_places(folder: Path, original: Path, outputs: Sequence[Path]) -> None:
    """Write these paths into an output; the file is its owner's alone (mode 600)."""
    file = folder / PLACES
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps({"original": str(original), "outputs": [str(path) for path in outputs]}) + "\n")


def _outputs_by_child(model: Path, near: Sequence[Path]) -> dict[tuple[str, str], Path]:
    """Return the outputs that can be found, by the digest of their model and the request."""
    own, found = output_folder(model), dict[tuple[str, str], Path]()
    candidates = [] if own is None else [own, *map(Path, places_of(own).get("outputs", []))]
    for folder in (*([] if own is None else [own.parent]), *near):
        candidates += sorted(file.parent for file in folder.glob(f"*/{REPORT}")) if folder.is_dir() else []
    for folder in candidates:
        try:
            report = read_report(folder)
        except ValueError:
            continue
        found.setdefault((report["model"]["child_sha256"], report["request"]["pseudonym"]), folder)
    return found


def write_lineage(folder: Path, served: Sequence[Mapping[str, Any]], pseudonyms: Pseudonyms, clip_samples: int) -> None:
    """Write into a model's folder what it has forgotten and how long clips were, so that the folder alone knows."""
    lineage = {
        "format": FORMAT, "key_fingerprint": pseudonyms.fingerprint, "clip_samples": clip_samples,
        "requests": list(served),
    }  # fmt: skip
    Folder(folder.as_uri()).write_bytes(LINEAGE, (json.dumps(lineage, indent=1) + "\n").encode())


def clip_samples_of(model: Path) -> int | None:
    """Return the samples of each clip on which an unlearned model was judged; None for any other model."""
    try:
        found = _read(model / LINEAGE, "none").get("clip_samples")
    except ValueError:
        return None
    return found if isinstance(found, int) and found > 0 else None


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


def still_forgotten(
    earlier: Earlier, child: Logits, attack: Callable[[Rows, Rows], tuple[tuple[Logits, Logits], Rows] | None]
) -> dict[str, Any]:
    """Judge an earlier request on another child by the same rule, against the original of that time.

    The original's outputs are those that the earlier request kept; without them the answer is `cannot tell`.

    Args:
        earlier: the request.
        child: (N, C) logits of the new child on the whole manifest.
        attack: shows the child a fifth of the first rows again, and returns its logits on both and the rows shown; None
            if its training diverged.
    """
    decision = _judged(earlier, child, attack)
    return {
        "request": earlier.pseudonym,
        "kind": earlier.kind,
        "recordings": len(earlier.rows),
        "verdict": decision.verdict,
        "reasons": list(decision.reasons),
    }


def _judged(
    earlier: Earlier, child: Logits, attack: Callable[[Rows, Rows], tuple[tuple[Logits, Logits], Rows] | None]
) -> Decision:
    if earlier.folder is None or not (earlier.folder / OUTPUTS).is_file():
        return decide([], f"The outputs that the earlier request kept were moved or deleted ({OUTPUTS}).")
    kept = read_outputs(earlier.folder / OUTPUTS)
    sides = [kept.forget_ids.tolist(), kept.unheard_ids.tolist()]
    if any(name not in earlier.row_of for side in sides for name in side):
        return decide([], "The recordings of the earlier request are not all in this manifest.")
    mine, theirs = (np.array([earlier.row_of[name] for name in side], dtype=np.int64) for side in sides)
    logits = {name: both for name, both in kept.logits.items() if name in ("original", "retrained")}
    logits["child"], shown = (child[mine], child[theirs]), np.zeros(len(mine), dtype=bool)
    if attacked := attack(mine, theirs):
        logits["relearned"], shown = attacked[0], np.isin(mine, attacked[1])
    return judge(replace(kept, logits=logits, relearned_on=shown))[2]
