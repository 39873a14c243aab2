"""What a model has forgotten: its lineage and the reports of its outputs, checked when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.evidence.removal import EXIT_CODES
from orchestrator.forget.pseudonyms import Pseudonyms
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
SERVED = ("pseudonym", "kind", "forgotten", "never_trained_on", "audio", "audio_forgotten")
"""What a lineage keeps of each request; `child_sha256` says which output it has."""


class OtherFormat(ValueError):
    """A report that another version of this project wrote, in a format that this one does not read."""


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
        if not isinstance(value, kind) or isinstance(value, bool) or (kind is list and not _is_texts(value)):
            raise ValueError(f"{folder / REPORT} is damaged (no usable {name}): restore it from a copy")
    for what, good in (
        ("unknown verdict", report["verdict"] in EXIT_CODES),
        ("no usable request.audio", _is_texts(report["request"].get("audio", []))),
        ("no usable model.clip_samples", report["model"]["clip_samples"] > 0),
    ):
        if not good:
            raise ValueError(f"{folder / REPORT} is damaged ({what}): restore it from a copy")
    return report


def writer_of(report: Mapping[str, Any]) -> str:
    """Return which version of this project wrote a report, as text."""
    provenance = report.get("provenance")
    versions = provenance.get("versions") if isinstance(provenance, dict) else None
    version = versions.get("speech-unlearning") if isinstance(versions, dict) else None
    return f"speech-unlearning {version or 'of an unknown version'}"


def served_requests(model: Path, pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    """Return what a model has forgotten, oldest first: request, kind, pseudonyms of recordings, digest of the child.

    Raises:
        ValueError: they were served with another key, or the file that says so is damaged.
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
    """Return whether this is a request of a lineage; digests of audio are missing in those of early versions."""
    if not isinstance(one, dict) or not all(isinstance(one.get(name), str) for name in ("pseudonym", "kind")):
        return False
    if ("audio" in one) != ("audio_forgotten" in one):
        return False
    lists = ("never_trained_on", "audio", "audio_forgotten")
    return _is_texts(one.get("forgotten")) and all(_is_texts(one.get(name, [])) for name in lists)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def places_of(folder: Path) -> dict[str, Any]:
    """Return where the original and the outputs of earlier requests were when an output was written; {} if unknown."""
    try:
        found = _read(folder / PLACES, "none")
    except ValueError:
        return {}
    good = isinstance(found.get("original"), str) and _is_texts(found.get("outputs"))
    return found if good else {}


def write_places(folder: Path, original: Path, outputs: Sequence[Path]) -> None:
    """Write these paths into an output; the file is its owner's alone (mode 600)."""
    file = folder / PLACES
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps({"original": str(original), "outputs": [str(path) for path in outputs]}) + "\n")


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
