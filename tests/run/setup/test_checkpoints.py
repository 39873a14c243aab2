"""Weights, logits and epochs are saved and read unchanged; damaged files are set aside."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from orchestrator import digests
from orchestrator.errors import DamagedFile, FolderFull, ParentLost
from orchestrator.results.store import open_store
from orchestrator.run.guards.peak_memory import PeakMemory
from orchestrator.run.setup import checkpoints
from orchestrator.run.setup.checkpoints import (
    EpochCheckpoint,
    load_logits,
    load_weights,
    save_logits,
    save_weights,
)

ID = "0123456789abcdef"


@pytest.fixture
def store(tmp_path):
    made = open_store(tmp_path)
    made.commit({"trial_id": ID, "status": "done"})
    return made


def state(epoch: int = 1) -> dict:
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    weights = dict(model.state_dict())
    return {
        "epoch": epoch, "best": 0.5, "steps": 4, "meter": {"seconds": 1.0}, "weights": weights, "best_weights": weights,
        "optimizer": optimizer.state_dict(), "generator": torch.Generator().get_state(),
        "draws": {"cpu": torch.get_rng_state()}, "stored": {"at/0.5/weight": torch.ones(2)},
    }  # fmt: skip


def test_weights_and_logits_are_read_as_they_were_saved(store):
    weights, logits = {"a.b": torch.randn(3, 2)}, torch.randn(5, 4)
    save_weights(store, ID, weights)
    save_logits(store, ID, logits, 0.25)
    assert torch.equal(load_weights(store, ID)["a.b"], weights["a.b"])
    assert torch.equal(load_logits(store, ID)[0], logits)
    assert load_logits(store, ID)[1] == 0.25


def test_tensors_that_share_memory_or_are_not_contiguous_are_read_as_they_were_saved(store):
    tied, across = torch.randn(4), torch.randn(3, 2).T
    save_weights(store, ID, {"a": tied, "b": tied, "c": across, "d": torch.empty(0), "e": torch.empty(0)})
    back = load_weights(store, ID)
    assert torch.equal(back["a"], tied)
    assert torch.equal(back["b"], tied)
    assert torch.equal(back["c"], across)
    back["a"].add_(1)  # a change of what was read is not in the file
    assert torch.equal(load_weights(store, ID)["a"], tied)


SHARES = {"emptied": 0.0, "cut early": 0.1, "cut late": 0.9}


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda b, share=share: b[: int(share * len(b))] for share in SHARES.values()),
        lambda b: b[:-1] + bytes([b[-1] ^ 1]),
        lambda b: b.replace(b'"F32"', b'"I32"'),
    ],
    ids=[*SHARES, "a bit of a weight", "a weight's type"],
)
def test_damaged_weights_are_set_aside_together_with_their_row(store, tmp_path, damage):
    save_weights(store, ID, {"a": torch.randn(50)})
    path = tmp_path / "models" / f"{ID}.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with (
        pytest.warns(DamagedFile, match=f"cannot read models/{ID}.safetensors"),
        pytest.raises(ParentLost, match=f"models/{ID}.safetensors cannot be read"),
    ):
        load_weights(store, ID)
    assert store.row(ID) is None
    assert (tmp_path / "damaged" / "models" / path.name).is_file()
    assert not path.exists()


def test_weights_are_checked_once_while_their_file_is_unchanged(store, tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "SETTLED_NS", -1)
    checked, check = [], checkpoints.check_sealed_file
    monkeypatch.setattr(checkpoints, "check_sealed_file", lambda path: checked.append(path.name) or check(path))
    for _ in range(2):
        save_weights(store, ID, {"a": torch.randn(50)})
        load_weights(store, ID)
        load_weights(store, ID)
    assert checked == [f"{ID}.safetensors"] * 2


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure a peak")
def test_checkpoints_are_written_and_read_without_a_copy_in_memory(store):
    model = torch.nn.Linear(4096, 4096)  # 64 MiB
    num_bytes = model.weight.nbytes
    went = {**state(), "weights": dict(model.state_dict())}
    memory = PeakMemory(torch.device("cpu"))
    save_weights(store, ID, model.state_dict())
    EpochCheckpoint(store, ID).save(went)
    mapped, back = load_weights(store, ID), EpochCheckpoint(store, ID).load()
    for weights in (mapped, back["weights"]):
        model.load_state_dict(weights)
    assert memory.num_bytes < 0.25 * num_bytes  # mapped files are not private memory


def test_weights_that_do_not_fit_on_the_disk_are_a_full_folder(store, tmp_path, monkeypatch):
    def full(*args, **settings):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(FolderFull, match=f"No space left on device: models/{ID}.safetensors does not fit into"):
        save_weights(store, ID, {"a": torch.ones(1)})
    assert list((tmp_path / "models").iterdir()) == []


def test_a_row_whose_logits_are_missing_is_withdrawn(store):
    with pytest.raises(ParentLost, match=f"logits/{ID}.safetensors is missing"):
        load_logits(store, ID)
    assert store.row(ID) is None


def test_an_epoch_is_read_as_it_was_saved(store):
    epochs, went = EpochCheckpoint(store, ID), state(3)
    epochs.save(went)
    back = epochs.load()
    assert (back["epoch"], back["best"], back["steps"], back["meter"]) == (3, 0.5, 4, {"seconds": 1.0})
    assert torch.equal(back["weights"]["weight"], went["weights"]["weight"])
    assert set(back["optimizer"]["state"]) == {0, 1}
    assert torch.equal(back["draws"]["cpu"], went["draws"]["cpu"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b.replace(b"generator", b"henerator"),
        lambda b: b.replace(b"draws/cpu", b"draws/cpv"),
    ],
)
def test_an_epoch_that_cannot_be_read_counts_as_missing(store, tmp_path, damage):
    epochs = EpochCheckpoint(store, ID)
    epochs.save(state())
    path = tmp_path / "checkpoints" / f"{ID}.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(DamagedFile, match=f"cannot read checkpoints/{ID}.safetensors"):
        assert epochs.load() is None
    assert store.row(ID) is not None
    assert epochs.load() is None  # without another warning
