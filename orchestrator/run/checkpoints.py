"""Weights and training states as safetensors; nothing is ever unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from orchestrator.results import Store


def save_weights(store: Store, trial_id: str, weights: dict[str, Tensor]) -> None:
    """Keep a model's weights as `models/<trial_id>.safetensors`."""
    store.files.write_bytes(f"models/{trial_id}.safetensors", save(_plain(weights)))


def load_weights(store: Store, trial_id: str) -> dict[str, Tensor]:
    """A model's weights.

    Raises:
        FileNotFoundError: when the trial left none.
    """
    return _load(store, f"models/{trial_id}.safetensors")


def save_logits(store: Store, trial_id: str, logits: Tensor, seconds_per_utterance: float) -> None:
    """Keep a model's logits on the whole corpus, (N, C) in row order, with what one utterance cost."""
    tensors = {"logits": logits.contiguous(), "seconds_per_utterance": torch.tensor([seconds_per_utterance])}
    store.files.write_bytes(f"logits/{trial_id}.safetensors", save(tensors))


def load_logits(store: Store, trial_id: str) -> tuple[Tensor, float]:
    """A model's logits (N, C), and the seconds that one utterance cost.

    Raises:
        FileNotFoundError: when the trial left none.
    """
    tensors = _load(store, f"logits/{trial_id}.safetensors")
    return tensors["logits"], float(tensors["seconds_per_utterance"])


def _load(store: Store, name: str) -> dict[str, Tensor]:
    content = store.files.read_bytes(name)
    if content is None:
        raise FileNotFoundError(f"{name} is not in the results folder; the trial that makes it must run first")
    return dict(load(content))


def _plain(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}


@dataclass(frozen=True)
class StoredEpochs:
    """The last finished epoch of a training, kept in the results folder until the trial is done."""

    store: Store
    trial_id: str

    @property
    def _name(self) -> str:
        return f"checkpoints/{self.trial_id}.safetensors"

    def load(self) -> dict[str, Any] | None:
        """The newest state in the form that `methods.loops` saved, or None."""
        content = self.store.files.read_bytes(self._name)
        if content is None:
            return None
        tensors = dict(load(content))
        plain = json.loads(bytes(tensors.pop("plain").numpy().tobytes()).decode())
        moments: dict[int, dict[str, Tensor]] = {}
        groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best_weights": {}}
        generator = tensors.pop("generator")
        for name, value in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "optimizer":
                index, _, moment = rest.partition("/")
                moments.setdefault(int(index), {})[moment] = value
            else:
                groups[kind][rest] = value
        optimizer = {"state": moments, "param_groups": plain.pop("param_groups")}
        return {**plain, **groups, "optimizer": optimizer, "generator": generator}

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state, whole or not at all."""
        optimizer = state["optimizer"]
        tensors = {"generator": state["generator"]}
        for kind in ("weights", "best_weights"):
            tensors.update({f"{kind}/{name}": value for name, value in state[kind].items()})
        for index, moments in optimizer["state"].items():
            tensors.update({f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()})
        plain = {key: state[key] for key in ("epoch", "best", "steps", "meter")}
        plain["param_groups"] = optimizer["param_groups"]
        tensors["plain"] = torch.frombuffer(bytearray(json.dumps(plain).encode()), dtype=torch.uint8)
        self.store.files.write_bytes(self._name, save(_plain(tensors)))

    def drop(self) -> None:
        """Forget the state: the trial is done."""
        self.store.files.delete(self._name)
