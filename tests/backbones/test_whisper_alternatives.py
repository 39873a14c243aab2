"""Alternatives of a transcript have the losses that each has alone, as far as their rank needs them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from backbones import whisper_alternatives
from backbones.whisper_recognizer import WhisperRecognizer
from backbones.whisper_seq2seq import WhisperSeq2Seq
from backbones.whisper_text import NO_TOKEN

TEXTS = ["the code " + " ".join(words) for words in itertools.product(["one", "two", "o"], repeat=3)]


@pytest.fixture
def model(recognizer_folder: str) -> WhisperRecognizer:
    return WhisperSeq2Seq(checkpoint=recognizer_folder).build().eval()


@pytest.fixture
def recording(recognizer_folder: str, clips: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    features, lengths = WhisperSeq2Seq(checkpoint=recognizer_folder).frontend(torch.device("cpu"))(*clips)
    return features[[1]], lengths[[1]]


def each_alone(model: WhisperRecognizer, recording: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    features, lengths = recording
    rows = [model.target_loss(model(features, lengths, row[None]), row[None]) for row in targets]
    return torch.cat(rows).detach()


@pytest.mark.parametrize("at_once", [4, 512])
def test_losses_are_those_of_each_transcript_alone(
    model: WhisperRecognizer, recording: tuple[Tensor, Tensor], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whisper_alternatives, "AT_ONCE", at_once)
    targets = model.tokens(TEXTS)
    worst = int((each_alone(model, recording, targets) * (targets != NO_TOKEN).sum(dim=1)).argmax())
    targets = targets[[worst, *(row for row in range(len(TEXTS)) if row != worst)]]
    found = model.alternative_losses(*recording, targets)
    assert torch.allclose(found, each_alone(model, recording, targets), atol=1e-5)


def test_only_transcripts_less_likely_than_the_first_are_given_up(
    model: WhisperRecognizer, recording: tuple[Tensor, Tensor]
) -> None:
    targets = model.tokens(TEXTS)
    sizes = (targets != NO_TOKEN).sum(dim=1)
    expected = each_alone(model, recording, targets)
    order = (expected * sizes).argsort()
    for rank in (0, 5, len(TEXTS) - 1):
        rows = torch.cat([order[[rank]], order[:rank], order[rank + 1 :]])
        found = model.alternative_losses(*recording, targets[rows])
        known = ~found.isinf()
        assert torch.allclose(found[known], expected[rows][known], atol=1e-5)
        assert int((found * sizes[rows] <= found[0] * sizes[rows][0]).sum()) == rank + 1


def test_a_model_whose_losses_are_no_numbers_gives_up_nothing(
    model: WhisperRecognizer, recording: tuple[Tensor, Tensor]
) -> None:
    with torch.no_grad():
        model.head.weight.fill_(torch.nan)
    assert model.alternative_losses(*recording, model.tokens(TEXTS)).isnan().all()


def test_a_single_transcript_has_its_own_loss(model: WhisperRecognizer, recording: tuple[Tensor, Tensor]) -> None:
    targets = model.tokens(["one"])
    found = model.alternative_losses(*recording, targets)
    assert torch.allclose(found, each_alone(model, recording, targets), atol=1e-5)
