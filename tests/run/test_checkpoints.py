from __future__ import annotations

import pytest
import torch

from orchestrator.outcomes import DamagedFile, ParentLost
from orchestrator.results import open_store
from orchestrator.run.checkpoints import (
    StoredEpochs,
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


def test_weights_and_logits_come_back_as_they_went(store):
    weights, logits = {"a.b": torch.randn(3, 2)}, torch.randn(5, 4)
    save_weights(store, ID, weights)
    save_logits(store, ID, logits, 0.25)
    assert torch.equal(load_weights(store, ID)["a.b"], weights["a.b"])
    assert torch.equal(load_logits(store, ID)[0], logits)
    assert load_logits(store, ID)[1] == 0.25


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_weights_that_are_cut_off_are_set_aside_with_the_row_that_promised_them(store, tmp_path, share):
    save_weights(store, ID, {"a": torch.randn(50)})
    path = tmp_path / "models" / f"{ID}.safetensors"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with (
        pytest.warns(DamagedFile, match=f"cannot read models/{ID}.safetensors"),
        pytest.raises(ParentLost, match=f"models/{ID}.safetensors cannot be read"),
    ):
        load_weights(store, ID)
    assert store.row(ID) is None
    assert (tmp_path / "damaged" / "models" / path.name).is_file()
    assert not path.exists()


def test_a_row_without_its_logits_is_taken_back(store):
    with pytest.raises(ParentLost, match=f"logits/{ID}.safetensors is not there"):
        load_logits(store, ID)
    assert store.row(ID) is None


def test_an_epoch_comes_back_as_it_went(store):
    epochs, went = StoredEpochs(store, ID), state(3)
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
def test_an_epoch_that_cannot_be_read_is_as_none_at_all(store, tmp_path, damage):
    epochs = StoredEpochs(store, ID)
    epochs.save(state())
    path = tmp_path / "checkpoints" / f"{ID}.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(DamagedFile, match=f"cannot read checkpoints/{ID}.safetensors"):
        assert epochs.load() is None
    assert store.row(ID) is not None
    assert epochs.load() is None  # without another warning
