from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from backbones.checkpoints import load_config, load_model, packaged_file, weights_id, write_packaged
from backbones.hub import hub_commit
from backbones.hubert import Hubert
from backbones.wav2vec2 import Wav2Vec2
from backbones.weight_files import DamagedWeights
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


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, which is not asked unless a test says so."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("backbones.hub.UNREACHABLE", [])
    hub_commit.cache_clear()
    return tmp_path / "hub"


def cached_model(cache: Path, whisper: Path, name: str = "models--some--speech") -> Path:
    """Puts a model into the cache as its main branch; gives the folder of its files."""
    (cache / name / "refs").mkdir(parents=True)
    (cache / name / "refs" / "main").write_text(COMMIT)
    return Path(shutil.copytree(whisper, cache / name / "snapshots" / COMMIT))


def test_a_branch_of_the_hub_is_named_by_the_commit_that_the_cache_has(hub_cache: Path, whisper: Path) -> None:
    cached_model(hub_cache, whisper)
    assert weights_id("some/speech", "main") == weights_id("some/speech", COMMIT) == f"some/speech@{COMMIT}"
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE=1 prevents querying the hub"):
        weights_id("some/speech", "another")


def test_a_model_without_its_weights_in_the_cache_is_refused_offline(hub_cache: Path, whisper: Path) -> None:
    (cached_model(hub_cache, whisper) / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="it is not in the cache"):
        weights_id("some/speech", "main")


def test_a_damaged_file_in_the_cache_is_named(hub_cache: Path, whisper: Path) -> None:
    file = cached_model(hub_cache, whisper) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DamagedWeights, match=f"{file} is damaged"):
        weights_id("some/speech", "main")


def test_a_hub_that_cannot_be_reached_is_one_line_and_asked_once(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Unreachable(Exception):
        """As the hub's HTTP library raises it: no OSError."""

    def model_info(self: object, checkpoint: str, **more: object) -> None:
        asked.append(checkpoint)
        raise Unreachable("Name or service not known\nmore")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    for name in ("one/model", "another/model"):
        with pytest.raises(FileNotFoundError, match=f"{name}.*cannot be reached .Name or service not known.") as error:
            weights_id(name, "main")
        assert len(str(error.value).splitlines()) == 1
    assert asked == ["one/model"]


@pytest.mark.parametrize(("files", "fits"), [(["config.json", "model.safetensors"], True), (["config.json"], False)])
def test_the_hub_must_have_safetensors(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], fits: bool
) -> None:
    siblings = [SimpleNamespace(rfilename=name) for name in files]
    found = SimpleNamespace(sha=COMMIT, siblings=siblings)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda self, name, **more: found)
    if fits:
        assert weights_id("some/speech", "main") == f"some/speech@{COMMIT}"
    else:
        with pytest.raises(FileNotFoundError, match="the hub has it without"):
            weights_id("some/speech", "main")


def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(FileNotFoundError, match="it cannot be a hub id"):
        weights_id("a/b/c", "main")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", POINTER, "is a pointer of Git LFS, not the file itself: run `git lfs pull`"),
        ("config.json", POINTER, "is a pointer of Git LFS"),
        ("model.safetensors", "", "is damaged"),
        ("model.safetensors", None, "is damaged"),
        ("config.json", "{", "is damaged"),
        ("config.json", "{}", "names no model_type"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_when_planning(
    whisper: Path, name: str, content: str | None, said: str
) -> None:
    whole = (whisper / name).read_bytes()
    (whisper / name).write_bytes(whole[: len(whole) // 2] if content is None else content.encode())
    with pytest.raises(DamagedWeights, match=f"{whisper / name} {said}"):
        weights_id(str(whisper), "main")


def test_a_missing_shard_is_named(whisper: Path) -> None:
    (whisper / "model.safetensors").rename(whisper / "a.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (whisper / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        FileNotFoundError, match=r"b\.safetensors, which model\.safetensors\.index\.json names, is missing"
    ):
        weights_id(str(whisper), "main")


def test_a_head_of_another_shape_does_not_matter_and_other_weights_do(tmp_path: Path, tiny_folder: Folder) -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2ForXVector

    given = json.loads((Path(tiny_folder("wav2vec2-group")) / "config.json").read_text())
    config = Wav2Vec2Config(**{**given, "tdnn_dim": (8, 8, 8, 8, 8), "xvector_output_dim": 8})
    Wav2Vec2ForXVector(config).save_pretrained(tmp_path / "speaker")
    backbone = Wav2Vec2(checkpoint=str(tmp_path / "speaker"))
    assert backbone.build(3).head.out_features == 3
    weights = load_file(tmp_path / "speaker" / "model.safetensors")
    name = next(name for name in weights if name.endswith("layers.0.attention.k_proj.weight"))
    save_file(
        {**weights, name: weights[name][:1].clone()}, tmp_path / "speaker" / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(
        ValueError, match=r"does not fit its config\.json: 1 weights have another shape, such as .*k_proj"
    ):
        backbone.build(3)


def test_weights_are_checked_without_being_read(whisper: Path) -> None:
    with torch.device("meta"):
        model = Whisper(checkpoint=str(whisper)).build(2)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    weights = load_file(whisper / "model.safetensors")
    key = next(name for name in weights if name.endswith("encoder.layers.1.fc1.weight"))
    del weights[key]
    save_file(weights, whisper / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="1 encoder weights are missing"), torch.device("meta"):
        Whisper(checkpoint=str(whisper)).build(2)


@pytest.mark.parametrize("path", ["/nowhere/at/all", "./nowhere", "packaged:no_such_model"])
def test_paths_without_weights_are_refused_when_planning(path: str) -> None:
    with pytest.raises(FileNotFoundError, match="allowed: "):
        weights_id(path, "main")


def test_a_folder_without_safetensors_is_refused(whisper: Path) -> None:
    weights = load_file(whisper / "model.safetensors")
    (whisper / "model.safetensors").unlink()
    torch.save(weights, whisper / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"only pytorch_model\.bin, which .*convert it to safetensors"):
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
