"""Resample audio of any rate to 16 kHz, in time and memory that do not depend on the ratio of the rates."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.base import SAMPLE_RATE_HZ

RATES_HZ = (1_000, 768_000)  # of recordings; outside, the header is wrong
LARGEST_KERNEL = 2**20  # weights of torchaudio's kernels; 44,100 Hz needs 76,000, 16,001 Hz 256 million
ZERO_CROSSINGS = 10  # of the filter for odd rates, on each side


def resampled(samples: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.float32]:
    """(ceil(samples * 16000 / rate_hz),) at 16 kHz, by windowed-sinc interpolation.

    By torchaudio where its kernels, one for each phase, are small, as they are for all usual rates; else by SciPy's
    polyphase filter, whose kernel grows with the rate and not with its square. Kernels are kept.
    """
    common = math.gcd(rate_hz, SAMPLE_RATE_HZ)
    up, down = SAMPLE_RATE_HZ // common, rate_hz // common
    if up * (down + 2 * 7 * max(1.0, down / up)) <= LARGEST_KERNEL:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # a clip is too short for more: on a busy machine they wait for each other
        try:
            values: npt.NDArray[np.float32] = _by_torchaudio(rate_hz)(torch.from_numpy(samples)).numpy()
        finally:
            torch.set_num_threads(threads)
        return values
    from scipy.signal import resample_poly

    return np.asarray(resample_poly(samples, up, down, window=_low_pass(max(up, down))), dtype=np.float32)


@lru_cache(maxsize=16)
def _by_torchaudio(rate_hz: int) -> Any:
    import torch
    from torchaudio.transforms import Resample

    return Resample(rate_hz, SAMPLE_RATE_HZ, dtype=torch.float32)  # as torchaudio.functional.resample does it


@lru_cache(maxsize=16)
def _low_pass(longest: int) -> npt.NDArray[np.float32]:
    """The filter that `resample_poly` makes by default, made once a rate."""
    from scipy.signal import firwin

    taps = 2 * ZERO_CROSSINGS * longest + 1
    return np.asarray(firwin(taps, 1 / longest, window=("kaiser", 5.0)), dtype=np.float32)
