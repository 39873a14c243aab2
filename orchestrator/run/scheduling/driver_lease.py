"""One driver a results folder: a heartbeat says that it is alive, and a token in every row says which driver it was.

`driver.json` says who drives the folder; its time of change, by the folder's own clock, is the last heartbeat.
`drivers.json` lists who has driven it, oldest first; the last entry has the folder. All that a driver and its workers
write goes through a `LeasedFolder`, which refuses once another driver has the folder.
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
CLOCK = ".driver.clock"  # written and removed to read the folder's own clock
KEPT = 200  # drivers in the history
BEAT_SECONDS = 10.0
DEAD_AFTER_SECONDS = 60.0  # without a heartbeat
OBSERVE_SECONDS = 25.0  # to see whether a heart beats, where the time of its last beat says nothing
AHEAD_SECONDS = 5.0  # that a heartbeat may seem to lie in the future
SETTLE_SECONDS = 2.0  # on an object store, which has no locks: of two that write at once, the later one has it
LOCK_SECONDS = 30.0  # that whoever holds the lock may be stopped before it is passed over


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Who drives a results folder."""

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
    """An entry of the history."""

    token: str  # a number that grows with each driver, and a random part
    since_seconds: float


@dataclass(frozen=True)
class LeasedFolder(Folder):
    """A results folder as its driver and the driver's workers write it: not at all once another driver has it."""

    token: str = ""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "token": self.token}

    @property
    def driver(self) -> str:
        """The driver's token; rows carry it."""
        return self.token

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody takes the folder over meanwhile, where there are locks.

        Raises:
            LeaseLost: another driver has it.
        """
        with _locked(self):
            if _is_taken_over(self, self.token):
                raise LeaseLost("another driver has taken over this results folder; nothing was written")
            yield


@dataclass
class Held:
    """The lease of this process, while its heart beats."""

    lease: Lease
    files: LeasedFolder
    history: Sequence[Driver] = ()  # oldest first; this driver is the last
    _lost: threading.Event = field(default_factory=threading.Event)

    @property
    def lost(self) -> bool:
        """Another driver has the folder: this process was out of reach for too long."""
        return self._lost.is_set()

    def is_late(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has to run again: its trial ended after a newer driver had begun.

        Such rows exist only where no lock orders a commit and a take-over.
        """
        return self.files.local_path is None and ended_late(row, self.history)


def ended_late(row: Mapping[str, Any], history: Sequence[Driver]) -> bool:
    """Whether a trial ended after the driver that followed its own had begun."""
    tokens = [driver.token for driver in history]
    if row.get("driver_token") not in tokens[:-1]:  # from before there were tokens, from elsewhere, or of the last
        return False
    following = history[tokens.index(str(row["driver_token"])) + 1]
    try:
        return datetime.fromisoformat(str(row["finished_at"])).timestamp() > following.since_seconds
    except ValueError:
        return False


@contextlib.contextmanager
def sole_driver(files: Folder) -> Iterator[Held]:
    """Drive this folder alone; a dead driver's lease is taken over.

    Raises:
        ValueError: another driver is at work on it; host, process and time are named.
    """
    held, ended = _take(files), threading.Event()
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


def _take(files: Folder) -> Held:
    found, dead = _read(files), ""
    if found is not None and ((ended := found.has_ended) or (ended is None and not _is_alive(files, found))):
        dead = found.token
    else:
        _refuse(files, found)
    now = time.time()
    with _locked(files):
        if (found := _read(files)) and found.token != dead:  # another one was faster
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
        history = [*history, Driver(mine.token, now)][-KEPT:]
        files.write_bytes(HISTORY, json.dumps([asdict(driver) for driver in history], indent=0).encode())
        _write(files, mine)
    if files.local_path is None:
        time.sleep(SETTLE_SECONDS)
        if _is_taken_over(files, mine.token):
            _refuse(files, _read(files))
    return Held(mine, LeasedFolder(files.location, [*files._opened], mine.token), history)


def _is_alive(files: Folder, found: Lease) -> bool:
    """Whether the heart of a driver beats that cannot be asked, by the folder's clock and not by any host's."""
    beat = files.modified_ns(NAME)
    silent = None if beat is None else (_clock_ns(files) - beat) / 1e9
    if silent is not None and silent > DEAD_AFTER_SECONDS:
        return False
    if silent is not None and silent > -AHEAD_SECONDS:
        return True
    time.sleep(OBSERVE_SECONDS)  # a beat in the future, or none that can be dated
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
    heard = "unknown" if beat is None else f"{max(0.0, time.time() - beat / 1e9):.0f} s ago"
    where = files.local_path or files.location.partition("?")[0]
    raise ValueError(
        f"{where} is in use by process {found.pid} on {found.host} (since {_date(found.since_seconds)}; last heartbeat "
        f"{heard}). Wait, stop that process, or choose another folder. If it no longer exists, delete {where}/{NAME}"
    )


def _date(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def _number(token: str) -> int:
    number = token.partition("-")[0]
    return int(number) if number.isdecimal() and len(number) < 10 else 0


def _beat(files: Folder, held: Held, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError), _locked(files):  # a full disk or a slow network: the next beat may succeed
            if _is_taken_over(files, held.lease.token):
                held._lost.set()
                return
            _write(files, held.lease)


def _write(files: Folder, lease: Lease) -> None:
    files.write_bytes(NAME, json.dumps({**asdict(lease), "beat_seconds": time.time()}).encode())  # to be read by people


def _is_taken_over(files: Folder, token: str) -> bool:
    found = _read(files)
    if found is not None:
        return found.token != token
    history = _history(files)  # whoever took the folder over may have finished
    return bool(history) and history[-1].token != token


def _read(files: Folder) -> Lease | None:
    """Who drives the folder; None where nobody does, and where nobody can say who."""
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
    except (ValueError, RecursionError):  # torn, or not ours
        return None


@contextlib.contextmanager
def _locked(files: Folder) -> Iterator[None]:
    """Nobody else on this folder reads and writes a lease meanwhile; where there are no locks, anybody may."""
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
