"""The packaged recognizer is pretrained on sentences and voices of its own, in batches that cut no speech off."""

from __future__ import annotations

import pytest
import torch

from backbones.ctc import Wav2Vec2Ctc
from orchestrator.deploy.pretrain_nano_ctc import BATCH, Prepared, PretrainingSentences, batches, prepare, write
from orchestrator.tasks.build import open_corpus
from orchestrator.tasks.espeak_sentences import EspeakSentences
from orchestrator.tasks.espeak_tts.engine import variant_halves


def test_no_voice_of_a_sweep_speaks_in_the_pretraining() -> None:
    halves = variant_halves()
    assert set(halves[PretrainingSentences.half]).isdisjoint(halves[EspeakSentences.half])


def test_batches_have_every_utterance_at_most_once_and_few_lengths() -> None:
    lengths = torch.randperm(260)
    found = list(batches(torch.arange(260), lengths, torch.Generator().manual_seed(0)))
    rows = torch.cat(found)
    assert len(set(rows.tolist())) == len(rows) == len(found) * BATCH == 256
    assert max(int(lengths[batch].max() - lengths[batch].min()) for batch in found) < 2 * BATCH


@pytest.mark.parametrize(("extra", "frames"), [(0.0, 4), (0.5, 7), (1.0, 10)])
def test_a_batch_keeps_all_speech_and_a_share_of_the_padding(extra, frames) -> None:
    prepared = Prepared(torch.zeros(3, 10, 2), torch.tensor([2, 4, 10]), torch.zeros(3, 1), ["a", "b", "c"])
    given, lengths, _ = prepared.batch(torch.tensor([0, 1]), extra)
    assert given.shape == (2, frames, 2)
    assert lengths.tolist() == [2, 4]


def test_what_is_written_loads_as_the_recognizer_with_its_head(tmp_path, monkeypatch) -> None:
    task = PretrainingSentences(sentences=20, voices=2, canaries=0, workers=1)
    corpus = open_corpus(task, tmp_path)
    backbone = Wav2Vec2Ctc(checkpoint="packaged:wav2vec2_nano")
    torch.manual_seed(1)
    model = backbone.build().eval()
    prepared = prepare(backbone, corpus, model)
    given = prepared.batch(torch.arange(4), 1.0)[:2]
    file = write(backbone, model, tmp_path)
    monkeypatch.setattr("backbones.checkpoints.packaged_file", lambda checkpoint: file)
    loaded = Wav2Vec2Ctc(checkpoint="packaged:wav2vec2_nano_ctc")
    torch.manual_seed(2)
    with torch.no_grad():
        assert torch.allclose(loaded.build().eval()(*given), model(*given), atol=0.05)
        assert not torch.allclose(loaded.build(pretrained=False).head.weight, model.head.weight, atol=0.05)
