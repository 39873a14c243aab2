"""Running out of memory: what counts as that, and the trial anew with half as many utterances at a time.

The batch of a step stays what it was: it goes through the model in micro-batches (`methods.engine.loop`). The size that
was found is kept in the cache folder, so the trials that follow start with it.
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
    "use a device with more memory or more of it (gpus_per_trial, fewer trials at once), a smaller backbone, a shorter "
    "training.clip_seconds, or precision: bf16"
)


class MemorySpent(Exception):
    """Memory ran out with `tried` utterances under way at once; with 0 of them, outside of any batch."""

    def __init__(self, tried: int, cause: str = "") -> None:
        when = "outside of any batch" if tried == 0 else "with one utterance at a time"
        said = f" ({cause})" if cause else ""
        super().__init__(
            f"memory ran out {when}{said}; {ADVICE}"
            if tried <= 1
            else f"memory ran out with {tried} utterances at a time"
        )
        self.tried = tried


@dataclass(frozen=True)
class FoundSize:
    """The micro-batch that fits, for one backbone, clip length, precision and kind of device."""

    path: Path

    @classmethod
    def of(cls, cache_dir: Path, **what: Any) -> FoundSize:
        """Where the size for `what`, plain values, is kept."""
        return cls(cache_dir / "micro_batches" / f"{short_hash(what)}.json")

    def read(self) -> int | None:
        """Utterances at a time, or None when memory never ran out; a damaged file is set aside, with a warning."""
        content = self._folder.read_bytes(self.path.name)
        if content is None:
            return None
        try:
            return int(read_sealed_json(content)["micro_batch"])
        except (DigestMismatch, KeyError) as error:
            self._folder.set_aside(self.path.name, error)
            return None

    def write(self, micro_batch: int) -> None:
        """Keep a size, unless another process found a smaller one; whole or not at all."""
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
    """Run `attempt` with `start` utterances at a time, None for whole batches; anew with half when memory runs out.

    `forget` drops what an attempt left behind, so that the next one starts from the first step with its clock at 0.
    A smaller size is kept for others once a trial has ended with it: one that nothing makes fit tells nothing of them.

    Raises:
        MemorySpent: when one utterance at a time is too much, or when memory runs out outside of a batch and
            `make_room` has nothing to give back.
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
        # Not in the handler: until it ends, the error's traceback holds the attempt's model.
        forget()
        release()
    if size is not None and size != first:
        found.write(size)


def in_halves(work: Callable[[int], T], size: int) -> T:
    """`work` with `size` utterances at a time, with half as many whenever memory runs out: for what has no gradient."""
    while True:
        try:
            return work(size)
        except Exception as error:
            if size <= 1 or not is_out_of_memory(error):
                raise
            size //= 2
        release()


def release() -> None:
    """Give back what nothing refers to."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
