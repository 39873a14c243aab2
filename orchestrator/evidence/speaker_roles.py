"""What training knows of each speaker: kept, forgotten, forgotten by an earlier request, or never in training."""

from __future__ import annotations

from typing import Any

import numpy as np

KEPT, FORGOTTEN, BEFORE, UNHEARD = "kept", "forgotten", "forgotten_before", "unheard"


def speaker_roles(
    speakers: np.ndarray[Any, Any],
    forget: np.ndarray[Any, Any],
    retain: np.ndarray[Any, Any],
    before: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """Return (n,) the role of each utterance's speaker.

    A speaker with any utterance in D_r is kept, however many were forgotten. Others are forgotten if D_f has one,
    forgotten before if an earlier request named one, and unheard if training never had any.

    Args:
        speakers: (n,) of utterances.
        forget: speakers of D_f.
        retain: speakers of D_r, all of them.
        before: speakers of what earlier requests forgot.
    """
    in_order = (np.isin(speakers, retain), np.isin(speakers, forget), np.isin(speakers, before))
    return np.select(in_order, (KEPT, FORGOTTEN, BEFORE), default=UNHEARD)
