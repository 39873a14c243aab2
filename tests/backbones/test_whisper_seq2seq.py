from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from backbones.whisper_seq2seq import VARIANTS, WhisperSeq2Seq

CPU = torch.device("cpu")
TEXTS = ["nine o'clock", "a", "the old man"]

Clips = tuple[Tensor, Tensor]


@pytest.fixture
def nano() -> WhisperSeq2Seq:
    return VARIANTS["whisper_seq2seq_nano"]()  # type: ignore[return-value]


def close(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    return torch.allclose(a, b, rtol=0, atol=tolerance)


def test_variants_are_for_transcripts_only() -> None:
    assert set(VARIANTS) == {"whisper_tiny_en", "whisper_seq2seq_nano"}
    assert WhisperSeq2Seq.target == "transcripts"
    tiny = VARIANTS["whisper_tiny_en"]()
    assert (tiny.checkpoint, tiny.revision) == ("openai/whisper-tiny.en", "main")  # type: ignore[attr-defined]


def test_a_decoder_that_was_trained_on_much_speech_has_the_stricter_limit(nano: WhisperSeq2Seq) -> None:
    assert nano.largest_wer == 0.25
    assert VARIANTS["whisper_tiny_en"]().largest_wer == 0.10


def test_one_seed_gives_one_decoder_whatever_the_encoder(nano: WhisperSeq2Seq) -> None:
    built = []
    for seed, pretrained in ((1, True), (1, False), (2, True)):
        torch.manual_seed(seed)
        built.append(nano.build(pretrained=pretrained))
    first, random, other = built
    assert torch.equal(first.head.weight, random.head.weight)
    assert torch.equal(first.decoder.layers[1].fc1.weight, random.decoder.layers[1].fc1.weight)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert torch.equal(first.stem.conv1.weight, other.stem.conv1.weight)
    assert not torch.equal(first.stem.conv1.weight, random.stem.conv1.weight)


def test_a_checkpoint_brings_its_decoder_and_draws_nothing(recognizer_folder: str) -> None:
    from safetensors.torch import load_file

    stored = load_file(Path(recognizer_folder) / "model.safetensors")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    model = WhisperSeq2Seq(checkpoint=recognizer_folder).build()
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert torch.equal(model.head.weight, stored["model.decoder.embed_tokens.weight"])
    assert torch.equal(model.layers[1].fc1.weight, stored["model.encoder.layers.1.fc1.weight"])
    assert not any("positions" in name for name, _ in model.named_parameters() if name.startswith("stem"))


def test_a_checkpoint_without_decoder_is_refused(tiny_folder, recognizer_folder: str, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "encoder"
    shutil.copytree(recognizer_folder, folder)
    weights = {k: v for k, v in load_file(folder / "model.safetensors").items() if "decoder.layers" not in k}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"weights are missing, such as model\.decoder\.layers"):
        WhisperSeq2Seq(checkpoint=str(folder)).build()


@pytest.mark.parametrize("which", ["packaged", "checkpoint"])
def test_shapes_are_known_without_reading_weights(which: str, recognizer_folder: str) -> None:
    backbone = WhisperSeq2Seq(checkpoint={"packaged": "packaged:whisper_nano", "checkpoint": recognizer_folder}[which])
    with torch.device("meta"):
        model = backbone.build(2)
    assert which == "packaged" or {p.device.type for p in model.parameters()} == {"meta"}
    assert {k: v.shape for k, v in model.state_dict().items()} == {
        k: v.shape for k, v in backbone.build(2).state_dict().items()
    }


@pytest.mark.parametrize(("which", "mode"), [("packaged", "clip"), ("checkpoint", "clip"), ("checkpoint", "full")])
def test_saved_models_load_in_plain_transformers_and_here(
    which: str, mode: str, recognizer_folder: str, clips: Clips, tmp_path: Path
) -> None:
    from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperForConditionalGeneration

    checkpoint = {"packaged": "packaged:whisper_nano", "checkpoint": recognizer_folder}[which]
    backbone = WhisperSeq2Seq(checkpoint=checkpoint, whisper_frames=mode)  # type: ignore[arg-type]
    torch.manual_seed(5)
    model = backbone.build().eval()
    features, lengths = backbone.frontend(CPU)(*clips)
    backbone.save_pretrained(model, tmp_path / "saved", clip_samples=16_000)
    theirs = WhisperForConditionalGeneration.from_pretrained(tmp_path / "saved").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path / "saved")
    made = extractor(clips[0].numpy(), sampling_rate=16_000, return_tensors="pt").input_features
    assert close(made.transpose(1, 2), features, 1e-5)
    labels = torch.tensor([[*tokenizer.encode(TEXTS[2], add_special_tokens=False), tokenizer.eos_token_id]])
    targets = model.tokens([TEXTS[2]])
    assert labels.tolist() == targets.tolist()
    with torch.no_grad():
        found = theirs(made[:1], labels=labels)
        generated = theirs.generate(made, max_new_tokens=12)
    assert close(found.logits, model(features[:1], lengths[:1], targets))
    texts = [text.strip() for text in tokenizer.batch_decode(generated, skip_special_tokens=True)]
    assert texts == [model.spelling.text(row) for row in model.greedy(model.encode(features), [12] * 3)]

    again = WhisperSeq2Seq(checkpoint=str(tmp_path / "saved"), whisper_frames=mode)  # type: ignore[arg-type]
    reopened = again.build().eval()
    assert close(reopened(features[:1], lengths[:1], targets), found.logits)
    assert reopened.transcribe(features, lengths) == model.transcribe(features, lengths)


def test_longer_clips_cost_more_than_an_encoder_alone(nano: WhisperSeq2Seq) -> None:
    from backbones.whisper import Whisper

    encoder = Whisper(checkpoint=nano.checkpoint)
    assert encoder.train_gflop(3.0) < nano.train_gflop(3.0) < nano.train_gflop(6.0)
    assert encoder.train_bytes(3.0).activations < nano.train_bytes(3.0).activations
    trained = sum(p.numel() for p in nano.build().parameters())
    assert nano.train_bytes(3.0).weights == pytest.approx(4 * trained, rel=0.35)  # the sinusoids are in it


def test_estimates_need_no_checkpoint() -> None:
    tiny = VARIANTS["whisper_tiny_en"]()
    assert tiny.train_bytes(3.0).weights == pytest.approx(4 * 37.8e6, rel=0.05)
    assert tiny.train_gflop(3.0) > 3 * tiny.train_gflop(0.5)


def test_a_new_decoder_learns_three_sentences(nano: WhisperSeq2Seq, clips: Clips) -> None:
    torch.manual_seed(1)
    model = nano.build()
    features, lengths = nano.frontend(CPU)(*clips)
    targets = model.tokens(TEXTS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(90):
        optimizer.zero_grad()
        loss = model.target_loss(model(features, lengths, targets), targets).mean()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.5
    assert model.eval().transcribe(features, lengths) == TEXTS


def test_float16_weights_are_computed_in_float32(models_folder: Path) -> None:
    from safetensors.torch import load_file

    folder = models_folder / "whisper-tiny-en"
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"
    stored = load_file(folder / "model.safetensors")
    model = WhisperSeq2Seq(checkpoint=str(folder)).build()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.head.weight, stored["model.decoder.embed_tokens.weight"].float())


def test_pretrained_logits_on_30_s_equal_transformers(models_folder: Path, clips: Clips) -> None:
    from transformers import WhisperForConditionalGeneration

    backbone = WhisperSeq2Seq(checkpoint=str(models_folder / "whisper-tiny-en"), whisper_frames="full")
    model = backbone.build().eval()
    features, lengths = backbone.frontend(CPU)(clips[0][:1], clips[1][:1])
    targets = model.tokens(TEXTS[:1])
    theirs = WhisperForConditionalGeneration.from_pretrained(backbone.checkpoint, dtype=torch.float32).eval()
    read = torch.cat([torch.tensor([model.spelling.prompt]), targets], dim=1)[:, :-1]
    with torch.no_grad():
        found = theirs(features.transpose(1, 2), decoder_input_ids=read).logits[:, 1:]
        assert close(model(features, lengths, targets), found, 1e-3)


def test_pretrained_whisper_transcribes_espeak(models_folder: Path) -> None:
    """Word errors are 25 % at most on clear sentences without numbers, in clips with half a second of silence."""
    from torchaudio.functional import edit_distance, resample

    from orchestrator.tasks.espeak_tts.engine import Line, render

    texts = [
        "my brother found the garden gate in the kitchen",
        "the doctor opened the window in the morning",
        "the teacher lost the black umbrella on the train",
        "peter sold a small red car in london",
    ]
    backbone = WhisperSeq2Seq(checkpoint=str(models_folder / "whisper-tiny-en"), whisper_frames="full")
    spoken = [
        resample(torch.from_numpy(audio.copy()).float() / 32768, 22_050, 16_000)
        for audio in render([Line("en-us+m3", text, 50, 130) for text in texts])
    ]
    lengths = torch.tensor([len(audio) for audio in spoken])
    waveforms = torch.nn.utils.rnn.pad_sequence(spoken, batch_first=True)
    model = backbone.build().eval()
    found = model.transcribe(*backbone.frontend(CPU)(waveforms, lengths))
    words = [[word.strip(".,?!") for word in text.lower().split()] for text in found]
    errors = sum(edit_distance(text.split(), row) for text, row in zip(texts, words, strict=True))
    assert errors / sum(len(text.split()) for text in texts) <= 0.25, found
