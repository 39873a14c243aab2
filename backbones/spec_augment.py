"""SpecAugment's masks in time (Park et al., 2019, arXiv 1904.08779) as wav2vec 2.0 draws them (arXiv 2006.11477).

Differs from transformers: drawn from torch's generator, which alone then seeds a training run, rather than NumPy's;
a batch at once.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional


def time_masks(
    lengths: Int[Tensor, " batch"], frames: int, *, share: float, span: int, min_spans: int
) -> Bool[Tensor, "batch time"]:
    """True where a frame is to be masked; drawn on the CPU, on the device of `lengths`, which are not read back.

    Each row gets `share`·length / `span` spans (rounded up or down by chance, the same for the batch), at least
    `min_spans`, at starts drawn without replacement; spans may overlap. In 1-s clips of 49 frames the usual `min_spans`
    of 2 masks 37 %.

    Raises:
        ValueError: the clip is shorter than a span.
    """
    if frames < span:
        raise ValueError(f"clip too short for SpecAugment: got {frames} frames, allowed: {span} or more (a span)")
    rounding, device = float(torch.rand(())), lengths.device
    keys = torch.rand(len(lengths), frames)  # the smallest of a row's are its starts
    keys = keys.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else keys.to(device)
    places = torch.arange(frames, device=device)
    starts = (lengths - span + 1).clamp(min=0)[:, None]
    spans = (share * lengths / span + rounding).int().clamp(min=min_spans, max=frames // span)[:, None]
    ranks = keys.masked_fill(places >= starts, torch.inf).argsort(dim=1).argsort(dim=1)
    begins = (ranks < torch.minimum(spans, starts)).to(keys.dtype)
    return functional.max_pool1d(functional.pad(begins, (span - 1, 0)), span, stride=1) > 0
