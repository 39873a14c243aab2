from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from backbones.checkpoints import load_config, load_model, packaged_file, weights_id, write_packaged
from backbones.hubert import Hubert
from backbones.whisper import Whisper

Folder = Callable[[str], str]


@pytest.fixture
def whisper(tiny_folder: Folder, tmp_path: Path) -> Path:
    """A private copy that a test may spoil."""
    return Path(shutil.copytree(tiny_folder("whisper"), tmp_path / "whisper"))


def test_a_local_folder_is_named_by_its_bytes(whisper: Path) -> None:
    bytes_ = (whisper / "config.json").read_bytes() + (whisper / "model.safetensors").read_bytes()
    before = weights_id(str(whisper), "main")
    assert before == f"sha256:{hashlib.sha256(bytes_).hexdigest()}"
    weights = load_file(whisper / "model.safetensors")
    save_file({key: value + 1 for key, value in weights.items()}, whisper / "model.safetensors", {"format": "pt"})
    os.utime(whisper / "model.safetensors", ns=(1, 1))
    assert weights_id(str(whisper), "main") != before


def test_a_hub_id_is_named_with_its_revision() -> None:
    assert weights_id("openai/whisper-tiny", "abc123") == "openai/whisper-tiny@abc123"


@pytest.mark.parametrize("path", ["/nowhere/at/all", "./nowhere", "packaged:no_such_model"])
def test_paths_without_weights_are_refused_when_planning(path: str) -> None:
    with pytest.raises(FileNotFoundError, match="allowed: "):
        weights_id(path, "main")


def test_a_folder_without_safetensors_is_refused(whisper: Path) -> None:
    weights = load_file(whisper / "model.safetensors")
    (whisper / "model.safetensors").unlink()
    torch.save(weights, whisper / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"config.json and model.safetensors"):
        weights_id(str(whisper), "main")
    with pytest.raises(FileNotFoundError, match=r"config.json and model.safetensors"):
        Whisper(checkpoint=str(whisper)).build(2)


def test_missing_encoder_weights_are_an_error(whisper: Path) -> None:
    weights = load_file(whisper / "model.safetensors")
    key = next(name for name in weights if name.endswith("encoder.layers.1.fc1.weight"))
    del weights[key]
    save_file(weights, whisper / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"1 encoder weights are missing, such as encoder.layers.1.fc1.weight"):
        Whisper(checkpoint=str(whisper)).build(2)


def test_a_checkpoint_of_another_family_is_refused(whisper: Path) -> None:
    with pytest.raises(ValueError, match="'whisper', allowed: 'hubert'"):
        Hubert(checkpoint=str(whisper)).build(2)


def test_an_absent_hub_checkpoint_is_refused_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE=0"):
        load_config("nobody/no-such-model", "main", "whisper")


def test_loading_draws_nothing_from_the_generator(tiny_folder: Folder) -> None:
    backbone = Whisper(checkpoint=tiny_folder("whisper"))
    torch.manual_seed(5)
    state = torch.get_rng_state()
    load_model("WhisperForAudioClassification", backbone.checkpoint, "main", backbone._config())
    assert torch.equal(torch.get_rng_state(), state)


def test_packaged_files_are_reproducible_and_hold_no_head(tiny_folder: Folder, tmp_path: Path) -> None:
    from transformers import HubertForSequenceClassification

    model = HubertForSequenceClassification.from_pretrained(tiny_folder("hubert-layer"))
    for name in ("a", "b"):
        write_packaged(model.state_dict(), model.config, tmp_path / f"{name}.safetensors")
    stored = load_file(tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert {key.partition(".")[0] for key in stored} == {"hubert"}


@pytest.mark.parametrize("name", ["whisper_nano", "wav2vec2_nano", "hubert_nano"])
def test_packaged_models_are_small(name: str) -> None:
    file = packaged_file(f"packaged:{name}")
    assert file.stat().st_size < 1_500_000
    assert sum(value.numel() for value in load_file(file).values()) <= 500_000
    assert weights_id(f"packaged:{name}", "main") == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def test_a_branch_of_the_hub_is_pinned_to_the_commit_that_the_cache_has(tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "models--some--speech"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "config.json").write_text("{}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert weights_id("some/speech", "main") == f"some/speech@{commit}"
    assert weights_id("some/speech", commit) == f"some/speech@{commit}"
