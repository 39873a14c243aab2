from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from backbones.whisper import Whisper, WhisperClassifier

CPU = torch.device("cpu")
Clips = tuple[Tensor, Tensor]


def theirs(checkpoint: str, model: WhisperClassifier, features: Tensor, positions: int) -> Tensor:
    """Logits of transformers' classifier with our head put in, its table of positions cut to the first `positions`."""
    from transformers import WhisperForAudioClassification

    hf = WhisperForAudioClassification.from_pretrained(checkpoint, num_labels=5, dtype=torch.float32)
    table = hf.encoder.embed_positions.weight[:positions].clone()
    hf.encoder.embed_positions = nn.Embedding.from_pretrained(table)  # type: ignore[no-untyped-call]
    hf.config.max_source_positions = positions
    hf.projector.load_state_dict(model.readout.projector.state_dict())
    hf.classifier.load_state_dict(model.head.state_dict())
    with torch.no_grad():
        logits: Tensor = hf.eval()(features.transpose(1, 2)).logits
    return logits


@pytest.mark.parametrize("mode", ["clip", "full"])
def test_logits_equal_transformers(mode: str, tiny_folder: Callable[[str], str], clips: Clips) -> None:
    backbone = Whisper(checkpoint=tiny_folder("whisper"), whisper_frames=mode)  # type: ignore[arg-type]
    model = backbone.build(5).eval()
    features, lengths = backbone.frontend(CPU)(*clips)
    positions = {"clip": 50, "full": 100}[mode]
    assert features.shape == (3, 2 * positions, 80)
    expected = theirs(backbone.checkpoint, model, features, positions)
    assert torch.allclose(model(features, lengths), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["whisper-tiny", "whisper-base"])
@pytest.mark.parametrize("mode", ["clip", "full"])
def test_pretrained_logits_equal_transformers(name: str, mode: str, models_folder: Path, clips: Clips) -> None:
    backbone = Whisper(checkpoint=str(models_folder / name), whisper_frames=mode)  # type: ignore[arg-type]
    model = backbone.build(5).eval()
    features, lengths = backbone.frontend(CPU)(clips[0][:1], clips[1][:1])
    positions = {"clip": 50, "full": 1500}[mode]
    expected = theirs(backbone.checkpoint, model, features, positions)
    with torch.no_grad():
        assert torch.allclose(model(features, lengths), expected, atol=1e-5)


def test_float16_checkpoints_are_computed_in_float32(models_folder: Path) -> None:
    from safetensors.torch import load_file

    stored = load_file(models_folder / "whisper-tiny" / "model.safetensors")["model.encoder.layers.0.fc1.weight"]
    model = Whisper(checkpoint=str(models_folder / "whisper-tiny")).build(2)
    assert stored.dtype == torch.float16
    assert torch.equal(model.layers[0].fc1.weight, stored.float())


def test_sinusoids_are_no_parameter(tiny_folder: Callable[[str], str]) -> None:
    model = Whisper(checkpoint=tiny_folder("whisper")).build(2)
    assert not any("position" in name for name, _ in model.named_parameters())
    assert model.stem.positions.shape == (100, 32)
    assert not model.stem.positions.requires_grad


def test_layerdrop_of_the_checkpoint_is_off(tiny_folder: Callable[[str], str], clips: Clips) -> None:
    backbone = Whisper(checkpoint=tiny_folder("whisper"))
    model, features = backbone.build(2).train(), backbone.frontend(CPU)(*clips)
    assert all(torch.equal(model(*features), model(*features)) for _ in range(5))


def test_odd_clips_are_filled_up_to_whole_positions(tiny_folder: Callable[[str], str]) -> None:
    features, lengths = Whisper(checkpoint=tiny_folder("whisper")).frontend(CPU)(
        torch.zeros(1, 1001), torch.tensor([900])
    )
    assert features.shape == (1, 8, 80)
    assert lengths.tolist() == [6]


def test_clips_beyond_the_position_table_are_refused(tiny_folder: Callable[[str], str]) -> None:
    frontend = Whisper(checkpoint=tiny_folder("whisper")).frontend(CPU)
    with pytest.raises(ValueError, match="got 32001 samples, allowed: at most 32000"):
        frontend(torch.zeros(1, 32_001), torch.tensor([32_001]))


def test_unknown_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'auto', allowed: 'clip', 'full'"):
        Whisper(checkpoint="openai/whisper-tiny", whisper_frames="auto")  # type: ignore[arg-type]
