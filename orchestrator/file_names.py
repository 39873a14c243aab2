"""Resolve paths that users give, and turn names that they choose (tasks, backbones, sweeps) into file names."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

LONGEST = 40  # bytes of a part; a file name has at most five parts, and some file systems allow only 143 bytes


def absolute_path(path: str | Path) -> Path:
    """Make a user's path absolute and expand `~`; do not follow links."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def local_path(path: str | Path) -> Path:
    """Make a user's path absolute as `absolute_path` does.

    Raises:
        ValueError: it is the URI of an object store, which would be taken for a folder named `s3:`.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise ValueError(f"{re.sub(':/+', '://', str(path), count=1)} is no local path. Name a local file or folder")
    return absolute_path(path)


def file_name(*parts: str) -> str:
    """Join parts to the stem of a file name; different parts give different names, also if case is ignored.

    A part is unchanged if it is short and consists of a-z, 0-9, dots, underscores and single dashes, with neither dots
    nor dashes at its ends. Any other part loses the characters that do not fit, and gets the first digits of its hash.
    So no part is empty or begins with a dot, and `--` occurs only between parts.
    """
    return "--".join(_part(part) for part in parts)


def _part(text: str) -> str:
    plain = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.")
    if plain == text and len(plain) <= LONGEST and plain:
        return text
    digest = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{plain[: LONGEST - 11].rstrip('-.')}-{digest}".strip("-")
