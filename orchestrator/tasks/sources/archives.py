"""Archives of corpora: downloaded with a checksum, extracted once without letting any member escape, and compared with
the folder that they were extracted to."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from filelock import FileLock

from orchestrator.digests import digests_of
from orchestrator.tasks.sources.found_files import find_audio, shown

SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".zip")
OF_MACOS = "__MACOSX/"  # members of a zip that the Finder adds: no recordings
UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError)


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


def is_archive(path: Path) -> bool:
    """Whether a file is a tar or zip archive, by its name."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def unpacked(archive: Path) -> Path:
    """The folder next to an archive that has its members, extracted first if need be.

    Raises:
        ValueError: the archive cannot be extracted, or the folder has other content than the archive.
    """
    folder = archive.parent / _stem(archive)
    extract(archive, folder)
    _require_same(archive, folder)
    return folder


def extract(archive: Path, folder: Path) -> Path:
    """Unpack a tar or zip archive into `folder`, unless it is there already; safe when many processes ask at once.

    A single top folder named like `folder` becomes `folder` itself, as when the archive is unpacked by hand.

    Raises:
        ValueError: the archive is unreadable, or a member is absolute, climbs out by `..`, or is no file or folder.
    """
    if folder.is_dir():
        return folder
    try:
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                _extract(archive, folder)
    except (*UNREADABLE, OSError) as error:
        raise ValueError(
            f"cannot extract {archive} to {folder}: {error}; extract it by hand, or fetch it anew"
        ) from error
    return folder


def _extract(archive: Path, folder: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, stream in _members(archive):
            if stream is None:
                (scratch / name).mkdir(parents=True, exist_ok=True)
                continue
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            with stream, (scratch / name).open("wb") as out:
                shutil.copyfileobj(stream, out)
        inside = list(scratch.iterdir())
        top = inside[0] if [path.name for path in inside] == [folder.name] and inside[0].is_dir() else scratch
        scratch.chmod(0o755)  # as a folder made by hand; mkdtemp's would be its owner's alone
        os.replace(top, folder)
        _note_source(archive, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _members(archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes] | None]]:
    """Names and bytes of an archive's files, in its order; None in place of bytes for a folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if info.filename.startswith(OF_MACOS):
                    continue
                is_link = stat.S_ISLNK(info.external_attr >> 16)
                name = _safe(info.filename, not is_link, archive)
                yield name, None if info.is_dir() else packed.open(info)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            name = _safe(member.name, member.isfile() or member.isdir(), archive)
            yield name, tar.extractfile(member) if member.isfile() else None


def _safe(given: str, is_plain: bool, archive: Path) -> PurePosixPath:
    name = PurePosixPath(given)
    if name.is_absolute() or ".." in name.parts or not is_plain:
        raise ValueError(
            f"unsafe archive {archive}: got member {given!r}, allowed: files and folders inside the archive"
        )
    return name


def _require_same(archive: Path, folder: Path) -> None:
    """Compare each member with its file, unless the folder is noted to come from this archive."""
    if _source(folder) == digests_of([archive])[0].sha256:
        return
    try:
        members = {name: _sha256(stream) for name, stream in _members(archive) if stream is not None}
    except UNREADABLE as error:
        raise ValueError(f"cannot read {archive}: {error}; fetch it anew, or give its folder as root") from error
    if all(name.parts[0] == folder.name and len(name.parts) > 1 for name in members):
        members = {name.relative_to(folder.name): sha256 for name, sha256 in members.items()}
    found = digests_of(folder / name for name in members)
    others = [str(name) for (name, sha256), one in zip(members.items(), found, strict=True) if one.sha256 != sha256]
    said = [f"{len(others)} of {len(members)} files differ or are missing, such as {others[0]}"] if others else []
    if more := sorted(set(find_audio(folder).names) - {str(name) for name in members}):
        said.append(f"{len(more)} recordings are in the folder only, such as {shown(more[0])}")
    if said:
        raise ValueError(
            f"{folder} is not what {archive} holds: {'; '.join(said)}; remove the folder to extract the archive again, "
            "or give the folder as root"
        )
    _note_source(archive, folder)


def _source(folder: Path) -> str:
    note = folder.parent / f".{folder.name}.source"
    return note.read_text() if note.is_file() else ""


def _note_source(archive: Path, folder: Path) -> None:
    """Note next to a folder the digest of the archive that it equals, so as not to compare them again."""
    with suppress(OSError):
        (folder.parent / f".{folder.name}.source").write_text(digests_of([archive])[0].sha256)


def _sha256(stream: IO[bytes]) -> str:
    with stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def _stem(archive: Path) -> str:
    suffix = next((suffix for suffix in SUFFIXES if archive.name.lower().endswith(suffix)), "")
    return archive.name[: len(archive.name) - len(suffix)]


def find_or_extract(root: Path, name: str, marker: str) -> Path | None:
    """The folder with `marker` in it, extracted from an archive if need be; None where there is neither.

    Looked for: `root`, `root/name`, torchaudio's `root/SpeechCommands/name`, archives `root` and `root/name.tar.gz`.
    """
    for folder in (root, root / name, root / "SpeechCommands" / name):
        if (folder / marker).exists():
            return folder
    for archive in (root, root / f"{name}.tar.gz"):
        if is_archive(archive):
            folder = unpacked(archive)
            return folder if (folder / marker).exists() else None
    return None
