"""SpecAugment's masks in time (Park et al., 2019, arXiv 1904.08779) as wav2vec 2.0 draws them (arXiv 2006.11477).

Differs from transformers: drawn from torch's generator, which alone then seeds a training run, rather than NumPy's.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def time_masks(
    lengths: Int[Tensor, " batch"], frames: int, *, share: float, span: int, min_spans: int
) -> Bool[Tensor, "batch time"]:
    """True where a frame is to be masked; on the device of `lengths`, drawn on the CPU.

    Each row gets `share`·length / `span` spans (rounded up or down by chance, the same for the batch), at least
    `min_spans`, at starts drawn without replacement; spans may overlap. In 1-s clips of 49 frames the usual `min_spans`
    of 2 masks 37 %.

    Raises:
        ValueError: the clip is shorter than a span.
    """
    if frames < span:
        raise ValueError(f"clip too short for SpecAugment: got {frames} frames, allowed: {span} or more (a span)")
    rounding = float(torch.rand(()))
    masks = torch.zeros(len(lengths), frames, dtype=torch.bool)
    for row, length in enumerate(lengths.tolist()):
        starts = length - span + 1
        spans = min(max(int(share * length / span + rounding), min_spans), frames // span, max(starts, 0))
        for start in torch.randperm(max(starts, 0))[:spans].tolist():
            masks[row, start : start + span] = True
    return masks.to(lengths.device)
