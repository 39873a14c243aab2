"""From a folder of recordings to a manifest and a first sweep."""

from __future__ import annotations

from pathlib import Path

from orchestrator.first_sweep.files import Written, require_absent, write_files
from orchestrator.first_sweep.layout import find_layout
from orchestrator.first_sweep.survey import Survey, Watch, survey


def start_sweep(
    recordings: Path,
    into: Path,
    *,
    manifest: Path | None = None,
    pattern: str | None = None,
    label_from: str | None = None,
    speaker_from: str | None = None,
    target: str = "keywords",
    force: bool = False,
    watch: Watch = lambda read, total: read,
) -> tuple[Survey, Written]:
    """Read all recordings of a folder, and write `manifest.csv`, `sweep.yaml` and `sweep.schema.json` into another.

    Args:
        recordings: the folder; nothing is written to it, unless `into` is the same one.
        into: folder to write to; made where it is missing.
        manifest, pattern, label_from, speaker_from: what tells the classes; see `find_layout`.
        target: what a class is, keywords or speakers.
        force: overwrite files that are there already.
        watch: shows progress through the recordings.

    Raises:
        FileNotFoundError: there is no such folder, or no audio in it.
        ValueError: files are there already, no layout fits, or there are too few classes or recordings.
    """
    if not recordings.is_dir():
        raise FileNotFoundError(f"{recordings} is not a folder: name the folder that holds the recordings")
    if target not in ("keywords", "speakers"):
        raise ValueError(f"unknown --target {target!r}: choose keywords or speakers")
    require_absent(into, force=force)
    layout = find_layout(recordings, manifest, pattern, label_from, speaker_from)
    if target == "speakers" and not any(row.get("speaker") for row in layout.rows):
        raise ValueError("speakers are not known: name their column or group with --speaker-from")
    found = survey(recordings, layout, target, watch)
    return found, write_files(recordings, found, into, force=force)
