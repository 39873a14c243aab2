from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.hubert import Hubert
from backbones.wav2vec2 import Wav2Vec2
from backbones.waveform_encoder import WaveformClassifier, normalize

CPU = torch.device("cpu")
FAMILIES = {"wav2vec2": Wav2Vec2, "hubert": Hubert}
TINY = ["wav2vec2-group", "wav2vec2-layer", "hubert-group", "hubert-layer"]
Clips = tuple[Tensor, Tensor]
Folder = Callable[[str], str]


def tiny(name: str, folder: Folder, **settings: Any) -> Wav2Vec2:
    return FAMILIES[name.partition("-")[0]](checkpoint=folder(name), **settings)


def theirs(backbone: Wav2Vec2, model: WaveformClassifier, waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Logits of transformers' classifier with our head put in, masked as the family was pretrained."""
    import transformers

    hf = getattr(transformers, backbone.architecture).from_pretrained(backbone.checkpoint, num_labels=5)
    hf.projector.load_state_dict(model.readout.projector.state_dict())
    hf.classifier.load_state_dict(model.head.state_dict())
    mask = (torch.arange(waveforms.shape[1]) < lengths[:, None]).long()
    masked = hf.config.feat_extract_norm == "layer"
    with torch.no_grad():
        logits: Tensor = hf.eval()(normalize(waveforms, lengths), attention_mask=mask if masked else None).logits
    return logits


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("name", TINY)
def test_logits_equal_transformers(name: str, frozen: bool, tiny_folder: Folder, clips: Clips) -> None:
    backbone = tiny(name, tiny_folder, freeze_feature_encoder=frozen)
    model = backbone.build(5).eval()
    features, lengths = backbone.frontend(CPU)(*clips)
    assert features.shape == ((3, 49, 16) if frozen else (3, 16_000))
    assert torch.allclose(model(features, lengths), theirs(backbone, model, *clips), atol=2e-6)


def test_normalisation_equals_the_feature_extractor_on_each_utterance_alone(clips: Clips) -> None:
    from transformers import Wav2Vec2FeatureExtractor

    waveforms, lengths = clips
    ours = normalize(waveforms, lengths)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    for row, length in enumerate(lengths.tolist()):
        alone = extractor(waveforms[row, :length].numpy(), sampling_rate=16_000, return_tensors="pt").input_values[0]
        assert (ours[row, :length] - alone).abs().max() < 1e-5
        assert not ours[row, length:].any()


def test_padding_does_not_change_logits_of_masked_models(tiny_folder: Folder, clips: Clips) -> None:
    backbone = tiny("hubert-layer", tiny_folder)
    frontend, model = backbone.frontend(CPU), backbone.build(5).eval()
    padded = model(*frontend(clips[0][1:2], clips[1][1:2]))
    alone = model(*frontend(clips[0][1:2, :9_000], clips[1][1:2]))
    assert torch.allclose(padded, alone, atol=1e-6)


def test_training_the_convolutions_moves_them(tiny_folder: Folder, clips: Clips) -> None:
    backbone = tiny("wav2vec2-group", tiny_folder, freeze_feature_encoder=False)
    model = backbone.build(5)
    assert model.blocks[0] is model.feature_extractor
    model(*backbone.frontend(CPU)(*clips)).sum().backward()  # type: ignore[no-untyped-call]
    assert all(float(p.grad.abs().sum()) > 0 for p in model.feature_extractor.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["wav2vec2-group", "hubert-layer"])
def test_models_with_trained_convolutions_are_saved_whole(
    name: str, tiny_folder: Folder, clips: Clips, tmp_path: Any
) -> None:
    from transformers import AutoModelForAudioClassification

    backbone = tiny(name, tiny_folder, freeze_feature_encoder=False)
    model = backbone.build(2).eval()
    for parameter in model.parameters():
        parameter.data *= 1.1
    backbone.save_pretrained(model, tmp_path, ["a", "b"], clip_samples=16_000)
    features, lengths = backbone.frontend(CPU)(clips[0][:1], clips[1][:1])
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path).eval()
    assert torch.allclose(loaded(features).logits, model(features, lengths), atol=1e-5)


def test_layerdrop_of_the_checkpoint_is_off(tiny_folder: Folder, clips: Clips) -> None:
    backbone = tiny("hubert-layer", tiny_folder)
    model, features = backbone.build(2), backbone.frontend(CPU)(*clips)
    assert all(torch.equal(model(*features), model(*features)) for _ in range(5))


def test_spec_augment_acts_in_training_only_and_from_torchs_seed(tiny_folder: Folder, clips: Clips) -> None:
    backbone = tiny("wav2vec2-group", tiny_folder, spec_augment=True)
    model, features = backbone.build(2), backbone.frontend(CPU)(*clips)

    def logits(seed: int) -> Tensor:
        torch.manual_seed(seed)
        drawn: Tensor = model(*features)
        return drawn

    assert torch.equal(logits(1), logits(1))
    assert not torch.allclose(logits(1), logits(2))
    logits(1).sum().backward()  # type: ignore[no-untyped-call]
    assert model.stem.masked_spec_embed is not None
    assert model.stem.masked_spec_embed.grad is not None
    model.eval()
    assert torch.equal(logits(1), logits(2))


def test_spec_augment_needs_a_mask_embedding(tmp_path: Any) -> None:
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, mask_time_prob=0.0,
    )  # fmt: skip
    HubertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"mask_time_prob 0.0, allowed: above 0"):
        Hubert(checkpoint=str(tmp_path), spec_augment=True).build(2)


@pytest.mark.parametrize("name", TINY)
def test_utterances_too_short_for_one_frame_are_refused(name: str, tiny_folder: Folder) -> None:
    frontend = tiny(name, tiny_folder).frontend(CPU)
    frames = frontend(torch.randn(1, 400), torch.tensor([400]))[0]
    assert frames.shape == (1, 1, 16)
    with pytest.raises(ValueError, match="got 399 samples, allowed: 400 or more"):
        frontend(torch.randn(2, 16_000), torch.tensor([16_000, 399]))
