"""Let one driver at a time use a results folder: it sends heartbeats, and each row contains its token.

`driver.json` names the driver that has the folder; its modification time, by the folder's own clock, is the last
heartbeat. `drivers.json` lists all drivers so far, oldest first; the last one has the folder. A driver and its workers
write through a `LeasedFolder`, which refuses once another driver has taken the folder over.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from filelock import FileLock, Timeout

from orchestrator.errors import LeaseLost
from orchestrator.results.storage import Folder
from orchestrator.run.scheduling import process_identity

NAME = "driver.json"
HISTORY = "drivers.json"
CLOCK = ".driver.clock"  # written and removed, to read the folder's own clock
HISTORY_LENGTH = 200  # drivers
BEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 60.0  # without a heartbeat
OBSERVE_SECONDS = 25.0  # to wait for a heartbeat if the time of the last one is of no use
FUTURE_SECONDS = 5.0  # by which a heartbeat may seem to be in the future
SETTLE_SECONDS = 2.0  # object stores have no locks: of two drivers that write at once, the later one wins
LOCK_SECONDS = 30.0  # after which a lock is ignored, because its process is stopped


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The driver of a results folder."""

    host: str
    machine: str  # `process_identity.machine()`
    pid: int
    process: str  # `process_identity.start_of(pid)`, so that a reused ID is another process; "" if not known
    since_seconds: float  # since the epoch
    token: str

    @property
    def has_ended(self) -> bool | None:
        """Whether its process has ended; None if this machine cannot know."""
        return process_identity.has_ended(self.machine, self.pid, self.process)


@dataclass(frozen=True)
class Driver:
    """A driver in the history of a folder."""

    token: str  # a number, which increases with each driver, and a random part
    since_seconds: float


@dataclass(frozen=True)
class LeasedFolder(Folder):
    """A results folder for a driver and its workers, which refuses changes once another driver has taken it over."""

    token: str = ""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "token": self.token}

    @property
    def driver(self) -> str:
        """The driver's token, which each row contains."""
        return self.token

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other drivers from taking the folder over inside this context, on file systems that have locks.

        Raises:
            LeaseLost: another driver has the folder.
        """
        with _locked(self):
            if _is_taken_over(self, self.token):
                raise LeaseLost("another driver has taken over this results folder; nothing was written")
            yield


@dataclass
class Held:
    """The lease of this process, which sends heartbeats."""

    lease: Lease
    files: LeasedFolder
    history: Sequence[Driver] = ()  # oldest first; the last is this driver
    _lost: threading.Event = field(default_factory=threading.Event)

    @property
    def lost(self) -> bool:
        """Whether another driver has taken the folder over, because this process sent no heartbeat for too long."""
        return self._lost.is_set()

    def is_late(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row must run again, because its trial ended after a later driver had started.

        Such rows exist only on object stores, where no lock orders commits and takeovers.
        """
        return self.files.local_path is None and ended_late(row, self.history)


def ended_late(row: Mapping[str, Any], history: Sequence[Driver]) -> bool:
    """Return whether a trial ended after the driver that followed its own had started."""
    tokens = [driver.token for driver in history]
    if row.get("driver_token") not in tokens[:-1]:  # no token, a token of another folder, or the last driver
        return False
    following = history[tokens.index(str(row["driver_token"])) + 1]
    try:
        return datetime.fromisoformat(str(row["finished_at"])).timestamp() > following.since_seconds
    except ValueError:
        return False


@contextlib.contextmanager
def sole_driver(files: Folder) -> Iterator[Held]:
    """Take the lease of a folder, also that of a dead driver, and keep it until the context ends.

    Raises:
        ValueError: another driver uses the folder; the message names its host, process and last heartbeat.
    """
    held, ended = _take(files), threading.Event()
    heartbeats = threading.Thread(target=_send_heartbeats, args=(files, held, ended), daemon=True, name="lease")
    heartbeats.start()
    try:
        yield held
    finally:
        ended.set()
        heartbeats.join()
        with contextlib.suppress(OSError), _locked(files):
            if (found := _read(files)) and found.token == held.lease.token:
                files.delete(NAME)


def _take(files: Folder) -> Held:
    found, dead = _read(files), ""
    if found is not None and ((ended := found.has_ended) or (ended is None and not _is_alive(files, found))):
        dead = found.token
    else:
        _refuse(files, found)
    now = time.time()
    with _locked(files):
        if (found := _read(files)) and found.token != dead:  # another driver was faster
            _refuse(files, found)
        history = _history(files)
        number = 1 + max((_number(driver.token) for driver in history), default=0)
        mine = Lease(
            host=socket.gethostname(),
            machine=process_identity.machine(),
            pid=os.getpid(),
            process=process_identity.start_of(os.getpid()) or "",
            since_seconds=now,
            token=f"{number:06d}-{uuid.uuid4().hex[:12]}",
        )
        history = [*history, Driver(mine.token, now)][-HISTORY_LENGTH:]
        files.write_bytes(HISTORY, json.dumps([asdict(driver) for driver in history], indent=0).encode())
        _write(files, mine)
    if files.local_path is None:
        time.sleep(SETTLE_SECONDS)
        if _is_taken_over(files, mine.token):
            _refuse(files, _read(files))
    return Held(mine, LeasedFolder(files.location, [*files._opened], mine.token), history)


def _is_alive(files: Folder, found: Lease) -> bool:
    """Return whether a driver on another machine sends heartbeats, by the folder's clock and not by that of a host."""
    beat = files.modified_ns(NAME)
    silent = None if beat is None else (_clock_ns(files) - beat) / 1e9
    if silent is not None and silent > DEAD_AFTER_SECONDS:
        return False
    if silent is not None and silent > -FUTURE_SECONDS:
        return True
    time.sleep(OBSERVE_SECONDS)  # a heartbeat in the future, or one without a time
    return _read(files) is not None and files.modified_ns(NAME) != beat


def _clock_ns(files: Folder) -> int:
    files.write_bytes(CLOCK, b"")
    try:
        return files.modified_ns(CLOCK) or time.time_ns()
    finally:
        files.delete(CLOCK)


def _refuse(files: Folder, found: Lease | None) -> None:
    if found is None:
        return
    beat = files.modified_ns(NAME)
    last = "unknown" if beat is None else f"{max(0.0, time.time() - beat / 1e9):.0f} s ago"
    where = files.shown
    raise ValueError(
        f"{where} is in use by process {found.pid} on {found.host} (since {_date(found.since_seconds)}; last heartbeat "
        f"{last}). Wait, stop that process, or choose another folder. If it no longer exists, delete {where}/{NAME}"
    )


def _date(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def _number(token: str) -> int:
    number = token.partition("-")[0]
    return int(number) if number.isdecimal() and len(number) < 10 else 0


def _send_heartbeats(files: Folder, held: Held, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError), _locked(files):  # if the disk is full, the next heartbeat may succeed
            if _is_taken_over(files, held.lease.token):
                held._lost.set()
                return
            _write(files, held.lease)


def _write(files: Folder, lease: Lease) -> None:
    content = {**asdict(lease), "beat_seconds": time.time()}  # the last for people; code uses the modification time
    files.write_bytes(NAME, json.dumps(content).encode())


def _is_taken_over(files: Folder, token: str) -> bool:
    found = _read(files)
    if found is not None:
        return found.token != token
    history = _history(files)  # the driver that took the folder over may have ended
    return bool(history) and history[-1].token != token


def _read(files: Folder) -> Lease | None:
    """Return the driver of the folder; None if there is none, or if the file is unreadable."""
    found = _json(files, NAME)
    if not isinstance(found, dict):
        return None
    token, pid = found.get("token"), found.get("pid")
    if not (isinstance(token, str) and token and type(pid) is int):
        return None
    texts = {name: str(found.get(name, "")) for name in ("host", "machine", "process")}
    return Lease(**texts, pid=pid, since_seconds=_seconds(found.get("since_seconds")), token=token)


def _history(files: Folder) -> list[Driver]:
    found = _json(files, HISTORY)
    entries = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    named = [entry for entry in entries if isinstance(entry.get("token"), str)]
    return [Driver(entry["token"], _seconds(entry.get("since_seconds"))) for entry in named]


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _json(files: Folder, name: str) -> Any:
    try:
        return json.loads(files.read_bytes(name) or b"null")
    except (ValueError, RecursionError):  # truncated, or another file
        return None


@contextlib.contextmanager
def _locked(files: Folder) -> Iterator[None]:
    """Exclude other processes from reading and writing the lease; does nothing where there are no locks."""
    folder, lock = files.local_path, None
    if folder is not None:
        with contextlib.suppress(OSError, NotImplementedError, Timeout):
            folder.mkdir(parents=True, exist_ok=True)
            made = FileLock(folder / f".{NAME}.lock", timeout=LOCK_SECONDS)
            made.acquire()
            lock = made
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
