"""Corpora and features shared by nodes: built once, put beside the results, fetched once by every other node."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.results.sealed import DigestMismatch, read_sealed_json, sealed_json
from orchestrator.results.storage import Folder
from orchestrator.results.store import Store


@dataclass(frozen=True)
class SharedCache:
    """`<prefix>folders/<name>.json` lists a folder's files with their digests; `<prefix>blobs/<sha256>` holds them.

    Files lie by content, so two nodes that built the same folder at the same time cannot mix theirs up, and the list
    is written last: a folder is there as a whole or not at all.
    """

    files: Folder
    prefix: str  # inside `files`: empty, or ends with a slash

    def obtain(self, path: Path, build: Callable[[], None]) -> None:
        """Fetch the folder `path`, or build it and share it. The caller holds this node's lock of it.

        Not being able to share is no reason to fail: the folder is built, as on a machine of its own.
        """
        name = f"{path.parent.name}/{path.name}"
        with suppress(OSError):
            if self._fetch(name, path):
                return
        build()
        with suppress(OSError):
            self._share(name, path)

    def _fetch(self, name: str, path: Path) -> bool:
        listed = self._listed(f"{self.prefix}folders/{name}.json")
        if listed is None:
            return False
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            for inside, digest in listed.items():
                target = scratch / inside
                if not target.resolve().is_relative_to(scratch.resolve()):
                    return False  # whoever can write the store must not be able to write elsewhere on the nodes
                target.parent.mkdir(parents=True, exist_ok=True)
                blob = f"{self.prefix}blobs/{digest}"
                if not self.files.download(blob, target):
                    return False
                if _sha256(target) != digest:
                    self.files.set_aside(blob, f"its SHA-256 differs, as {inside} of {name}")
                    return False
            os.replace(scratch, path)
            return True
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _listed(self, name: str) -> dict[str, str] | None:
        content = self.files.read_bytes(name)
        if content is None:
            return None
        try:
            files: dict[str, str] = read_sealed_json(content)["files"]
            return files
        except (DigestMismatch, KeyError) as error:
            self.files.set_aside(name, error)
            return None

    def _share(self, name: str, path: Path) -> None:
        listed = {
            file.relative_to(path).as_posix(): _sha256(file) for file in sorted(path.rglob("*")) if file.is_file()
        }
        for inside, digest in listed.items():
            self.files.upload(path / inside, f"{self.prefix}blobs/{digest}")
        self.files.write_bytes(f"{self.prefix}folders/{name}.json", sealed_json({"files": listed}))


def shared_cache(store: Store) -> SharedCache | None:
    """The cache of `UNLEARN_SHARED_CACHE` (a folder or URI), else `cache/` of results on an object store, else none."""
    named = os.environ.get("UNLEARN_SHARED_CACHE")
    if named:
        return SharedCache(Folder(named if "://" in named else Path(os.path.expanduser(named)).absolute().as_uri()), "")
    return None if store.files.local_path is not None else SharedCache(store.files, "cache/")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
