"""Names as keyed hashes (HMAC-SHA256): reports and logs name recordings and people without naming them.

Only who has the operator's key can tell which name a hash stands for. Without the key, hashes of guessed names cannot
be compared either, as they could with a plain hash.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

KEY_BYTES = 32
SHOWN = 16  # hex digits


@dataclass(frozen=True)
class Pseudonyms:
    """Pseudonyms under one key; `key` is never printed."""

    key: bytes = field(repr=False)

    def of(self, kind: str, name: str) -> str:
        """Return the pseudonym of a name, such as `speaker-3f2a…`; of the same name always the same.

        Args:
            kind: what is named: recording, speaker or request.
            name: as the manifest has it.
        """
        digest = hmac.new(self.key, f"{kind}\0{name}".encode("utf-8", "surrogateescape"), "sha256").hexdigest()
        return f"{kind}-{digest[:SHOWN]}"

    @property
    def fingerprint(self) -> str:
        """Sixteen digits by which a report names the key that it was made with."""
        return hmac.new(self.key, b"fingerprint", "sha256").hexdigest()[:SHOWN]


def default_key() -> Path:
    """Return where the operator's key is unless another file is named: in the user's configuration folder."""
    return Path(platformdirs.user_config_path("speech-unlearning")) / "forget.key"


def open_key(path: Path, *, create: bool = True) -> Pseudonyms:
    """Read the operator's key, or create it, readable by its owner alone (mode 600).

    Raises:
        ValueError: the file holds no key, others may read it, or there is none and none is created.
    """
    if not create and not path.is_file():
        raise ValueError(f"There is no key {path}. Name the key of the request with --key")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return Pseudonyms(_read(path))
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
    return Pseudonyms(_read(path))


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"{path} is no file. Name a file for the key; it is created if it is missing")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ValueError(f"Others can read the key {path} (mode {mode:o}). Run `chmod 600` on it, or name another file")
    try:
        key = bytes.fromhex(path.read_text(encoding="utf-8").strip())
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) < KEY_BYTES:
        raise ValueError(f"{path} holds no key of {KEY_BYTES} bytes in hex digits. Name another file; it is created")
    return key
