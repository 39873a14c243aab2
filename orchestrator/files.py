"""Files of a results folder, local or on any pyarrow file system: read, written whole or not at all, listed."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from orchestrator.outcomes import DamagedFile, FolderFull

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Folder:
    """A folder by URI; nothing is created before the first write."""

    location: str  # a file-system URI: file:///…, s3://…, gs://…
    _opened: list[Any] = field(default_factory=list, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location, "_opened": []}  # file systems are opened again in another process

    def _fs(self) -> tuple[pafs.FileSystem, str]:
        if not self._opened:
            self._opened.append(pafs.FileSystem.from_uri(self.location))
        fs, root = self._opened[0]
        return fs, root

    @property
    def local_path(self) -> Path | None:
        """The folder, where it is one of this machine."""
        fs, root = self._fs()
        return Path(root) if isinstance(fs, pafs.LocalFileSystem) else None

    def read_bytes(self, name: str) -> bytes | None:
        """A file's content, or None where there is none."""
        fs, root = self._fs()
        try:
            with fs.open_input_stream(f"{root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all: by rename on a local folder, by one upload on an object store.

        Raises:
            FolderFull: the disk or the quota is used up.
        """
        fs, root = self._fs()
        target = f"{root}/{name}"
        folder, _, base = target.rpartition("/")
        if not isinstance(fs, pafs.LocalFileSystem):
            with fs.open_output_stream(target) as stream:
                stream.write(content)
            return
        scratch = f"{folder}/.{base}.{uuid.uuid4().hex[:8]}"
        try:
            fs.create_dir(folder, recursive=True)
            with open(scratch, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            os.replace(scratch, target)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            said = (
                f"{os.strerror(error.errno)}: {name} needs {len(content)} bytes in {root}, allowed: what is free there"
            )
            raise FolderFull(error.errno, said) from None
        finally:
            if os.path.exists(scratch):
                os.unlink(scratch)

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        fs, root = self._fs()
        return bool(fs.get_file_info(f"{root}/{name}").type == pafs.FileType.File)

    def names(self, folder: str) -> list[str]:
        """File names in a folder, without those that begin with a dot; empty where there is no folder."""
        return sorted(self.modified(folder))

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        fs, root = self._fs()
        if self.exists(name):
            fs.delete_file(f"{root}/{name}")

    def set_aside(self, name: str, reason: object = None) -> None:
        """Move a file to `damaged/`, where it is in nobody's way; with a reason why it cannot be read, warn of it."""
        fs, root = self._fs()
        moved = f"damaged/{name}"
        with contextlib.suppress(OSError):  # a folder that only others may write, or another process was faster
            if isinstance(fs, pafs.LocalFileSystem):
                fs.create_dir(f"{root}/{moved}".rpartition("/")[0], recursive=True)
            fs.move(f"{root}/{name}", f"{root}/{moved}")
        if reason is None:
            return
        first = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
        warnings.warn(f"cannot read {name} ({first}); moved to {moved} of {root}", DamagedFile, stacklevel=2)

    def modified(self, folder: str) -> dict[str, int]:
        """File names in a folder, as `names`, with the time of their last change in ns since the epoch."""
        fs, root = self._fs()
        found = fs.get_file_info(pafs.FileSelector(f"{root}/{folder}".rstrip("/"), allow_not_found=True))
        files = [f for f in found if f.type == pafs.FileType.File and not f.base_name.startswith(".")]
        return {f.base_name: f.mtime_ns or 0 for f in files}
