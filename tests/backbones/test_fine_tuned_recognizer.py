"""A folder of a recognizer is opened, gives the outputs of the model that wrote it, and is written again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from backbones.fine_tuned import FineTuned
from backbones.fine_tuned_recognizer import FineTunedRecognizer, open_recognizer
from backbones.opened import open_model
from orchestrator import plugins

NAMES = ["wav2vec2_nano_ctc", "hubert_nano_ctc", "whisper_seq2seq_nano"]
SAMPLES = 6_400
CLIPS = [np.random.default_rng(seed).integers(-3000, 3000, SAMPLES - 800 * seed).astype(np.int16) for seed in range(2)]
TEXTS = ["go home", "a"]


@pytest.fixture(scope="module", params=NAMES)
def written(request, tmp_path_factory):
    """The folder of a recognizer with weights of its own, and its losses and transcripts."""
    torch.manual_seed(1)
    backbone = plugins.load("backbones", request.param)
    model = backbone.build(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    folder = tmp_path_factory.mktemp(request.param) / "model"
    backbone.save_pretrained(model.eval(), folder, clip_samples=SAMPLES)
    padded = torch.zeros(len(CLIPS), SAMPLES)
    for row, clip in enumerate(CLIPS):
        padded[row, : len(clip)] = torch.from_numpy(clip.astype(np.float32) / 32768)
    features = backbone.frontend(torch.device("cpu"))(padded, torch.tensor(list(map(len, CLIPS))))
    return folder, answers(model, *features)


def answers(model, features, lengths):
    targets = model.tokens(TEXTS)
    with torch.no_grad():
        losses = model.target_loss(model.answer(features, lengths, targets), targets)
    return losses, model.transcribe(features, lengths)


def test_an_opened_folder_answers_as_the_model_that_wrote_it(written) -> None:
    folder, (losses, texts) = written
    opened = open_model(folder)
    assert isinstance(opened, FineTunedRecognizer)
    found, said = answers(opened.load(), *opened.features(CLIPS, SAMPLES))
    assert torch.allclose(found, losses, atol=1e-4)
    assert said == texts


def test_it_is_written_again_with_other_weights_and_the_same_type_and_tokenizer(written, tmp_path: Path) -> None:
    folder, (losses, _) = written
    opened = open_recognizer(folder)
    model = opened.load()
    with torch.no_grad():
        model.blocks[-2].weight.mul_(1.1) if hasattr(model.blocks[-2], "weight") else model.head.weight.mul_(1.1)
    opened.save(model, tmp_path / "child")
    again = open_model(tmp_path / "child")
    for name, value in again.load().state_dict().items():
        assert torch.allclose(value, model.state_dict()[name], atol=1e-6), name
    found, _ = answers(again.load(), *again.features(CLIPS, SAMPLES))
    assert not torch.allclose(found, losses, atol=1e-4)
    assert json.loads((tmp_path / "child/config.json").read_text())["architectures"] == opened.config.architectures
    with pytest.raises(ValueError, match="never changed"):
        opened.save(model, folder)


def test_half_precision_stays(written, tmp_path: Path) -> None:
    import transformers
    from safetensors.torch import load_file

    folder, _ = written
    opened = open_recognizer(folder)
    half = getattr(transformers, opened.architecture).from_pretrained(folder).half()
    opened.save(opened.load(), tmp_path / "whole")  # with its tokenizer
    half.save_pretrained(tmp_path / "whole")
    parent = open_recognizer(tmp_path / "whole")
    parent.save(parent.load(), tmp_path / "child")
    assert {w.dtype for w in load_file(tmp_path / "child/model.safetensors").values()} == {torch.float16}


def test_other_characters_than_those_of_this_package_are_refused(written, tmp_path: Path) -> None:
    folder, _ = written
    opened = open_recognizer(folder)
    if opened.is_whisper:
        pytest.skip("a decoder brings its own tokenizer")
    opened.save(opened.load(), tmp_path / "other")
    (tmp_path / "other/vocab.json").write_text(json.dumps({"<pad>": 0, "A": 1}))
    with pytest.raises(ValueError, match="other characters"):
        open_recognizer(tmp_path / "other")


def test_a_folder_of_another_kind_is_refused_with_the_kinds_that_are_known(tmp_path: Path) -> None:
    backbone = plugins.load("backbones", "whisper_nano")
    backbone.save_pretrained(backbone.build(2), tmp_path / "classes", ["a", "b"], clip_samples=SAMPLES)
    assert isinstance(open_model(tmp_path / "classes"), FineTuned)
    config = tmp_path / "classes/config.json"
    config.write_text(config.read_text().replace("WhisperForAudioClassification", "WhisperModel"))
    with pytest.raises(ValueError, match=r"architecture is WhisperModel.*Wav2Vec2ForCTC"):
        open_model(tmp_path / "classes")
