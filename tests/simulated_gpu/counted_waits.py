"""What the simulated device counts: the waits of the host, by kind and by the line of this project that waits."""

from __future__ import annotations

import contextlib
import linecache
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = f"{Path(__file__).parents[2]}/"
FOLDERS = tuple(ROOT + folder for folder in ("methods/", "backbones/", "orchestrator/"))
GIB = 2**30


class WrongDevice(RuntimeError):
    """What CUDA would refuse."""


@dataclass
class SimulatedGpu:
    """What the device saw; times are not simulated."""

    waits: Counter[str] = field(default_factory=Counter)  # of the thread that steps, by kind
    where: Counter[str] = field(default_factory=Counter)  # the same, by the line of this project
    waits_ahead: Counter[str] = field(default_factory=Counter)  # of other threads
    queued: bool = False  # whether there is work that the host has not waited for
    memory_bytes: tuple[int, int] = (20 * GIB, 24 * GIB)  # free, total
    thread: threading.Thread = field(default_factory=threading.main_thread)
    draws: torch.Tensor = field(default_factory=lambda: torch.Generator().manual_seed(0).get_state())

    def wait(self, kind: str, *, always: bool = False) -> None:
        """The host stops here; on an idle device it does not, unless it is for a copy of its own."""
        if not (self.queued or always):
            return
        self.queued = False
        if threading.current_thread() is not self.thread:
            self.waits_ahead[kind] += 1
            return
        self.waits[kind] += 1
        self.where[f"{kind}: {_line()}"] += 1

    @property
    def total(self) -> int:
        """Waits so far."""
        return sum(self.waits.values())

    @contextlib.contextmanager
    def own_draws(self) -> Iterator[None]:
        """Within, random numbers come from the device's generator."""
        host = torch.get_rng_state()
        torch.set_rng_state(self.draws)
        try:
            yield
        finally:
            self.draws = torch.get_rng_state()
            torch.set_rng_state(host)


def _line() -> str:
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(FOLDERS):
            return f"{name.removeprefix(ROOT)}:{frame.f_lineno} {linecache.getline(name, frame.f_lineno).strip()}"
        frame = frame.f_back
    return "outside this project"


_used: list[SimulatedGpu] = [SimulatedGpu()]  # the last one is in use; tensors outlive their context


def in_use() -> SimulatedGpu:
    """Return the device that counts now."""
    return _used[-1]


@contextlib.contextmanager
def used(gpu: SimulatedGpu) -> Iterator[None]:
    """Within, `gpu` is the device in use."""
    _used.append(gpu)
    try:
        yield
    finally:
        _used.pop()
