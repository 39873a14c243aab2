"""How a folder says what its recordings are: by a table, by class folders, or by the names of the files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.tasks.sources.found_files import SUFFIXES, find_audio, shown
from orchestrator.tasks.sources.manifest import Listed, Listing, from_manifest, from_names
from orchestrator.tasks.sources.tables import Cell, read_table, text

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}
_SPLITS = "|".join(SPLIT_FOLDERS)
_CLASS = rf"(?:(?P<split>{_SPLITS})/)?(?!(?:{_SPLITS})/[^/]+/)(?P<label>[^/]+)/"  # a folder of classes is no class
LAYOUTS = {  # the first that fits every name is taken
    "class folders with speaker folders in them": _CLASS + r"(?P<speaker>[^/]+)/[^/]+",
    "class folders, with files named SPEAKER_…": _CLASS + r"(?P<speaker>[^_/]+)_[^/]+",
    "class folders": _CLASS + r".+",
    "files named CLASS_SPEAKER_…": r"(?P<label>[^_/]+)_(?P<speaker>[^_/]+)_[^/]+",
    "files named CLASS_…": r"(?P<label>[^_/]+)_[^/]+",
}
LABELS = ("label", "class", "keyword", "word", "command")  # columns that may hold the class, the likeliest first
SPEAKERS = ("speaker", "speaker_id", "spk", "client_id")
TABLES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Layout:
    """The recordings of a folder, and what told which they are."""

    rows: list[dict[str, Cell]]  # of a manifest: path, label, speaker and split where known, any attributes
    basis: str  # in words


def find_layout(
    root: Path,
    manifest: Path | None = None,
    pattern: str | None = None,
    label_from: str | None = None,
    speaker_from: str | None = None,
) -> Layout:
    """List the recordings below `root` with their classes, and with speakers and splits where these are known.

    Args:
        root: the folder of recordings.
        manifest: a table with a column `path`; when None, the one that is in `root`, if there is any.
        pattern: a regular expression over the file names, as `audio_folder` takes it.
        label_from: the column or group that holds the class; the likeliest name when None.
        speaker_from: the column or group that holds the speaker; the likeliest name when None.

    Raises:
        FileNotFoundError: the folder holds no audio that can be read.
        ValueError: there are several manifests, no layout fits, or a column is missing.
    """
    if manifest and pattern:
        raise ValueError("--manifest and --pattern are two ways to list recordings: give one of them")
    table = manifest or (None if pattern else _own_manifest(root))
    if table:
        return _named(from_manifest(table, root), f"manifest {table.name}", label_from, speaker_from)
    found = find_audio(root)
    if not found.names:
        defects = "; ".join(found.defects())
        kinds = ", ".join(SUFFIXES)
        raise FileNotFoundError(
            f"no recordings in {root}: expected files with {kinds}" + (f"; {defects}" if defects else "")
        )
    if unreadable := [shown(name) for name in found.names if not _is_text(name)]:
        raise ValueError(f"names that are not UTF-8 cannot be in a manifest: rename {unreadable[0]}")
    if pattern:
        listing = from_names(found.names, pattern)
        _refuse_misfits(listing, "the pattern")
        return _named(listing, "the pattern", label_from, speaker_from)
    for basis, known in LAYOUTS.items():
        listing = from_names(found.names, known)
        if not any(item.defect for item in listing.recordings) and _is_plausible(listing):
            return _named(listing, basis, None, None)
    listing = from_names(found.names, LAYOUTS["class folders"])
    _refuse_misfits(listing, "class folders")
    return _named(listing, "class folders", None, None)


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _own_manifest(root: Path) -> Path | None:
    """The table in the folder that lists recordings, if there is one."""
    tables = [path for path in sorted(root.iterdir()) if path.suffix.lower() in TABLES and path.is_file()]
    found = [path for path in tables if "path" in read_table(path).columns]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{root} has several manifests ({names}): choose one with --manifest")
    return found[0] if found else None


def _refuse_misfits(listing: Listing, basis: str) -> None:
    misfits = [item.path for item in listing.recordings if item.defect]
    if misfits:
        raise ValueError(
            f"{len(misfits)} of {len(listing.recordings)} recordings do not fit {basis}, such as {misfits[0]!r}: "
            "put each into a folder of its class, list them with --manifest, or describe their names with --pattern "
            r"(such as '(?P<label>\w+)_(?P<speaker>\w+)_(?P<take>\d+)')"
        )


def _is_plausible(listing: Listing) -> bool:
    """Whether classes have several recordings each, and speakers several classes, as real ones do."""
    classes: dict[str, int] = defaultdict(int)
    classes_of: dict[str, set[str]] = defaultdict(set)
    for item in listing.recordings:
        label = text(item.columns.get("label"))
        classes[label] += 1
        classes_of[text(item.columns.get("speaker"))].add(label)
    if len(classes) < 2 or len(listing.recordings) < 2 * len(classes):
        return False
    if "speaker" not in listing.columns:
        return True
    return len(classes_of) > 1 and all(len(spoken) > 1 for spoken in classes_of.values())


def _named(listing: Listing, basis: str, label_from: str | None, speaker_from: str | None) -> Layout:
    """The listing with its columns named as a manifest names them."""
    label = label_from or next((name for name in LABELS if name in listing.columns), "label")
    speaker = speaker_from or next((name for name in SPEAKERS if name in listing.columns), "")
    listing.require(label, "--label-from")
    if speaker:
        listing.require(speaker, "--speaker-from")
    rows = [_row(item, label, speaker) for item in listing.recordings]
    if not any(row["speaker"] for row in rows):
        rows = [{name: value for name, value in row.items() if name != "speaker"} for row in rows]
    return Layout(rows, basis)


def _row(item: Listed, label: str, speaker: str) -> dict[str, Cell]:
    split = text(item.columns.get("split"))
    own: Mapping[str, Cell] = {"path": item.path, "label": item.columns.get(label), "speaker": None}
    if speaker:
        own = {**own, "speaker": item.columns.get(speaker)}
    if split:
        own = {**own, "split": SPLIT_FOLDERS.get(split.lower(), split)}
    taken = {label, speaker, "label", "speaker", "split"}
    return {**own, **{name: value for name, value in item.columns.items() if name not in taken}}
