"""Files of a results folder, local or on any pyarrow file system: read, written whole or not at all, listed."""

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
from urllib.parse import parse_qsl, urlsplit

import pyarrow.fs as pafs

from orchestrator.errors import DamagedFile, FolderFull, StorageError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SAYS_NO_ROOM = (
    *(os.strerror(code) for code in NO_ROOM),  # safetensors says it in words only
    "QuotaExceeded", "quota exceeded", "XMinioStorageFull", "InsufficientStorage", "Insufficient Storage",
)  # fmt: skip
"""How a disk, a quota or an object store says that it is used up."""

ATTEMPTS = 8  # of one request to S3, with waits that double from about 1 s to 20 s
ANSWER_SECONDS = 60.0  # a silent connection is given up after these, and the request tried again
CONNECT_SECONDS = 10.0
RETRY_SECONDS = 120  # Google Cloud Storage counts time instead
PIECE_BYTES = 16 * 2**20
S3_SETTINGS = ("endpoint_override", "region", "scheme")  # what may stand behind the ? of an s3:// URI


@dataclass(frozen=True)
class Folder:
    """A folder by URI; nothing is created before the first write."""

    location: str  # a file-system URI: file:///…, s3://…, gs://…
    _opened: list[Any] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        refuse_credentials(self.location)

    def __getstate__(self) -> dict[str, Any]:
        return {"location": self.location, "_opened": []}  # file systems are opened again in another process

    def _fs(self) -> tuple[pafs.FileSystem, str]:
        if not self._opened:
            with self._answering("opening"):
                self._opened.append(open_file_system(self.location))
        fs, root = self._opened[0]
        return fs, root

    @contextmanager
    def _answering(self, doing: str) -> Iterator[None]:
        """Names the store in errors of the network; those of a local disk say enough."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.location.startswith("file:"):
                raise
            raise StorageError(f"{doing} failed in {self.location.partition('?')[0]}: {error}") from error

    @property
    def driver(self) -> str:
        """The token of the driver for which this process writes (run/scheduling/driver_lease.py); empty without one."""
        return ""

    def changing(self) -> AbstractContextManager[None]:
        """Entered around each change of the folder; one that is leased to another driver refuses here."""
        return contextlib.nullcontext()

    @property
    def local_path(self) -> Path | None:
        """The folder, where it is one of this machine."""
        fs, root = self._fs()
        return Path(root) if isinstance(fs, pafs.LocalFileSystem) else None

    def read_bytes(self, name: str) -> bytes | None:
        """A file's content, or None where there is none."""
        fs, root = self._fs()
        try:
            # Not `open_input_stream`, which asks an object store for every 256 KiB by itself.
            with self._answering(f"reading {name}"), fs.open_input_file(f"{root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all: by rename on a local folder, by one upload on an object store.

        Raises:
            FolderFull: the disk or the quota is used up.
        """
        if self.local_path is None:
            with self._uploading(name) as out:
                out.write(content)
            return
        with self.new_file(name) as path:
            path.write_bytes(content)

    def upload(self, source: Path, name: str) -> None:
        """Copy a file of this machine into the folder, piece by piece."""
        if self.local_path is None:
            with source.open("rb") as file, self._uploading(name) as out:
                shutil.copyfileobj(file, out, PIECE_BYTES)
            return
        with self.new_file(name) as path:
            shutil.copyfile(source, path)

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """A path of this machine for a large file: what the block wrote there is in the folder when it ends, whole.

        Raises:
            FolderFull: the disk or the quota is used up.
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
            raise self._full(name, error) from None
        finally:
            scratch.unlink(missing_ok=True)

    @contextmanager
    def local_file(self, name: str) -> Iterator[Path | None]:
        """A file as a path of this machine: itself, or a copy for as long as the block lasts; None where there is none.

        What is mapped into memory stays readable after the block.
        """
        if (folder := self.local_path) is not None:
            path = folder / name
            yield path if path.is_file() else None
            return
        with tempfile.TemporaryDirectory(prefix="unlearn-") as scratch_folder:
            path = Path(scratch_folder) / "file"
            yield path if self.download(name, path) else None

    def download(self, name: str, target: Path) -> bool:
        """Copy a file of the folder to this machine, piece by piece; False where there is none."""
        fs, root = self._fs()
        try:
            with (
                self._answering(f"reading {name}"),
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
            with self.changing(), self._answering(f"writing {name}"), fs.open_output_stream(f"{root}/{name}") as stream:
                yield stream
        except StorageError as error:
            if not says_no_room(error):
                raise
            raise self._full(name, error) from None

    def _full(self, name: str, error: Exception) -> FolderFull:
        code = error.errno if isinstance(error, OSError) and error.errno in NO_ROOM else errno.ENOSPC
        root = self.local_path or self.location.partition("?")[0]
        return FolderFull(code, f"{os.strerror(code)}: {name} does not fit into {root}, allowed: what is free there")

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        fs, root = self._fs()
        with self._answering(f"looking for {name}"):
            return bool(fs.get_file_info(f"{root}/{name}").type == pafs.FileType.File)

    def names(self, folder: str) -> list[str]:
        """File names in a folder, without those that begin with a dot; empty where there is no folder."""
        return sorted(self.modified(folder))

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        fs, root = self._fs()
        if self.exists(name):
            with self.changing(), self._answering(f"deleting {name}"):
                fs.delete_file(f"{root}/{name}")

    def set_aside(self, name: str, reason: object = None) -> None:
        """Move a file to `damaged/`, where it is in nobody's way; with a reason why it cannot be read, warn of it."""
        fs, root = self._fs()
        moved = f"damaged/{name}"
        now = f"moved to {moved} of {root}"
        try:
            if isinstance(fs, pafs.LocalFileSystem):
                fs.create_dir(f"{root}/{moved}".rpartition("/")[0], recursive=True)
            with self.changing():
                fs.move(f"{root}/{name}", f"{root}/{moved}")
        except FileNotFoundError:  # another process was faster
            pass
        except OSError:  # a folder that only others may write
            now = f"left in {root}, which cannot be written"
        if reason is None:
            return
        first = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
        said = f"cannot read {name} ({first}); {now}; `unlearn run` makes it again"
        warnings.warn(said, DamagedFile, stacklevel=2)

    def modified_ns(self, name: str) -> int | None:
        """When a file was changed last, by the folder's own clock, in ns since the epoch; None where none can tell."""
        fs, root = self._fs()
        with self._answering(f"looking for {name}"):
            found = fs.get_file_info(f"{root}/{name}")
        return found.mtime_ns if found.type == pafs.FileType.File else None

    def modified(self, folder: str) -> dict[str, int]:
        """File names in a folder, as `names`, with the time of their last change in ns since the epoch."""
        fs, root = self._fs()
        with self._answering(f"listing {folder or 'the folder'}"):
            found = fs.get_file_info(pafs.FileSelector(f"{root}/{folder}".rstrip("/"), allow_not_found=True))
        files = [f for f in found if f.type == pafs.FileType.File and not f.base_name.startswith(".")]
        return {f.base_name: f.mtime_ns or 0 for f in files}


def says_no_room(error: BaseException | str) -> bool:
    """Whether an error, or its text, says that a disk or a quota is used up."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return True
    return any(words in str(error) for words in SAYS_NO_ROOM)


def open_file_system(location: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a URI, and the path in it; object stores try again with growing waits.

    `s3://bucket/path?endpoint_override=HOST:PORT&scheme=http&region=NAME`: all settings may be left out. Without an
    endpoint, `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` names one, and without any of them it is Amazon's. Credentials
    come from the environment, a profile or the machine's role.

    Raises:
        ValueError: a setting that is none of these.
    """
    parts = urlsplit(location)
    if parts.scheme in ("gs", "gcs"):
        joint = "&" if parts.query else "?"
        limit = "" if "retry_limit_seconds" in parts.query else f"{joint}retry_limit_seconds={RETRY_SECONDS}"
        return pafs.FileSystem.from_uri(location + limit)  # type: ignore[no-any-return]
    if parts.scheme != "s3":
        return pafs.FileSystem.from_uri(location)  # type: ignore[no-any-return]
    settings = dict(parse_qsl(parts.query))
    if unknown := set(settings) - set(S3_SETTINGS):
        raise ValueError(
            f"unknown setting in an s3:// URI: got {', '.join(sorted(unknown))}, allowed: {', '.join(S3_SETTINGS)}"
        )
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if named and "endpoint_override" not in settings:
        endpoint = urlsplit(named)
        settings = {"scheme": endpoint.scheme, "endpoint_override": endpoint.netloc, **settings}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if "region" not in settings and not region and "endpoint_override" not in settings:
        region = pafs.resolve_s3_region(parts.netloc)
    system = pafs.S3FileSystem(
        **{"region": region, **settings},
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        request_timeout=ANSWER_SECONDS,
        connect_timeout=CONNECT_SECONDS,
        allow_delayed_open=True,  # a small file is one upload
    )
    return system, f"{parts.netloc}{parts.path}".rstrip("/")


def refuse_credentials(location: str) -> None:
    """Raises:
    ValueError: a URI with a user or password in it; it would stand in every log, and in what Ray sends to workers.
    """
    parts = urlsplit(location)
    user = parts.netloc.rpartition("@")[0]
    if user not in ("", "anonymous") or any("key" in name or "token" in name for name, _ in parse_qsl(parts.query)):
        raise ValueError(
            f"credentials do not belong in a URI: got one for {parts.scheme}://{parts.netloc.rpartition('@')[2]}, "
            "allowed: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, a profile, or the "
            "machine's role"
        )
