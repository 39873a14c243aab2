"""CTC backbones: what they save, plain transformers loads, with equal logits and texts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backbones import ctc
from methods.engine.answers import own_steps


@pytest.mark.parametrize("name", ["wav2vec2_nano_ctc", "hubert_nano_ctc"])
def test_saved_recognizers_load_in_transformers_with_equal_logits_and_texts(name, tmp_path) -> None:
    import transformers

    backbone = ctc.VARIANTS[name]()
    torch.manual_seed(1)
    model = backbone.build().eval()
    nn.init.normal_(model.head.weight)
    waveform = torch.randn(1, 12_000) * 0.1
    features = backbone.frontend(torch.device("cpu"))(waveform, torch.tensor([12_000]))
    backbone.save_pretrained(model, tmp_path / "saved", clip_samples=12_000)
    theirs = transformers.AutoModelForCTC.from_pretrained(tmp_path / "saved").eval()
    processor = transformers.Wav2Vec2Processor.from_pretrained(tmp_path / "saved")
    inputs = processor(waveform[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected, ours = theirs(**inputs).logits, model(*features)
    assert own_steps(ours).all()
    assert torch.allclose(ours, expected, atol=2e-5)
    text = processor.batch_decode(expected.argmax(-1))[0]
    assert " ".join(text.split()) == model.transcribe(*features)[0]


def test_one_seed_gives_one_new_head_whatever_the_encoder() -> None:
    heads = []
    for seed, pretrained in ((1, True), (1, False), (2, True)):
        torch.manual_seed(seed)
        heads.append(ctc.VARIANTS["hubert_nano_ctc"]().build(pretrained=pretrained).head.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_the_packaged_recognizer_has_its_own_head_and_a_random_model_has_not() -> None:
    heads = []
    for seed, pretrained in ((1, True), (2, True), (1, False)):
        torch.manual_seed(seed)
        heads.append(ctc.VARIANTS["wav2vec2_nano_ctc"]().build(pretrained=pretrained).head.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_published_variants_name_their_hub_ids() -> None:
    assert {ctc.VARIANTS[name]().checkpoint for name in ("wav2vec2_base_ctc", "hubert_base_ctc")} == {
        "facebook/wav2vec2-base",
        "facebook/hubert-base-ls960",
    }
