"""CTC recognizers: the likelihood of a transcript, and steps after an utterance's end that change nothing."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from backbones import ctc
from backbones.ctc_recognizer import NO_STEP
from backbones.ctc_text import best_path
from methods.engine import answers

NAMES = ("wav2vec2_nano_ctc", "hubert_nano_ctc")


@pytest.fixture(params=NAMES)
def recognizer(request):
    torch.manual_seed(3)
    return ctc.VARIANTS[request.param]().build().eval()


@pytest.fixture
def speech(request, recognizer):
    name = "wav2vec2_nano_ctc" if recognizer.config.model_type == "wav2vec2" else "hubert_nano_ctc"
    torch.manual_seed(0)
    return ctc.VARIANTS[name]().frontend(torch.device("cpu"))(
        torch.randn(3, 16_000) * 0.1, torch.tensor([16_000, 9_000, 12_000])
    )


def test_the_loss_sums_over_all_alignments(recognizer) -> None:
    logits = torch.randn(1, 4, 29)
    targets = recognizer.tokens(["ab"])
    probabilities = logits[0].softmax(dim=-1)
    total = sum(
        math.prod(float(probabilities[step, token]) for step, token in enumerate(path))
        for path in itertools.product(range(29), repeat=4)
        if set(path) <= {0, 3, 4} and best_path(torch.nn.functional.one_hot(torch.tensor([path]), 29).float()) == ["ab"]
    )
    assert float(recognizer.target_loss(logits, targets)) == pytest.approx(-math.log(total) / 2, rel=1e-4)


def test_steps_after_the_end_add_nothing_to_the_loss(recognizer, speech) -> None:
    features, lengths = speech
    targets = recognizer.tokens(["four", "to", "three"])
    logits = recognizer(features, lengths)
    together = recognizer.target_loss(logits, targets)
    own = int(answers.own_steps(logits)[1].sum())
    assert own == int(lengths[1])
    alone = recognizer.target_loss(logits[1:2, :own], targets[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-4)


def test_a_transcript_fits_if_its_likelihood_on_the_steps_of_its_recording_is_not_zero(recognizer, speech) -> None:
    logits = recognizer(*speech).detach()
    for text in ("three", "hello wo"):
        targets = recognizer.tokens([text])
        for steps in range(3, 12):
            fits = bool(recognizer.fits(torch.tensor([steps]), targets))
            assert fits == bool(recognizer.target_loss(logits[:1, :steps], targets).isfinite())


def test_methods_know_the_steps_and_tokens_that_are_none() -> None:
    assert NO_STEP == answers.NO_STEP
    assert ctc.CtcRecognizer.target == answers.TRANSCRIPTS
    from backbones.ctc_text import NO_TOKEN

    assert NO_TOKEN == answers.NO_TOKEN


def test_logits_do_not_depend_on_neighbours(recognizer, speech) -> None:
    features, lengths = speech
    together = recognizer(features, lengths)
    assert torch.allclose(recognizer(features[1:2], lengths[1:2]), together[1:2], atol=2e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_every_parameter_is_trained_and_belongs_to_one_block(recognizer, speech) -> None:
    targets = recognizer.tokens(["four", "to", "three"])
    recognizer.target_loss(recognizer(*speech), targets).sum().backward()
    in_blocks = [id(p) for block in recognizer.blocks for p in block.parameters()]
    assert sorted(in_blocks) == sorted(id(p) for p in recognizer.parameters())
    assert all(p.grad is not None for p in recognizer.parameters())
    assert recognizer.blocks[-1] is recognizer.head


def test_alternatives_of_one_recording_have_the_losses_of_transcripts(recognizer, speech) -> None:
    features, lengths = speech
    texts = recognizer.tokens(["four", "to", "three"])
    found = recognizer.alternative_losses(features[:1], lengths[:1], texts)
    for row, loss in enumerate(found):
        own = texts[row : row + 1]
        assert torch.allclose(recognizer.target_loss(recognizer(features[:1], lengths[:1]), own), loss[None], atol=1e-5)


def test_judging_gives_losses_and_transcripts(recognizer, speech) -> None:
    targets = recognizer.tokens(["four", "to", "three"])
    losses, texts = recognizer.judge(*speech, targets)
    assert torch.allclose(losses, recognizer.target_loss(recognizer(*speech), targets), atol=1e-5)
    assert texts == recognizer.transcribe(*speech)


def test_transcribing_takes_the_best_path(recognizer, speech) -> None:
    assert recognizer.transcribe(*speech) == best_path(recognizer(*speech).detach())


def test_embeddings_are_one_vector_an_utterance(recognizer, speech) -> None:
    assert recognizer.embed(*speech).shape == (3, 96)
