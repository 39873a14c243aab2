from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from backbones.whisper_recognizer import WhisperRecognizer
from backbones.whisper_seq2seq import WhisperSeq2Seq
from backbones.whisper_text import NO_STEP, NO_TOKEN

CPU = torch.device("cpu")
TEXTS = ["nine o'clock", "a", "the old man"]

Inputs = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def model(recognizer_folder: str) -> WhisperRecognizer:
    return WhisperSeq2Seq(checkpoint=recognizer_folder).build().eval()


@pytest.fixture
def inputs(model: WhisperRecognizer, recognizer_folder: str, clips: tuple[Tensor, Tensor]) -> Inputs:
    features, lengths = WhisperSeq2Seq(checkpoint=recognizer_folder).frontend(CPU)(*clips)
    return features, lengths, model.tokens(TEXTS)


def transformers_model(folder: str, positions: int) -> Any:
    """Their model with the table of encoder positions cut to the first `positions`."""
    from transformers import WhisperForConditionalGeneration

    theirs = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    encoder = theirs.model.encoder
    table = encoder.embed_positions.weight[:positions].clone()
    encoder.embed_positions = nn.Embedding.from_pretrained(table)  # type: ignore[no-untyped-call]
    theirs.config.max_source_positions = positions
    return theirs


def losses(model: WhisperRecognizer, inputs: Inputs) -> Tensor:
    return model.target_loss(model.answer(*inputs), inputs[2])


@pytest.mark.parametrize(("mode", "positions"), [("clip", 50), ("full", 100)])
def test_logits_and_losses_equal_transformers(
    mode: str, positions: int, recognizer_folder: str, clips: tuple[Tensor, Tensor]
) -> None:
    backbone = WhisperSeq2Seq(checkpoint=recognizer_folder, whisper_frames=mode)  # type: ignore[arg-type]
    model = backbone.build().eval()
    features, lengths = backbone.frontend(CPU)(*clips)
    targets = model.tokens(TEXTS)
    logits = model(features, lengths, targets)
    loss = model.target_loss(logits, targets)
    theirs = transformers_model(recognizer_folder, positions)
    for row, text in enumerate(TEXTS):
        labels = targets[row : row + 1, : len(text) + 1]
        with torch.no_grad():
            found = theirs(features[row : row + 1].transpose(1, 2), labels=labels)
        assert torch.allclose(logits[row, : len(text) + 1], found.logits[0], atol=1e-4)
        assert torch.allclose(loss[row], found.loss, atol=1e-5)


def test_a_loss_depends_on_neither_neighbors_nor_filling(model: WhisperRecognizer, inputs: Inputs) -> None:
    together = losses(model, inputs)
    features, lengths, targets = inputs
    for row in range(3):
        alone = losses(model, (features[[row]], lengths[[row]], targets[[row]]))
        assert torch.allclose(alone, together[[row]], atol=1e-5)
    wider = functional.pad(targets, (0, 7), value=NO_TOKEN)
    assert torch.allclose(losses(model, (features, lengths, wider)), together, atol=1e-6)


def test_a_batch_without_recordings_has_no_losses(model: WhisperRecognizer, inputs: Inputs) -> None:
    nothing: Inputs = (inputs[0][:0], inputs[1][:0], inputs[2][:0])
    assert model(*nothing).shape == (0, inputs[2].shape[1], 30)
    assert losses(model, nothing).shape == (0,)


def test_steps_after_the_end_are_certain_and_as_many_as_targets_have(model: WhisperRecognizer, inputs: Inputs) -> None:
    features, lengths, targets = inputs
    wider = functional.pad(targets, (0, 4), value=NO_TOKEN)
    logits = model(features, lengths, wider)
    own = wider != NO_TOKEN
    assert logits.shape == (3, wider.shape[1], 30)
    assert torch.equal(logits[..., 1:].amax(dim=-1) > NO_STEP / 2, own)
    assert torch.all(logits.softmax(dim=-1)[~own][:, 0] == 1)


def test_a_token_is_predicted_from_those_before_it_only(model: WhisperRecognizer, inputs: Inputs) -> None:
    features, lengths, targets = inputs
    changed = targets.clone()
    changed[:, 5] = 7
    before, after = model(features, lengths, targets), model(features, lengths, changed)
    assert torch.allclose(before[[0, 2], :6], after[[0, 2], :6], atol=1e-5)
    assert not torch.allclose(before[[0, 2], 6:], after[[0, 2], 6:], atol=1e-2)


def test_the_gradient_reaches_every_weight_of_encoder_and_decoder(model: WhisperRecognizer, inputs: Inputs) -> None:
    model.train()
    losses(model, inputs).mean().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"stem", "layers", "norm", "decoder", "head"}


def test_blocks_hold_each_parameter_once_and_run_in_order(model: WhisperRecognizer, inputs: Inputs) -> None:
    inside = [id(p) for block in model.blocks for p in block.parameters()]
    assert sorted(inside) == sorted(id(p) for p in model.parameters())
    assert model.blocks[-1] is model.head
    order: list[int] = []
    for number, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, number=number: order.append(number))
    model(*inputs)
    assert order == list(range(len(model.blocks)))


def test_the_table_of_tokens_stays_one_weight_in_copies_and_state_dicts(
    model: WhisperRecognizer, inputs: Inputs
) -> None:
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.head.weight.mul_(0.5)
    assert not torch.allclose(losses(twin, inputs), losses(model, inputs), atol=1e-3)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(losses(twin, inputs), losses(model, inputs))
    stored = [value.data_ptr() for value in model.state_dict().values()]
    assert len(stored) == len(set(stored))
    assert twin.spelling is model.spelling


def test_training_skips_no_layer_whatever_the_checkpoint_says(model: WhisperRecognizer, inputs: Inputs) -> None:
    model.train()
    assert all(torch.equal(losses(model, inputs), losses(model, inputs)) for _ in range(5))


def test_greedy_decoding_equals_generate_on_the_same_encoder_outputs(
    model: WhisperRecognizer, recognizer_folder: str
) -> None:
    from transformers.modeling_outputs import BaseModelOutput

    torch.manual_seed(2)
    encoded = 3 * torch.randn(6, 100, 32)
    generated = transformers_model(recognizer_folder, 100).generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=encoded), max_new_tokens=20
    )
    theirs = [model.spelling.text(row) for row in generated.tolist()]
    ours = [model.spelling.text(row) for row in model.greedy(encoded, [20] * 6)]
    assert ours == theirs
    assert len(set(ours)) > 1
    assert not any(set("bf") & set(text) for text in ours)  # the tokens 5 and 9, which the checkpoint suppresses


def test_transcripts_do_not_depend_on_neighbors(model: WhisperRecognizer, inputs: Inputs) -> None:
    features, lengths, _ = inputs
    together = model.transcribe(features, lengths)
    assert together == [model.transcribe(features[[row]], lengths[[row]])[0] for row in range(3)]


def test_endless_transcripts_are_cut_by_the_length_of_their_recording(model: WhisperRecognizer) -> None:
    model.spelling = replace(model.spelling, never=(0, 1, 2))  # neither end nor start nor space
    encoded = torch.randn(3, 50, 32)
    tokens = model.greedy(encoded, [4, 9, 1])
    assert [sum(token != model.spelling.end for token in row) for row in tokens] == [4, 9, 1]
    texts = model.transcribe_encoded(encoded, torch.tensor([100, 40, 10]))
    assert [len(text) for text in texts] == [model.spelling.most_tokens(seconds) for seconds in (1.0, 0.4, 0.1)]


def test_rows_that_end_early_change_nothing_of_the_others(model: WhisperRecognizer) -> None:
    torch.manual_seed(3)
    encoded = 3 * torch.randn(5, 50, 32)
    together = model.greedy(encoded, [20, 2, 20, 7, 20])
    assert [model.greedy(encoded[[row]], [most])[0] for row, most in enumerate([20, 2, 20, 7, 20])] == [
        tokens[:most] for tokens, most in zip(together, [20, 2, 20, 7, 20], strict=True)
    ]


def test_judging_gives_the_loss_and_the_greedy_transcript(model: WhisperRecognizer, inputs: Inputs) -> None:
    features, lengths, targets = inputs
    said = model.transcribe(features, lengths)
    for texts in (TEXTS, [said[0], TEXTS[1], said[2]]):  # where decoding finds the transcript, it need not run
        targets = model.tokens(texts)
        loss, found = model.judge(features, lengths, targets)
        assert found == said
        assert torch.allclose(loss, losses(model, (features, lengths, targets)), atol=1e-5)
    assert len(set(said)) > 1


def test_a_transcript_that_is_longer_than_decoding_may_give_is_not_taken_for_its_output(
    model: WhisperRecognizer, inputs: Inputs
) -> None:
    features, lengths, _ = inputs
    said = model.transcribe(features, lengths)
    model.spelling = replace(model.spelling, most_a_second=-8.0)  # no more than a token
    short = model.transcribe(features, lengths)
    assert model.judge(features, lengths, model.tokens(said))[1] == short != said


def test_embeddings_are_means_over_the_speech(model: WhisperRecognizer, inputs: Inputs) -> None:
    features, lengths, _ = inputs
    encoded, embedded = model.encode(features), model.embed(features, lengths)
    assert torch.allclose(embedded[0], encoded[0].mean(dim=0), atol=1e-5)
    assert torch.allclose(embedded[2], encoded[2, : -(-int(lengths[2]) // 2)].mean(dim=0), atol=1e-5)


def test_adapters_fit_and_leave_logits_unchanged(model: WhisperRecognizer, inputs: Inputs) -> None:
    from methods.modifiers.lora import Lora, add_adapters, merge_adapters

    before, names = losses(model, inputs), set(model.state_dict())
    assert any("encoder_attn" in name for name in model.adapter_targets)
    moved = add_adapters(model, Lora(rank=2))
    assert torch.allclose(losses(model, inputs), before, atol=1e-5)
    merge_adapters(model, moved)
    assert set(model.state_dict()) == names
