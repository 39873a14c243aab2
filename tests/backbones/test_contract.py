"""What holds for every classifier that the package offers; recognizers have a contract of their own."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import backbones
from backbones.base import Backbone

MODULES = [importlib.import_module(f"backbones.{info.name}") for info in pkgutil.iter_modules(backbones.__path__)]
VARIANTS: dict[str, Callable[..., Backbone]] = {
    name: factory
    for module in MODULES
    for name, factory in getattr(module, "VARIANTS", {}).items()
    if getattr(factory, "func", factory).target == "classes"
}
STAND_INS = {  # published checkpoint -> tiny random one with the same kinds of layers
    "openai/whisper-tiny": "whisper",
    "openai/whisper-base": "whisper",
    "facebook/wav2vec2-base": "wav2vec2-group",
    "facebook/wav2vec2-large": "wav2vec2-group",
    "facebook/hubert-base-ls960": "hubert-group",
    "facebook/hubert-large-ll60k": "hubert-layer",
    "facebook/hubert-xlarge-ll60k": "hubert-layer",
}
CLASSES = ["yes", "no", "_silence_"]
CPU = torch.device("cpu")

Clips = tuple[Tensor, Tensor]


@pytest.fixture(params=sorted(VARIANTS))
def backbone(request: pytest.FixtureRequest, tiny_folder: Callable[[str], str]) -> Backbone:
    factory = VARIANTS[request.param]
    checkpoint = factory.keywords.get("checkpoint", "") if isinstance(factory, partial) else ""
    if "/" in checkpoint:
        return factory(checkpoint=tiny_folder(STAND_INS[checkpoint]))
    return factory()


@pytest.fixture
def features(backbone: Backbone, clips: Clips) -> Clips:
    return backbone.frontend(CPU)(*clips)


def close(a: Tensor, b: Tensor, tolerance: float = 2e-5) -> bool:
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance)  # processors round logits of 10 and more differently


def lively(backbone: Backbone) -> Any:
    """A classifier whose head is large enough for differences to show, in eval mode."""
    torch.manual_seed(3)
    model = backbone.build(len(CLASSES))
    nn.init.normal_(model.head.weight)  # type: ignore[arg-type]
    return model.eval()


def test_all_promised_variants_are_there() -> None:
    promised = {
        "whisper_tiny", "whisper_base", "whisper_nano", "logmel_cnn", "logmel_gru",
        "wav2vec2_base", "wav2vec2_large", "wav2vec2_nano",
        "hubert_base", "hubert_large", "hubert_xlarge", "hubert_nano",
    }  # fmt: skip
    assert promised <= set(VARIANTS)


def test_importing_the_package_does_not_import_transformers() -> None:
    names = ", ".join(module.__name__ for module in MODULES)
    done = subprocess.run([sys.executable, "-c", f"import sys, {names}; sys.exit('transformers' in sys.modules)"])
    assert done.returncode == 0


def test_features_have_static_shapes_and_lengths_within_them(backbone: Backbone, clips: Clips) -> None:
    frontend = backbone.frontend(CPU)
    features, lengths = frontend(*clips)
    shorter, _ = frontend(clips[0], torch.full((3,), 4_000))
    assert features.dtype == torch.float32
    assert not features.requires_grad
    assert features.shape == shorter.shape
    assert lengths.max() == features.shape[1]
    assert (lengths > 0).all()
    assert (lengths.diff() < 0).all()  # as the clips' lengths are


def test_frontend_is_deterministic_and_blind_to_neighbours(backbone: Backbone, clips: Clips, features: Clips) -> None:
    again, _ = backbone.frontend(CPU)(*clips)
    alone, _ = backbone.frontend(CPU)(clips[0][1:2], clips[1][1:2])
    assert torch.equal(again, features[0])
    assert close(alone, features[0][1:2])


def test_logits_do_not_depend_on_neighbours(backbone: Backbone, features: Clips) -> None:
    model = lively(backbone)
    together = model(*features)
    for row in range(3):
        assert close(model(features[0][row : row + 1], features[1][row : row + 1]), together[row : row + 1])
    assert not close(together[0], together[1], 1e-3)


def test_padding_is_masked_where_the_model_says_so(backbone: Backbone, features: Clips) -> None:
    model = lively(backbone)
    frames, lengths = features
    beyond = torch.arange(frames.shape[1]) >= lengths[:, None] + 1  # two log-mel frames make one step
    garbage = frames + torch.randn_like(frames) * beyond.reshape(*beyond.shape, *[1] * (frames.dim() - 2))
    same = close(model(garbage, lengths)[1:], model(frames, lengths)[1:])
    assert same == model.masks_padding


def test_padding_that_is_masked_can_be_cut_off(backbone: Backbone, features: Clips) -> None:
    model = lively(backbone)
    frames, lengths = features[0][1:], features[1][1:]
    if model.masks_padding:
        even = int(lengths.max()) + int(lengths.max()) % 2  # two log-mel frames make one step
        for time in (even, even + 4):
            assert close(model(frames[:, :time], lengths), model(frames, lengths))


def test_model_starts_in_train_mode_with_a_head_of_the_right_shape(backbone: Backbone, features: Clips) -> None:
    model = backbone.build(5)
    assert model.training
    assert model(*features).shape == (3, 5)
    assert model.head.weight.shape[0] == 5  # type: ignore[union-attr,index]
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_head_reads_what_embed_returns(backbone: Backbone, features: Clips) -> None:
    model = lively(backbone)
    assert torch.equal(model.head(model.embed(*features)), model(*features))


def test_every_parameter_is_trained_and_belongs_to_one_block(backbone: Backbone, features: Clips) -> None:
    model = backbone.build(3)
    nn.functional.cross_entropy(model(*features), torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
    in_blocks = [id(p) for block in model.blocks for p in block.parameters()]
    assert sorted(in_blocks) == sorted(id(p) for p in model.parameters())
    assert all(p.requires_grad and p.grad is not None for p in model.parameters())
    assert model.blocks[-1] is model.head


def test_blocks_run_from_input_to_output(backbone: Backbone, features: Clips) -> None:
    model = backbone.build(3)
    order: list[int] = []
    for number, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, number=number: order.append(number))
    model(*features)
    assert order == list(range(len(model.blocks)))


def test_one_seed_gives_one_head_whatever_the_encoder(backbone: Backbone) -> None:
    heads = []
    for seed, pretrained in ((1, True), (1, True), (1, False), (2, True)):
        torch.manual_seed(seed)
        heads.append(backbone.build(4, pretrained=pretrained).head.weight)  # type: ignore[union-attr]
    assert torch.equal(heads[0], heads[1])  # type: ignore[arg-type]
    assert torch.equal(heads[0], heads[2])  # type: ignore[arg-type]
    assert not torch.equal(heads[0], heads[3])  # type: ignore[arg-type]


def test_pretrained_encoders_are_equal_and_random_ones_are_not(backbone: Backbone) -> None:
    if backbone.weights_id() == "none":
        pytest.skip("trained from scratch: there are no pretrained weights")
    torch.manual_seed(1)
    first = backbone.build(4).blocks[0].state_dict()
    second = backbone.build(4).blocks[0].state_dict()
    random = backbone.build(4, pretrained=False).blocks[0].state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not close(first[key], random[key], 1e-3) for key in first)


def test_training_is_reproducible_from_torchs_seed(backbone: Backbone, features: Clips) -> None:
    def trained() -> Tensor:
        torch.manual_seed(11)
        model = backbone.build(3)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(*features), torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(trained(), trained())


def test_state_dict_carries_the_whole_model(backbone: Backbone, features: Clips) -> None:
    source, target = lively(backbone), backbone.build(len(CLASSES), pretrained=False).eval()
    target.load_state_dict(source.state_dict())
    assert torch.equal(source(*features), target(*features))


def test_adapter_targets_are_linear_layers_below_the_head(backbone: Backbone) -> None:
    model = backbone.build(3)
    assert model.adapter_targets
    for name in model.adapter_targets:
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        assert layer is not model.head


def test_weights_are_named_without_loading_them(backbone: Backbone) -> None:
    assert re.fullmatch(r"none|sha256:[0-9a-f]{64}", backbone.weights_id())
    assert backbone.weights_id() == backbone.weights_id()


def test_published_variants_are_named_by_hub_id_and_revision() -> None:
    made = [VARIANTS[name]() for name in VARIANTS if not name.endswith("_nano")]
    named = {(b.checkpoint, b.revision) for b in made if hasattr(b, "checkpoint")}
    assert named == {(checkpoint, "main") for checkpoint in STAND_INS}


def test_longer_clips_cost_more(backbone: Backbone) -> None:
    assert 0 < backbone.train_gflop(1.0) < backbone.train_gflop(3.0)


def test_saved_models_load_elsewhere_with_equal_logits(
    backbone: Backbone, clips: Clips, features: Clips, tmp_path: Any
) -> None:
    model = lively(backbone)
    ours = model(*features)
    backbone.save_pretrained(model, tmp_path / "saved", CLASSES, clip_samples=16_000)
    if backbone.weights_id() == "none":
        from safetensors.torch import load_file

        model = backbone.build(len(CLASSES)).eval()
        model.load_state_dict(load_file(tmp_path / "saved" / "model.safetensors"))
        assert torch.equal(model(*features), ours)
    else:
        assert close(hugging_face_logits(tmp_path / "saved", *clips), ours)


def hugging_face_logits(folder: Any, waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Logits from nothing but the folder and plain transformers; utterances are normalized before they are padded."""
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    model = AutoModelForAudioClassification.from_pretrained(folder).eval()
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    assert list(model.config.id2label.values()) == CLASSES
    if model.config.model_type == "whisper":
        inputs = extractor(waveforms.numpy(), sampling_rate=16_000, return_tensors="pt")
    else:
        alone = [
            extractor(row[:length].numpy(), sampling_rate=16_000).input_values[0]
            for row, length in zip(waveforms, lengths.tolist(), strict=True)
        ]
        extractor.do_normalize = False
        inputs = extractor(alone, sampling_rate=16_000, padding="max_length", max_length=16_000, return_tensors="pt")
    with torch.no_grad():
        logits: Tensor = model(**inputs).logits
    return logits
