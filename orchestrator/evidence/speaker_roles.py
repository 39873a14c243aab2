"""What training knows of each speaker: kept, forgotten, forgotten by an earlier request, or never in training."""

from __future__ import annotations

from typing import Any

import numpy as np

KEPT, FORGOTTEN, BEFORE, UNHEARD, NOBODY = "kept", "forgotten", "forgotten_before", "unheard", "nobody"
NAMELESS = ("", "_noise_")  # speakers of recordings in which nobody speaks, or nobody knows who


def speaker_roles(
    speakers: np.ndarray[Any, Any],
    forget: np.ndarray[Any, Any],
    retain: np.ndarray[Any, Any],
    before: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """Return (n,) the role of each utterance's speaker.

    A speaker with any utterance in D_r is kept, however many were forgotten. Others are forgotten if D_f has one,
    forgotten before if an earlier request named one, and unheard if training never had any. Noise, and recordings
    whose speaker is unknown, are nobody's.

    Args:
        speakers: (n,) of utterances.
        forget: speakers of D_f.
        retain: speakers of D_r, all of them.
        before: speakers of what earlier requests forgot.
    """
    in_order = (NAMELESS, retain, forget, before)
    return np.select([np.isin(speakers, names) for names in in_order], (NOBODY, KEPT, FORGOTTEN, BEFORE), UNHEARD)
