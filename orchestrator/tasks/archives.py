"""Archives of corpora: downloaded with a checksum, and extracted once without letting any member escape."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.request
import zlib
from pathlib import Path, PurePosixPath

from filelock import FileLock


def download(url: str, sha256: str, path: Path) -> None:
    """Fetch `url` to `path`; the file appears only when whole and verified.

    Raises:
        ValueError: the bytes that came do not have the checksum.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if path.is_file():
            return
        descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            found = hashlib.sha256()
            with urllib.request.urlopen(url) as response, os.fdopen(descriptor, "wb") as out:
                while block := response.read(1 << 20):
                    found.update(block)
                    out.write(block)
            if found.hexdigest() != sha256:
                raise ValueError(f"wrong checksum of {url}: got SHA-256 {found.hexdigest()}, allowed: {sha256}")
            os.replace(scratch, path)
        finally:
            Path(scratch).unlink(missing_ok=True)


def extract(archive: Path, folder: Path) -> Path:
    """Unpack a tar archive into `folder`, unless it is there already; safe when many processes ask at once.

    Raises:
        ValueError: the archive is unreadable, or a member is absolute, climbs out by `..`, or is no file or folder.
    """
    if folder.is_dir():
        return folder
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return folder
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    _unpack(tar, member, scratch, archive)
            scratch.chmod(0o755)  # as a folder made by hand; mkdtemp's would be its owner's alone
            os.replace(scratch, folder)
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"cannot extract {archive} to {folder}: {error}; extract it by hand, or fetch it anew"
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def find_or_extract(root: Path, name: str, marker: str) -> Path | None:
    """The folder with `marker` in it, extracted from an archive if need be; None where there is neither.

    Looked for: `root`, `root/name`, torchaudio's `root/SpeechCommands/name`, archives `root` and `root/name.tar.gz`.
    """
    for folder in (root, root / name, root / "SpeechCommands" / name):
        if (folder / marker).exists():
            return folder
    for archive in (root, root / f"{name}.tar.gz"):
        stem = archive.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")
        if archive.is_file() and stem != archive.name:
            folder = extract(archive, archive.parent / stem)
            return folder if (folder / marker).exists() else None
    return None


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path, archive: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
        raise ValueError(
            f"unsafe archive {archive}: got member {member.name!r}, allowed: files and folders inside the archive"
        )
    if member.isdir():
        (into / name).mkdir(parents=True, exist_ok=True)
        return
    (into / name).parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None  # it is a file
    with source, (into / name).open("wb") as out:
        shutil.copyfileobj(source, out)
