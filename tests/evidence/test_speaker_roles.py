"""A speaker's role follows from all that training had of the speaker."""

from __future__ import annotations

import numpy as np

from orchestrator.evidence.speaker_roles import BEFORE, FORGOTTEN, KEPT, NOBODY, UNHEARD, speaker_roles


def test_a_speaker_is_forgotten_only_if_nothing_of_the_speaker_is_kept() -> None:
    speakers = np.array(["kept", "partly", "gone", "earlier", "never", "gone"])
    found = speaker_roles(
        speakers,
        forget=np.array(["partly", "gone"]),
        retain=np.array(["kept", "partly"]),
        before=np.array(["earlier", "gone"]),
    )
    assert found.tolist() == [KEPT, KEPT, FORGOTTEN, BEFORE, UNHEARD, FORGOTTEN]


def test_without_training_everybody_is_unheard() -> None:
    nobody = np.empty(0, dtype=str)
    assert speaker_roles(np.array(["a", "b"]), nobody, nobody, nobody).tolist() == [UNHEARD, UNHEARD]


def test_noise_and_recordings_of_unknown_speakers_are_nobodys() -> None:
    kept = np.array(["", "_noise_", "a"])
    found = speaker_roles(np.array(["", "_noise_", "a", "b"]), np.array(["b"]), kept, np.empty(0, dtype=str))
    assert found.tolist() == [NOBODY, NOBODY, KEPT, FORGOTTEN]
