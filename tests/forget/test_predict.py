from __future__ import annotations

import shutil

import numpy as np
import pytest

from methods.base import Training
from orchestrator.forget.kept_outputs import read_outputs
from orchestrator.forget.lineage import OUTPUTS
from orchestrator.forget.predict import predict_files
from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.request import Request
from orchestrator.forget.serving import serve
from tests.forget.conftest import WORDS


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


@pytest.mark.parametrize("masks", [True, False])
def test_an_unlearned_model_reads_a_recording_as_forget_did_and_another_model_does_so_if_told(
    waveforms, commands, options, tmp_path, masks
):
    """Recordings of half the length are in the manifest: `forget` pads them to the longest."""
    import soundfile

    recordings, short = shutil.copytree(commands, tmp_path / "commands"), tmp_path / "commands/up-ann-12.wav"
    samples, rate = soundfile.read(short)
    soundfile.write(short, samples[: len(samples) // 2], rate)
    model = waveforms("Wav2Vec2", "wav2vec2", tmp_path / "m", masks=masks)
    brief = {"model": model, "data": recordings / "manifest.csv", "training": Training(learning_rate=1e-3, epochs=1)}
    served = serve(options(Request(speaker="ann"), f"padded-{masks}", **brief))
    key = open_key(served.folder.parent / "key", create=False)
    kept = read_outputs(served.folder / OUTPUTS)
    at = (*kept.forget_ids, *kept.unheard_ids).index(key.of("recording", "up-ann-12"))
    for folder, name, seconds in ((served.folder / "model", "child", None), (model, "original", 0.2)):
        logits = np.concatenate(kept.logits[name])[at]
        (answer,) = predict_files(folder, [short], top=4, clip_seconds=seconds)
        assert answer.read_as_seconds == pytest.approx(0.2)
        confidences = np.exp(logits) / np.exp(logits).sum()
        shown = dict(answer.ranked)
        assert [shown[word] for word in WORDS] == pytest.approx(confidences.tolist(), abs=1e-4)
    (own,) = predict_files(model, [short])
    assert own.read_as_seconds is None


def test_a_length_out_of_bounds_is_refused(untrained, commands):
    with pytest.raises(ValueError, match=r"--clip-seconds must be 0\.025 to 30; got 0"):
        predict_files(untrained, [commands / "up-ann-00.wav"], clip_seconds=0.0)
