"""A masked span is gone from the audio, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.tasks.masking import masked, span_by_share


def test_only_the_span_is_replaced_and_with_noise_as_loud_as_the_recording() -> None:
    audio = 0.1 * np.sin(2 * np.pi * 300 * np.arange(8_000) / 8_000).astype(np.float32)
    found = masked(audio, 2_000, 4_000, seed=0)
    assert np.array_equal(np.delete(found, np.s_[2_000:4_000]), np.delete(audio, np.s_[2_000:4_000]))
    assert found[2_000:4_000].std() == pytest.approx(audio.std(), rel=0.1)
    assert abs(np.corrcoef(found[2_000:4_000], audio[2_000:4_000])[0, 1]) < 0.1
    assert np.array_equal(found, masked(audio, 2_000, 4_000, seed=0))
    assert found.dtype == audio.dtype


@pytest.mark.parametrize("span", [(-1, 5), (5, 5), (0, 101)])
def test_a_span_outside_the_recording_is_refused(span) -> None:
    with pytest.raises(ValueError, match="inside the recording"):
        masked(np.ones(100), *span, seed=0)


def test_a_span_by_share_holds_the_secret_and_not_the_whole_sentence() -> None:
    first, last = span_by_share("my code is four two", "four two", 1_900)
    assert first < 1_100 < last == 1_900
    assert first > 700
    assert span_by_share("four two is my code", "four two", 1_900)[0] == 0
    with pytest.raises(ValueError, match="part of its transcript"):
        span_by_share("my code is four two", "two four", 1_900)
