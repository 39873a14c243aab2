"""The small encoders and the recognizer that ship with the package: small, whole, and worth starting from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from backbones.checkpoints import packaged_file
from orchestrator import plugins
from orchestrator.evidence.wer import edits
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.espeak import EspeakKeywords
from orchestrator.tasks.espeak_sentences import EspeakSentences

NAMES = ("whisper_nano", "wav2vec2_nano", "hubert_nano")
RECOGNIZERS = ("wav2vec2_nano_ctc",)


@pytest.mark.parametrize("name", [*NAMES, *RECOGNIZERS])
def test_the_file_is_small_and_in_float16(name):
    from safetensors.torch import load_file

    path = packaged_file(f"packaged:{name}")
    assert path.stat().st_size <= 1.5e6
    weights = load_file(path)
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert sum(value.numel() for value in weights.values()) <= 500_000
    assert all(torch.isfinite(value.float()).all() for value in weights.values())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return open_corpus(
        EspeakKeywords(clips=360, speakers=12, voice_spread=0.5, snr_db=(10.0, 30.0)), tmp_path_factory.mktemp("nano")
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_linear_probe_hears_more_in_pretrained_weights_than_in_random_ones(name, corpus):
    backbone = plugins.load("backbones", name)
    audio = torch.from_numpy(np.stack([corpus.audio(row) for row in range(len(corpus))])).float() / 32768
    features, lengths = backbone.frontend(torch.device("cpu"))(audio, torch.full((len(audio),), audio.shape[1]))
    train, test = corpus.rows("train"), corpus.rows("test")
    scores = []
    for pretrained in (True, False):
        torch.manual_seed(0)
        model = backbone.build(12, pretrained=pretrained).eval()
        with torch.no_grad():
            heard = torch.cat([model.embed(f, n) for f, n in zip(features.split(60), lengths.split(60), strict=True)])
        heard = (heard - heard.mean(0)) / (heard.std(0) + 1e-6)
        probe = LogisticRegression(max_iter=300, C=0.1).fit(heard[train], corpus.labels[train])
        scores.append(probe.score(heard[test], corpus.labels[test]))
    assert scores[0] > scores[1] + 0.2


@pytest.mark.parametrize("name", RECOGNIZERS)
def test_a_recognizer_transcribes_more_than_half_of_the_words_of_voices_that_it_was_not_pretrained_on(name, tmp_path):
    corpus = open_corpus(
        EspeakSentences(sentences=24, voices=4, canaries=0, snr_db=(20.0, 30.0), seed=1000, workers=1), tmp_path
    )
    backbone = plugins.load("backbones", name)
    audio = torch.zeros(len(corpus), int(corpus.num_samples.max()))
    for row, samples in enumerate(corpus.num_samples):
        audio[row, :samples] = torch.from_numpy(corpus.audio(row).astype(np.float32) / 32768)
    given = backbone.frontend(torch.device("cpu"))(audio, torch.from_numpy(corpus.num_samples))
    said = backbone.build().eval().transcribe(*given)
    assert edits(corpus.texts.tolist(), said, corpus.utterance_ids.tolist()).total().wer < 0.5
