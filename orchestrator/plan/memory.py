"""Estimate the peak host memory of a trial's process, so that Ray starts only as many trials as fit.

The estimate is at least the measured memory of trials, and at most twice as much (tests/plan/test_memory.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbones.cost import FLOAT_BYTES, TrainBytes
from orchestrator.plan.cost import clip_seconds, corpus_size, train_gflop
from orchestrator.plan.spec import PlugIn, TrialSpec

MIB = 2**20
PROCESS_BYTES = 640 * MIB  # private memory of a worker: imports and their first use; measured
CUDA_BYTES = 2048 * MIB  # of CUDA and pinned batches on the host; not measured
OTHER_BYTES = 48 * MIB  # batches, tables and free blocks of the allocator
COPIES = 8  # of the weights at most: weight, gradient, two moments, the best epoch, and three of methods and of saving
KEPT_SHARE = 1.25  # of activations, with temporaries of the backward pass
LOGITS = 3  # copies of the corpus's logits
EVALUATED_SHARE = 0.1  # of the activations of a clip, without a backward pass
EVALUATED_AT_ONCE = 32
MICRO_BATCH_GFLOP = 20.0  # of one step on a processor: larger steps are not faster and need more memory


def trial_bytes(spec: TrialSpec, *, on_gpu: bool, micro_batch: int | None = None) -> int:
    """Estimate the peak host memory in bytes, from above, without loading anything; `on_gpu`: the model is on a GPU."""
    size = corpus_size(spec)
    seconds = clip_seconds(spec)
    sizes = _train_bytes(spec.backbone, seconds)
    other = PROCESS_BYTES + OTHER_BYTES + LOGITS * FLOAT_BYTES * size.utterances * size.classes
    if on_gpu:
        return int(other + CUDA_BYTES + 2 * sizes.weights)
    fewest = micro_batch or max(1, int(MICRO_BATCH_GFLOP / train_gflop(spec.backbone, seconds)))
    whole = max(_batch_size(spec.training), _batch_size(spec.method.settings))
    at_once = whole if spec.superloss and not micro_batch else min(whole, fewest)
    clips = max(at_once * KEPT_SHARE, EVALUATED_AT_ONCE * EVALUATED_SHARE)
    return int(other + COPIES * sizes.weights + clips * sizes.activations)


_SIZES: dict[tuple[str, float], TrainBytes] = {}


def _train_bytes(backbone: PlugIn, seconds: float) -> TrainBytes:
    key = (backbone.key, seconds)
    if key not in _SIZES:
        _SIZES[key] = backbone.instance.train_bytes(seconds)
    return _SIZES[key]


def _batch_size(settings: Mapping[str, Any]) -> int:
    """Return the batch size of settings; 32 if a search chooses it."""
    found = settings.get("batch_size", 32)
    return found if isinstance(found, int) else 32
