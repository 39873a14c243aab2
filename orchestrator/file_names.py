"""Paths that users give, and file names from names that they choose, such as tasks, backbones and sweeps."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

LONGEST = 40  # bytes of a part; a file name has at most five, and file systems take 255 bytes, some of them 143


def absolute_path(path: str | Path) -> Path:
    """A path as a user gave it, absolute and without `~`; links are not followed."""
    return Path(os.path.abspath(os.path.expanduser(path)))


def file_name(*parts: str) -> str:
    """Join parts to the stem of a file name; different parts give different names, also where case does not count.

    A part is kept where it is short and has only a-z, 0-9, dots, underscores and single dashes inside. Any other part
    loses what does not fit, and gets the first digits of its hash. So no part is empty or hidden, and `--` only joins.
    """
    return "--".join(_part(part) for part in parts)


def _part(text: str) -> str:
    plain = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.")
    if plain == text and len(plain) <= LONGEST and plain:
        return text
    digest = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{plain[: LONGEST - 11].rstrip('-.')}-{digest}".strip("-")
