"""Render sampled clips: in chunks, each in a fresh process, several at a time, returned in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.base import SAMPLE_RATE_HZ
from orchestrator.tasks.espeak_tts.acoustics import Wave, mixed, noise, placed, resampled
from orchestrator.tasks.espeak_tts.engine import ESPEAK_RATE_HZ, Line, render
from orchestrator.tasks.espeak_tts.sampling import Clip, generator

MARGIN_SECONDS = 0.3  # before and after the speech together, where a clip is as long as its speech
CLIPS_PER_PROCESS = 250  # part of what a corpus is: another number gives other bytes


def recorded(
    clips: Sequence[Clip], talkers: Sequence[Line], seconds: float | None, seed: int, workers: int | None = None
) -> Iterator[tuple[Clip, npt.NDArray[np.int16]]]:
    """Clips with audio, (16,000 × seconds,) or, without `seconds`, as long as the speech and a margin.

    The number of `workers` (default: all processors) changes no byte.
    """
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chunks = (clips[first : first + CLIPS_PER_PROCESS] for first in range(0, len(clips), CLIPS_PER_PROCESS))
    with ThreadPoolExecutor(workers) as pool:
        voices = pool.submit(lambda: resampled(render(talkers), ESPEAK_RATE_HZ))
        # A bounded queue: a large corpus must not pile up in memory before its reader.
        waiting = deque(pool.submit(_record, chunk, voices, seconds, seed) for chunk in islice(chunks, 2 * workers))
        try:
            while waiting:
                yield from waiting.popleft().result()
                waiting.extend(pool.submit(_record, chunk, voices, seconds, seed) for chunk in islice(chunks, 1))
        finally:
            for future in waiting:
                future.cancel()


def _record(
    chunk: Sequence[Clip], voices: Future[list[Wave]], seconds: float | None, seed: int
) -> list[tuple[Clip, npt.NDArray[np.int16]]]:
    lines = [line for clip in chunk if (line := clip.line)]
    words = iter(resampled(render(lines), ESPEAK_RATE_HZ) if lines else [])
    pairs = []
    for clip in chunk:
        rng = generator(seed, f"noise {clip.number}")
        word = next(words) if clip.line else np.zeros(0, dtype=np.float32)
        length = round(SAMPLE_RATE_HZ * (MARGIN_SECONDS + len(word) / SAMPLE_RATE_HZ if seconds is None else seconds))
        background = noise(clip.noise, length, rng, voices.result())
        speech = placed(word, length, clip.position)
        pairs.append((clip, mixed(speech, background, clip.snr_db, clip.level_db)))
    return pairs
