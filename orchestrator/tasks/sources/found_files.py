"""Audio files below a folder: each found once, named so that people can read it, and digested."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.digests import digests_of

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
UNREADABLE = (
    ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".alac", ".amr", ".ape", ".au", ".caf", ".dss", ".m4a", ".m4b", ".mka",
    ".mp2", ".mp4", ".oga", ".opus", ".ra", ".snd", ".sph", ".spx", ".w64", ".webm", ".wma", ".wv",
)  # fmt: skip
SHOWN = 3  # names of unreadable files in a message


@dataclass(frozen=True)
class Found:
    """Audio below a folder, by relative POSIX path as on disk, in the order of the names as they are shown."""

    names: tuple[str, ...]
    unreadable: tuple[str, ...] = ()  # audio of kinds that cannot be read
    links: tuple[str, ...] = ()  # to folders that were read under another name; links to a folder above are left out

    def defects(self) -> list[str]:
        """Files that cannot be read: one sentence for each suffix, with their number and the first names."""
        counts = Counter(os.path.splitext(name)[1].lower() for name in self.unreadable)
        sentences = []
        for suffix, number in sorted(counts.items()):
            names = [shown(name) for name in self.unreadable if name.lower().endswith(suffix)]
            more = ", …" if number > SHOWN else ""
            files = "files" if number > 1 else "file"
            sentences.append(f"{number} {suffix} {files} cannot be read: {', '.join(names[:SHOWN])}{more}")
        return sentences


def find_audio(root: Path, suffixes: tuple[str, ...] = SUFFIXES) -> Found:
    """Audio files below `root`, no hidden ones. Links to folders are followed, and each real folder is read once.

    A folder that several links lead to is found by its own name where it has one below `root`, else by the first.
    A file of an unreadable kind counts only where no readable one of the same name is next to it.
    """
    names: list[str] = []
    others: list[str] = []
    twice: list[str] = []
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:
        inside, is_link = (folders.pop(), False) if folders else (links.pop(0), True)
        path = os.path.join(root, inside)
        try:
            state = os.stat(path)
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:
            if not inside:
                raise
            continue  # a link to nowhere, or a folder that may not be read
        if (state.st_dev, state.st_ino) in seen:
            if is_link and not _is_above(path):
                twice.append(inside)
            continue
        seen.add((state.st_dev, state.st_ino))
        for entry in (entry for entry in entries if not entry.name.startswith(".")):
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                links.append(name)
            elif entry.name.lower().endswith(suffixes):
                names.append(name)
            elif entry.name.lower().endswith(UNREADABLE):
                others.append(name)
    stems = {os.path.splitext(name)[0] for name in names}
    unreadable = [name for name in others if os.path.splitext(name)[0] not in stems]
    return Found(*(tuple(sorted(found, key=shown)) for found in (names, unreadable, twice)))


def _is_above(link: str) -> bool:
    """Whether a link leads to a folder that it is in."""
    target, inside = os.path.realpath(link), os.path.realpath(os.path.dirname(link))
    return os.path.commonpath([target, inside]) == target


def shown(name: str) -> str:
    r"""A name from disk as text: in Unicode's composed form (NFC), bytes that are not UTF-8 as `\xe9`."""
    text = os.fsencode(name).decode("utf-8", errors="backslashreplace")
    return unicodedata.normalize("NFC", text)


def digest_of_files(files: Mapping[str, Path]) -> dict[str, Any]:
    """Audio in a task's `content`: number, bytes, and a hash of names, sizes and bytes of the files.

    Args:
        files: where each file is, by the name that it has in the corpus. A missing file has size 0 and no digest.
    """
    names = sorted(files, key=shown)
    digests = digests_of(files[name] for name in names)
    hashed = hashlib.sha256()
    for name, digest in zip(names, digests, strict=True):
        hashed.update(f"{shown(name)}\t{digest.size}\t{digest.sha256}\n".encode())
    return {"files": len(names), "bytes": sum(digest.size for digest in digests), "sha256": hashed.hexdigest()}


def total_bytes(files: Iterable[Path]) -> int:
    """Size of the files together; those that are not there count nothing."""
    total = 0
    for file in files:
        try:
            total += os.stat(file).st_size
        except OSError:
            continue
    return total
