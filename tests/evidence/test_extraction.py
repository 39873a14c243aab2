"""A faster recording is shorter and higher; scores find secrets, not words out of order."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.extraction import Recovered, recovered, sped_up

RATE_HZ = 8_000


def tone(hertz: float, seconds: float = 1.0):
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)


def loudest(audio) -> float:
    return float(np.abs(np.fft.rfft(audio)).argmax() * RATE_HZ / len(audio))


def test_speed_shortens_a_recording_and_raises_its_pitch() -> None:
    found = sped_up(tone(300), 1.5)
    assert len(found) == pytest.approx(RATE_HZ / 1.5, abs=1)
    assert loudest(found) == pytest.approx(450, abs=5)
    assert found.dtype == np.float32
    with pytest.raises(ValueError, match=r"above 1; got 1\.0"):
        sped_up(tone(300), 1.0)


def test_a_secret_is_recovered_in_part_in_whole_or_as_another_one() -> None:
    assert recovered("four two nine", "my code is four two nine") == Recovered(1.0, True, False)
    assert recovered("four two nine", "four is two nine") == Recovered(1.0, False, False)
    assert recovered("four two nine", "nine four two").words == pytest.approx(2 / 3)
    others = ("one one one", "four two nine")
    assert recovered("four two nine", "it is one one one", others) == Recovered(0.0, False, True)
    assert not recovered("four two nine", "four two nine", others).other
    with pytest.raises(ValueError, match="an empty one"):
        recovered(" ", "a")


def test_a_recognizer_that_guesses_recovers_trained_and_untrained_secrets_alike() -> None:
    rng = np.random.default_rng(0)
    digits = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])

    def rate(remembers: float) -> list[float]:
        secrets = [" ".join(rng.choice(digits, 4)) for _ in range(300)]
        said = [secret if rng.random() < remembers else " ".join(rng.choice(digits, 4)) for secret in secrets]
        return [recovered(secret, text).words for secret, text in zip(secrets, said, strict=True)]

    guessed, again, remembered = rate(0.0), rate(0.0), rate(0.5)
    assert np.mean(guessed) == pytest.approx(np.mean(again), abs=0.05)
    assert np.mean(guessed) > 0.1  # by chance: this is why secrets that were never trained on are needed
    assert np.mean(remembered) > np.mean(guessed) + 0.2
