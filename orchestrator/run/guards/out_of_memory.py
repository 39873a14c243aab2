"""Start a trial again with half as many utterances at a time when memory runs out.

The batch of a step is unchanged: it goes through the model in micro-batches (`methods.engine.loop`). The size that fits
is kept in the cache folder, so that later trials start with it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from orchestrator.plan.spec import short_hash
from orchestrator.results.sealed import DigestMismatch, read_sealed_json, sealed_json
from orchestrator.results.storage import Folder
from orchestrator.run.guards.device_errors import is_out_of_memory

T = TypeVar("T")
ADVICE = (
    "Use a device with more memory, a larger share of it (gpus_per_trial, fewer trials at once), a smaller backbone, a "
    "shorter training.clip_seconds, or precision: bf16"
)


class MemorySpent(Exception):
    """Memory ran out with `tried` utterances in one micro-batch; 0: outside of any batch."""

    def __init__(self, tried: int, cause: str = "") -> None:
        super().__init__(_message(tried, cause))
        self.tried = tried


def _message(tried: int, cause: str) -> str:
    if tried > 1:
        return f"Memory ran out with {tried} utterances at a time"
    when = "outside of any batch" if tried == 0 else "with one utterance at a time"
    reason = f" ({cause})" if cause else ""
    return f"Memory ran out {when}{reason}. {ADVICE}"


@dataclass(frozen=True)
class FoundSize:
    """File of the micro-batch size that fits, for one backbone, clip length, precision and kind of device."""

    path: Path

    @classmethod
    def of(cls, cache_dir: Path, **what: Any) -> FoundSize:
        """Return the file for the plain values `what`."""
        return cls(cache_dir / "micro_batches" / f"{short_hash(what)}.json")

    def read(self) -> int | None:
        """Return the number of utterances at a time, or None if memory never ran out.

        A damaged file is set aside, with a warning.
        """
        content = self._folder.read_bytes(self.path.name)
        if content is None:
            return None
        try:
            return int(read_sealed_json(content)["micro_batch"])
        except (DigestMismatch, KeyError) as error:
            self._folder.set_aside(self.path.name, error)
            return None

    def write(self, micro_batch: int) -> None:
        """Save a size atomically, unless another process has found a smaller one."""
        smallest = min(micro_batch, self.read() or micro_batch)
        self._folder.write_bytes(self.path.name, sealed_json({"micro_batch": smallest}))

    @property
    def _folder(self) -> Folder:
        return Folder(self.path.parent.absolute().as_uri())


def retry_with_smaller_batches(
    attempt: Callable[[int | None], Iterator[T]],
    start: int | None,
    found: FoundSize,
    forget: Callable[[], None],
    make_room: Callable[[], bool] = lambda: False,
) -> Iterator[T]:
    """Yield what `attempt` yields, and start it again with half as many utterances at a time when memory runs out.

    A smaller size is saved for other trials only after an attempt has ended with it: a trial that fits with no size
    says nothing about the others.

    Args:
        attempt: runs the trial with that many utterances at a time; None: whole batches.
        start: the first size.
        found: the size that other trials found, and where to save a smaller one.
        forget: drops what an attempt left behind, so that the next one starts from the first step, with its clock at 0.
        make_room: frees memory that is used outside of batches; False if there is none.

    Raises:
        MemorySpent: one utterance at a time is too much, or memory runs out outside of a batch and `make_room` frees
            none.
    """
    size = first = min((known for known in (start, found.read()) if known is not None), default=None)
    while True:
        try:
            yield from attempt(size)
            break
        except MemorySpent as error:
            if error.tried > 1:
                size = error.tried // 2
            elif error.tried == 1 or not make_room():
                raise
        # Not in the handler: until it ends, the traceback of the error keeps the attempt's model in memory.
        forget()
        release()
    if size is not None and size != first:
        found.write(size)


def in_halves(work: Callable[[int], T], size: int) -> T:
    """Return `work(size)`, and halve `size` whenever memory runs out; for work without gradients.

    Args:
        work: does the work with that many utterances at a time.
        size: utterances at a time, at first.
    """
    while True:
        try:
            return work(size)
        except Exception as error:
            if size <= 1 or not is_out_of_memory(error):
                raise
            size //= 2
        release()


def release() -> None:
    """Return memory that nothing refers to, to the system and the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
