"""End the launch if Ray assigned a GPU to a worker whose torch does not see it: on the CPU it would take days."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

import torch

LOGICAL = "UNLEARN_LOGICAL_GPUS"  # if set, Ray's GPUs do not exist, as on a simulated cluster
UNSEEN = "Ray assigned a GPU to this trial, but"


def unseen_gpu(given: Sequence[object]) -> str:
    """Return why the launch must end, or "".

    Args:
        given: the GPUs that Ray assigned to this worker.
    """
    if not given or os.environ.get(LOGICAL) or torch.cuda.is_available():
        return ""
    return (
        f"{UNSEEN} torch {torch.__version__} on {socket.gethostname()} sees none "
        f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}). Install a build of torch that fits "
        f"that machine's driver (see nvidia-smi), or start its Ray with --num-gpus 0. {LOGICAL}=1 trains on the CPU"
    )
