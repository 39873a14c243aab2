from __future__ import annotations

import numpy as np
import pytest

from orchestrator.forget.predict import predict_files


def test_answers_rank_classes_by_confidence_and_do_not_depend_on_other_recordings(untrained, commands):
    first, second = commands / "up-ann-00.wav", commands / "left-ben-01.wav"
    both = predict_files(untrained, [first, second], top=4)
    assert both[1:] == predict_files(untrained, [second], top=4)
    assert sum(p for _, p in both[0].ranked) == pytest.approx(1.0, abs=1e-5)
    assert [p for _, p in both[0].ranked] == sorted((p for _, p in both[0].ranked), reverse=True)


def test_audio_of_another_rate_and_of_two_channels_gets_nearly_the_same_answer(untrained, commands, tmp_path):
    import soundfile

    samples, rate = soundfile.read(commands / "up-ann-00.wav")
    soundfile.write(tmp_path / "stereo.flac", np.stack([samples, samples], axis=1), rate)
    one, other = predict_files(untrained, [commands / "up-ann-00.wav", tmp_path / "stereo.flac"], top=1)
    assert one.ranked[0][0] == other.ranked[0][0]
    assert one.ranked[0][1] == pytest.approx(other.ranked[0][1], abs=1e-3)


def test_a_recording_that_cannot_be_read_is_named_before_the_model_is_loaded(untrained, tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.wav: missing file"):
        predict_files(untrained, [tmp_path / "nothing.wav"])
