"""Host memory that a trial's process needs at its peak: estimated, so that Ray starts no more trials than fit.

Checked against what trials were measured to hold (tests/plan/test_memory.py): never less, and at most twice as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbones.cost import FLOAT_BYTES, TrainBytes
from orchestrator.plan.cost import clip_seconds, corpus_size, train_gflop
from orchestrator.plan.spec import PlugIn, TrialSpec

MIB = 2**20
PROCESS_BYTES = 640 * MIB  # private memory of a worker: its imports, and what their first use adds; measured
CUDA_BYTES = 2048 * MIB  # what CUDA and pinned batches add on the host; a guess
BESIDES_BYTES = 48 * MIB  # batches, tables and what the allocator keeps
COPIES = 8  # of the weights at most: weight, gradient, two moments, the best so far, and three of methods and of saving
KEPT_SHARE = 1.25  # of activations: temporaries of the way back
LOGITS = 3  # copies of the corpus's logits
EVALUATED_SHARE = 0.1  # of a clip's activations, without a way back
EVALUATED_AT_ONCE = 32
MICRO_BATCH_GFLOP = 20.0  # of one step on a processor: larger ones are no faster there, and hold more memory


def trial_bytes(spec: TrialSpec, *, on_gpu: bool, micro_batch: int | None = None) -> int:
    """An upper estimate; where a GPU holds the model, of what is left on the host. Nothing is loaded."""
    size = corpus_size(spec)
    seconds = clip_seconds(spec)
    held = _train_bytes(spec.backbone, seconds)
    besides = PROCESS_BYTES + BESIDES_BYTES + LOGITS * FLOAT_BYTES * size.utterances * size.classes
    if on_gpu:
        return int(besides + CUDA_BYTES + 2 * held.weights)
    fewest = micro_batch or max(1, int(MICRO_BATCH_GFLOP / train_gflop(spec.backbone, seconds)))
    whole = max(_batch_size(spec.training), _batch_size(spec.method.settings))
    at_once = whole if spec.superloss and not micro_batch else min(whole, fewest)
    clips = max(at_once * KEPT_SHARE, EVALUATED_AT_ONCE * EVALUATED_SHARE)
    return int(besides + COPIES * held.weights + clips * held.activations)


_HELD: dict[tuple[str, float], TrainBytes] = {}


def _train_bytes(backbone: PlugIn, seconds: float) -> TrainBytes:
    key = (backbone.key, seconds)
    if key not in _HELD:
        _HELD[key] = backbone.instance.train_bytes(seconds)
    return _HELD[key]


def _batch_size(settings: Mapping[str, Any]) -> int:
    """A search may try others, and a study names none: then the usual one."""
    found = settings.get("batch_size", 32)
    return found if isinstance(found, int) else 32
