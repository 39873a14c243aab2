"""One driver a results folder: a lease file that says who it is, and a heartbeat that says it still is."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from orchestrator.files import Folder

NAME = "driver.json"
BEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 60.0  # without a heartbeat; clocks of machines that share a folder should agree better than that
SETTLE_SECONDS = 2.0  # on an object store, which has no locks: of two that write at once, the later one has it


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Who drives a results folder."""

    host: str
    machine: str  # the boot and the process namespace: where these are equal, process numbers can be compared
    pid: int
    process: str  # when it began, in ticks since boot, so that a number used again is another process; "" if not known
    since_seconds: float  # since the epoch
    beat_seconds: float  # of the last heartbeat
    token: str

    def is_dead(self, now_seconds: float) -> bool:
        """Its process is gone, or it has not been heard of for long on a machine that cannot be asked."""
        if self.machine == _machine() and self.process:
            return _process(self.pid) != self.process
        return now_seconds - self.beat_seconds > DEAD_AFTER_SECONDS


@dataclass
class Held:
    """The lease of this process, while its heart beats."""

    lease: Lease
    _lost: threading.Event = field(default_factory=threading.Event)

    @property
    def lost(self) -> bool:
        """Another driver has the folder: this process was out of reach for too long."""
        return self._lost.is_set()


@contextlib.contextmanager
def sole_driver(files: Folder) -> Iterator[Held]:
    """Drive this folder alone; a dead driver's lease is taken over.

    Raises:
        ValueError: another driver is at work on it; host, process and time are named.
    """
    held, ended = Held(_take(files)), threading.Event()
    heart = threading.Thread(target=_beat, args=(files, held, ended), daemon=True, name="lease")
    heart.start()
    try:
        yield held
    finally:
        ended.set()
        heart.join()
        with contextlib.suppress(OSError), _locked(files):
            if (found := _read(files)) and found.token == held.lease.token:
                files.delete(NAME)


def _take(files: Folder) -> Lease:
    now = time.time()
    mine = Lease(
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        process=_process(os.getpid()) or "",
        since_seconds=now,
        beat_seconds=now,
        token=uuid.uuid4().hex,
    )
    with _locked(files):
        _refuse(_read(files), mine)
        files.write_bytes(NAME, json.dumps(asdict(mine)).encode())
    if files.local_path is None:
        time.sleep(SETTLE_SECONDS)
        _refuse(_read(files), mine)
    return mine


def _refuse(found: Lease | None, mine: Lease) -> None:
    now = time.time()
    if found is None or found.token == mine.token or found.is_dead(now):
        return
    raise ValueError(
        f"another driver works on this results folder: got process {found.pid} on {found.host}, since "
        f"{datetime.fromtimestamp(found.since_seconds, UTC):%Y-%m-%d %H:%M:%S} UTC, heard of "
        f"{max(0.0, now - found.beat_seconds):.0f} s ago, allowed: one at a time; wait for it, end it, or choose "
        "another folder"
    )


def _beat(files: Folder, held: Held, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError), _locked(files):  # a full disk or a slow network: the next beat may succeed
            found = _read(files)
            if found is not None and found.token != held.lease.token:
                held._lost.set()
                return
            lease = {**asdict(held.lease), "beat_seconds": time.time()}
            files.write_bytes(NAME, json.dumps(lease).encode())


def _read(files: Folder) -> Lease | None:
    content = files.read_bytes(NAME)
    try:
        return None if content is None else Lease(**json.loads(content))
    except (ValueError, TypeError):
        return None  # torn: nobody can say whose it was


@contextlib.contextmanager
def _locked(files: Folder) -> Iterator[None]:
    """Nobody else on this folder reads and writes a lease meanwhile; where there are no locks, anybody may."""
    folder, lock = files.local_path, None
    if folder is not None:
        with contextlib.suppress(OSError, NotImplementedError):
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f".{NAME}.lock")
            lock.acquire()
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _machine() -> str:
    """Equal for processes that see each other's numbers: one boot, one container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process(pid: int) -> str | None:
    """When a process began, in ticks since boot; None when there is none, or only what its parent has yet to reap."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
