"""Share corpora and features between nodes: one node builds them, and every other node fetches them once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.digests import sha256_of
from orchestrator.file_names import absolute_path
from orchestrator.results.sealed import DigestMismatch, read_sealed_json, sealed_json
from orchestrator.results.storage import Folder
from orchestrator.results.store import Store


@dataclass(frozen=True)
class SharedCache:
    """Cache of folders: `<prefix>folders/<name>.json` lists files and digests; `<prefix>blobs/<sha256>` are the files.

    Files are named by content, so that files of two nodes which build the same folder at the same time cannot be mixed
    up. The list is written last: a folder is complete or absent.
    """

    files: Folder
    prefix: str  # of all names in `files`: empty, or ends with a slash

    def obtain(self, path: Path, build: Callable[[], None]) -> None:
        """Fetch the folder `path`, or build it and share it.

        The caller has this node's lock of the folder. If the cache fails, the folder is built for this node alone.
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
                    return False  # the list must not make nodes write outside this folder
                target.parent.mkdir(parents=True, exist_ok=True)
                blob = f"{self.prefix}blobs/{digest}"
                if not self.files.download(blob, target):
                    return False
                if sha256_of(target) != digest:
                    self.files.set_aside(blob, f"its SHA-256 differs; it is {inside} of {name}")
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
            file.relative_to(path).as_posix(): sha256_of(file) for file in sorted(path.rglob("*")) if file.is_file()
        }
        for inside, digest in listed.items():
            self.files.upload(path / inside, f"{self.prefix}blobs/{digest}")
        self.files.write_bytes(f"{self.prefix}folders/{name}.json", sealed_json({"files": listed}))


def shared_cache(store: Store) -> SharedCache | None:
    """Return the cache of `UNLEARN_SHARED_CACHE` (folder or URI), otherwise `cache/` of results on an object store.

    None for results on a file system without that variable.
    """
    location = os.environ.get("UNLEARN_SHARED_CACHE")
    if location:
        return SharedCache(Folder(location if "://" in location else absolute_path(location).as_uri()), "")
    return None if store.files.local_path is not None else SharedCache(store.files, "cache/")
