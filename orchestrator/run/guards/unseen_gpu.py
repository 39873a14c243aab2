"""A worker to which Ray gave a GPU that torch does not see ends the launch: on the processor it would take days."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

import torch

LOGICAL = "UNLEARN_LOGICAL_GPUS"  # set: Ray's GPUs are names only, as on a simulated cluster
UNSEEN = "Ray gave this trial a GPU, but"


def unseen_gpu(given: Sequence[object]) -> str:
    """Why the launch has to end, or nothing; `given` are the GPUs that Ray gave this worker."""
    if not given or os.environ.get(LOGICAL) or torch.cuda.is_available():
        return ""
    return (
        f"{UNSEEN} torch {torch.__version__} on {socket.gethostname()} sees none "
        f"(CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')}). Install a build of torch that fits "
        f"that machine's driver (see nvidia-smi), or start its Ray with --num-gpus 0. {LOGICAL}=1 trains on the "
        "processor all the same"
    )
