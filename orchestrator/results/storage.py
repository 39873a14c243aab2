"""Read, atomically write and list the files of a folder, local or on any pyarrow file system."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from orchestrator.errors import DamagedFile, FolderFull, StorageError, first_line
from orchestrator.results.file_systems import open_file_system, refuse_credentials

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_ROOM_TEXTS = (
    *(os.strerror(code) for code in NO_ROOM),  # errors of safetensors have no number
    "QuotaExceeded", "quota exceeded", "XMinioStorageFull", "InsufficientStorage", "Insufficient Storage",
)  # fmt: skip
"""What errors contain when a disk, a quota or an object store is full."""

DAMAGED = "damaged"  # folder of files that could not be read
PIECE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Folder:
    """Access the folder of a URI; nothing is created before the first write."""

    location: str  # a file-system URI: file:///…, s3://…, gs://…
    _opened: list[Any] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        refuse_credentials(self.location)

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location, "_opened": []}  # file systems are opened again in another process

    def _fs(self) -> tuple[pafs.FileSystem, str]:
        if not self._opened:
            with self._naming_errors("opening"):
                self._opened.append(open_file_system(self.location))
        fs, root = self._opened[0]
        return fs, root

    @contextmanager
    def _naming_errors(self, doing: str) -> Iterator[None]:
        """Name the action and the store in errors of the network; errors of a local disk are raised unchanged."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.location.startswith("file:"):
                raise
            raise StorageError(f"{doing} failed in {self.shown}: {error}") from error

    @property
    def driver(self) -> str:
        """Token of the driver that this process works for; "" if there is none (`run/scheduling/driver_lease.py`)."""
        return ""

    def changing(self) -> AbstractContextManager[None]:
        """Return a context for each change of the folder; it refuses if another driver has taken the folder over."""
        return contextlib.nullcontext()

    @property
    def local_path(self) -> Path | None:
        """Path of the folder; None on an object store."""
        fs, root = self._fs()
        return Path(root) if isinstance(fs, pafs.LocalFileSystem) else None

    @property
    def shown(self) -> str:
        """What messages call the folder: its path, or its URI without settings."""
        return str(self.local_path or self.location.partition("?")[0])

    def read_bytes(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is no such file."""
        fs, root = self._fs()
        try:
            # Not `open_input_stream`, which sends an object store one request for every 256 KiB.
            with self._naming_errors(f"reading {name}"), fs.open_input_file(f"{root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file atomically: by rename in a local folder, by one upload to an object store.

        Raises:
            FolderFull: the disk or the quota is full.
        """
        if self.local_path is None:
            with self._uploading(name) as out:
                out.write(content)
            return
        with self.new_file(name) as path:
            path.write_bytes(content)

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file into the folder, piece by piece."""
        if self.local_path is None:
            with source.open("rb") as file, self._uploading(name) as out:
                shutil.copyfileobj(file, out, PIECE_BYTES)
            return
        with self.new_file(name) as path:
            shutil.copyfile(source, path)

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """Yield a local path for a large file, and move what the block wrote there into the folder, atomically.

        Raises:
            FolderFull: the disk or the quota is full.
        """
        if (folder := self.local_path) is None:
            with tempfile.TemporaryDirectory(prefix="unlearn-") as scratch_folder:
                yield (path := Path(scratch_folder) / "file")
                self.upload(path, name)
            return
        target = folder / name
        scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield scratch
            with scratch.open("rb") as written:
                os.fsync(written.fileno())
            with self.changing():
                os.replace(scratch, target)
        except Exception as error:
            if isinstance(error, FolderFull) or not says_no_room(error):
                raise
            raise self._no_room(name, error) from None
        finally:
            scratch.unlink(missing_ok=True)

    @contextmanager
    def local_file(self, name: str) -> Iterator[Path | None]:
        """Yield the local path of a file, or of a copy that exists until the block ends; None if there is no such file.

        What the block maps into memory stays readable afterwards.
        """
        if (folder := self.local_path) is not None:
            path = folder / name
            yield path if path.is_file() else None
            return
        with tempfile.TemporaryDirectory(prefix="unlearn-") as scratch_folder:
            path = Path(scratch_folder) / "file"
            yield path if self.download(name, path) else None

    def download(self, name: str, target: Path) -> bool:
        """Copy a file of the folder to a local path, piece by piece; return False if there is no such file."""
        fs, root = self._fs()
        try:
            with (
                self._naming_errors(f"reading {name}"),
                fs.open_input_file(f"{root}/{name}") as stream,
                target.open("wb") as out,
            ):
                shutil.copyfileobj(stream, out, PIECE_BYTES)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _uploading(self, name: str) -> Iterator[Any]:
        fs, root = self._fs()
        try:
            with (
                self.changing(),
                self._naming_errors(f"writing {name}"),
                fs.open_output_stream(f"{root}/{name}") as stream,
            ):
                yield stream
        except StorageError as error:
            if not says_no_room(error):
                raise
            raise self._no_room(name, error) from None

    def _no_room(self, name: str, error: Exception) -> FolderFull:
        code = error.errno if isinstance(error, OSError) and error.errno in NO_ROOM else errno.ENOSPC
        return FolderFull(code, f"{os.strerror(code)}: {name} does not fit into {self.shown}. Free some space there")

    def exists(self, name: str) -> bool:
        """Return whether a file exists."""
        fs, root = self._fs()
        with self._naming_errors(f"querying {name}"):
            return bool(fs.get_file_info(f"{root}/{name}").type == pafs.FileType.File)

    def names(self, folder: str) -> list[str]:
        """Return the sorted names of the files in a folder, without hidden ones; [] if there is no such folder."""
        return sorted(self.modified(folder))

    def delete(self, name: str) -> None:
        """Remove a file, if it exists."""
        fs, root = self._fs()
        if self.exists(name):
            with self.changing(), self._naming_errors(f"deleting {name}"):
                fs.delete_file(f"{root}/{name}")

    def set_aside(self, name: str, reason: object = None) -> None:
        """Move a file to `damaged/`, where nothing reads it; with a reason why it cannot be read, warn about it."""
        fs, root = self._fs()
        moved = f"{DAMAGED}/{name}"
        where = f"moved to {moved} of {root}"
        try:
            if isinstance(fs, pafs.LocalFileSystem):
                fs.create_dir(f"{root}/{moved}".rpartition("/")[0], recursive=True)
            with self.changing():
                fs.move(f"{root}/{name}", f"{root}/{moved}")
        except FileNotFoundError:  # another process has moved it
            pass
        except OSError:  # a folder that this user may not write to
            where = f"left in {root}, which cannot be written"
        if reason is None:
            return
        warning = f"cannot read {name} ({first_line(reason)}); {where}; `unlearn run` recreates it"
        warnings.warn(warning, DamagedFile, stacklevel=2)

    def modified_ns(self, name: str) -> int | None:
        """Return the time of a file's last change in ns since the epoch, by the folder's own clock; None if unknown."""
        fs, root = self._fs()
        with self._naming_errors(f"querying {name}"):
            found = fs.get_file_info(f"{root}/{name}")
        return found.mtime_ns if found.type == pafs.FileType.File else None

    def modified(self, folder: str) -> dict[str, int]:
        """Return the names of the files in a folder, as `names` does, with their last change in ns since the epoch."""
        fs, root = self._fs()
        with self._naming_errors(f"listing {folder or 'the folder'}"):
            found = fs.get_file_info(pafs.FileSelector(f"{root}/{folder}".rstrip("/"), allow_not_found=True))
        files = [f for f in found if f.type == pafs.FileType.File and not f.base_name.startswith(".")]
        return {f.base_name: f.mtime_ns or 0 for f in files}


def says_no_room(error: BaseException | str) -> bool:
    """Return whether an error, or its text, means that a disk or a quota is full."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return True
    return any(words in str(error) for words in NO_ROOM_TEXTS)
