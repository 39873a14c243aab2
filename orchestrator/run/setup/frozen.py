"""Embeddings of some utterances by a model that is not trained meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from methods.base import Classifier

BATCH = 32


def embedded(
    model: Classifier,
    fetch: Callable[[Tensor], tuple[Tensor, Tensor]],
    parts: Sequence[npt.NDArray[np.int64]],
    device: torch.device,
) -> npt.NDArray[np.float32]:
    """Return what the head reads of these rows (N, width), one part after another; the model is left in eval mode."""
    model.eval()
    batches = torch.split(torch.from_numpy(np.concatenate(parts)), BATCH)
    with torch.no_grad():
        found = [model.embed(*(t.to(device) for t in fetch(batch))).float().cpu() for batch in batches]
    vectors: npt.NDArray[np.float32] = torch.cat(found).numpy()
    return vectors
