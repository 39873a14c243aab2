from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from backbones.fine_tuned import ARCHITECTURES, FineTuned, open_fine_tuned

SAMPLES = 3200
SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "conv_dim": (8, 8),
    "conv_kernel": (10, 8), "conv_stride": (5, 64), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2, "layerdrop": 0.1, "mask_time_prob": 0.5,
}  # fmt: skip
WHISPER = {
    "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_layers": 1,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 8, "vocab_size": 8, "max_source_positions": 10, "bos_token_id": 0,
    "eos_token_id": 0, "pad_token_id": 0, "decoder_start_token_id": 0, "suppress_tokens": None,
    "begin_suppress_tokens": None,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Writes a small model as a user's training leaves it; gives its folder."""

    def write(architecture, *, dtype=torch.float32, mask=True, **settings):
        import transformers

        whisper = architecture.startswith("Whisper")
        family = architecture.partition("For")[0].lower()
        named = {"id2label": {0: "ja", 1: "nein", 2: "halt", 3: "<b>"}, **(WHISPER if whisper else SMALL), **settings}
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(family, **named)
        getattr(transformers, architecture)(config).to(dtype).save_pretrained(tmp_path / family)
        extractor = (
            transformers.WhisperFeatureExtractor(chunk_length=1)
            if whisper
            else transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=mask)
        )
        extractor.save_pretrained(tmp_path / family)
        return tmp_path / family

    return write


def plain_logits(path, clip):
    """What plain transformers says of one clip."""
    import transformers

    model = transformers.AutoModelForAudioClassification.from_pretrained(path, dtype=torch.float32).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(path)
    whisper = "Whisper" in type(model).__name__
    more = {"padding": "max_length", "max_length": SAMPLES, "truncation": True} if whisper else {}
    inputs = extractor(clip.astype(np.float32) / 32768.0, sampling_rate=16000, return_tensors="pt", **more)
    with torch.no_grad():
        return model(**{k: v for k, v in inputs.items() if not (whisper and k == "attention_mask")}).logits


def clip_of(seed, samples=SAMPLES):
    return np.random.default_rng(seed).integers(-8000, 8000, samples).astype(np.int16)


@pytest.mark.parametrize("layer_sum", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_are_those_of_plain_transformers(folder, architecture, layer_sum):
    path = folder(architecture, classifier_proj_size=6, use_weighted_layer_sum=layer_sum)
    opened = open_fine_tuned(path)
    features, lengths = opened.features([clip_of(0)], SAMPLES)
    with torch.no_grad():
        found = opened.load()(features, lengths)
    assert opened.classes == ("ja", "nein", "halt", "<b>")
    assert torch.allclose(found, plain_logits(path, clip_of(0)), atol=1e-5)


def test_a_masked_clip_does_not_depend_on_its_padding(folder):
    opened = open_fine_tuned(folder("Wav2Vec2ForSequenceClassification", feat_extract_norm="layer"))
    model, short = opened.load(), clip_of(1, 1600)
    with torch.no_grad():
        alone, padded = (model(*opened.features([short], samples)) for samples in (1600, SAMPLES))
    assert torch.allclose(alone, padded, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folder_is_written_again_with_other_weights_and_nothing_else_changed(folder, tmp_path, architecture):
    path = folder(architecture, dtype=torch.float16)
    (path / "training_args.bin").write_bytes(b"pickle")
    (path / "speakers.json").write_text('["ann"]')
    (path / "train_ids.txt").write_text("up-ann-00")
    (path / "vocab.json").write_text("{}")
    opened = open_fine_tuned(path)
    model = opened.load()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.25)
    opened.save(model, tmp_path / "child")
    before, after = (json.loads((f / "config.json").read_text()) for f in (path, tmp_path / "child"))
    assert before == after
    gone = ("training_args.bin", "speakers.json", "train_ids.txt")
    assert not [name for name in gone if (tmp_path / "child" / name).exists()]
    assert (tmp_path / "child/vocab.json").exists()
    assert (tmp_path / "child/preprocessor_config.json").exists()
    with torch.no_grad():
        found = model(*opened.features([clip_of(2)], SAMPLES))
    assert torch.allclose(found, plain_logits(tmp_path / "child", clip_of(2)), atol=2e-2)
    assert not torch.allclose(found, plain_logits(path, clip_of(2)), atol=2e-2)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_blocks_run_in_the_order_in_which_they_are_listed(folder, architecture):
    opened = open_fine_tuned(folder(architecture))
    model, ran = opened.load(), []
    for number, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    model(*opened.features([clip_of(3)], SAMPLES))
    assert sorted(ran) == list(range(len(model.blocks)))
    assert ran[0] == 0
    assert ran[-1] == len(model.blocks) - 1


def test_a_pretrained_encoder_gives_the_same_network_with_a_new_head(folder):
    opened = open_fine_tuned(folder("WhisperForAudioClassification"))
    torch.manual_seed(1)
    fresh, own = opened.load(weights=opened.folder), opened.load()
    assert torch.equal(fresh.blocks[0].weight, own.blocks[0].weight)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "no preprocessor_config.json"),
        (lambda f: (f / "config.json").write_text('{"model_type": "whisper", "architectures": ["X"]}'), "is X"),
    ],
)
def test_a_folder_that_cannot_be_loaded_is_refused_with_what_is_wrong(folder, spoil, said):
    path = folder("WhisperForAudioClassification")
    spoil(path)
    with pytest.raises(ValueError, match=said):
        open_fine_tuned(path)


def test_a_path_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no model folder"):
        open_fine_tuned(tmp_path / "nothing")


def test_a_folder_is_never_written_over_itself(folder):
    opened = open_fine_tuned(folder("WhisperForAudioClassification"))
    before = (opened.folder / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="never changed"):
        opened.save(opened.load(), opened.folder)
    assert (opened.folder / "model.safetensors").read_bytes() == before


def test_a_class_without_a_name_is_refused(tmp_path):
    from types import SimpleNamespace

    for names in ({0: "a", 1: "b", 3: "c"}, {1: "a", 2: "b", 3: "c"}):
        opened = FineTuned(tmp_path, SimpleNamespace(num_labels=3, id2label=names), None)
        with pytest.raises(ValueError, match=r"config\.json names no class [02] of 3"):
            _ = opened.classes
