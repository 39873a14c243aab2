"""Write and read weights and training states as safetensors, without a second copy in memory and without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from orchestrator.digests import check_once
from orchestrator.errors import ParentLost
from orchestrator.results.sealed import UNSEALED, DigestMismatch, check_sealed_file, seal_file
from orchestrator.results.store import Store

GROUPS = ("weights", "best_weights", "draws", "stored")  # of tensors in a training's state, and prefixes in the file


def save_weights(store: Store, trial_id: str, weights: dict[str, Tensor]) -> None:
    """Save a model's weights."""
    save_tensors(store, store.models.path(trial_id), weights)


def load_weights(store: Store, trial_id: str) -> dict[str, Tensor]:
    """Load a model's weights.

    Raises:
        ParentLost: they are missing or unreadable.
    """
    return load_tensors(store, store.models.path(trial_id), trial_id)


def save_logits(store: Store, trial_id: str, logits: Tensor, seconds_per_utterance: float) -> None:
    """Save a model's logits on the whole corpus, (N, C) in row order, with the measured seconds per utterance."""
    tensors = {"logits": logits, "seconds_per_utterance": torch.tensor([seconds_per_utterance])}
    save_tensors(store, store.logits.path(trial_id), tensors)


def load_logits(store: Store, trial_id: str) -> tuple[Tensor, float]:
    """Load a model's logits (N, C) and the measured seconds per utterance.

    Raises:
        ParentLost: they are missing or unreadable.
    """
    tensors = load_tensors(store, store.logits.path(trial_id), trial_id)
    return tensors["logits"], float(tensors["seconds_per_utterance"])


def save_artifacts(store: Store, trial_id: str, tensors: dict[str, Tensor]) -> None:
    """Save what an original's training computed for later requests."""
    save_tensors(store, store.artifacts.path(trial_id), tensors)


def load_artifacts(store: Store, trial_id: str) -> dict[str, Tensor]:
    """Load what an original's training computed for later requests.

    Raises:
        ParentLost: it is missing or unreadable.
    """
    return load_tensors(store, store.artifacts.path(trial_id), trial_id)


def load_tensors(store: Store, name: str, trial_id: str) -> dict[str, Tensor]:
    """Load the tensors of a trial's file.

    Raises:
        ParentLost: it is missing or unreadable; the trial is withdrawn, so that it runs again.
    """
    problem = "is missing"
    try:
        tensors = _map(store, name)
        if tensors is not None:
            return tensors
    except (DigestMismatch, SafetensorError) as error:
        problem = f"cannot be read ({error})"
        store.files.set_aside(name, error)
    store.withdraw(trial_id)
    raise ParentLost(f"{name} {problem}. The trial that writes it runs again")


def save_tensors(store: Store, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as a sealed file; tensors on the CPU are not copied, tensors on a GPU once."""
    with store.files.new_file(name) as path:
        save_file(_separate(tensors), path, metadata={"digest": UNSEALED})
        seal_file(path)


def _map(store: Store, name: str) -> dict[str, Tensor] | None:
    """Map the tensors of a file into memory, to be read when they are used; None if there is no such file.

    Raises:
        DigestMismatch, SafetensorError: the file is damaged.
    """
    with store.files.local_file(name) as path:
        if path is None:
            return None
        if store.files.local_path is None:
            check_sealed_file(path)
        else:
            check_once(path, check_sealed_file)
        return dict(load_file(path))


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors as safetensors requires them: contiguous, and none in the memory of another."""
    found, seen = {}, set()
    for name, value in tensors.items():
        whole = value.detach().contiguous()
        at = (whole.device, whole.untyped_storage().data_ptr())
        found[name] = whole.clone() if at in seen else whole
        seen.add(at)
    return found


@dataclass(frozen=True)
class EpochCheckpoint:
    """State of a training after its last finished epoch, kept in the results folder until the trial is done."""

    store: Store
    trial_id: str

    @property
    def _name(self) -> str:
        return self.store.checkpoints.path(self.trial_id)

    def load(self) -> dict[str, Any] | None:
        """Return the state that `methods.engine.loop` saved; None if it is missing or unreadable."""
        try:
            tensors = _map(self.store, self._name)
            return None if tensors is None else self._unpack(tensors)
        except (DigestMismatch, SafetensorError, KeyError, ValueError) as error:
            self.store.files.set_aside(self._name, error)
            return None

    @staticmethod
    def _unpack(tensors: dict[str, Tensor]) -> dict[str, Any]:
        plain = json.loads(bytes(tensors.pop("plain").numpy().tobytes()).decode())
        moments: dict[int, dict[str, Tensor]] = {}
        groups: dict[str, dict[str, Tensor]] = {kind: {} for kind in GROUPS}
        generator = tensors.pop("generator")
        for name, value in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "optimizer":
                index, _, moment = rest.partition("/")
                moments.setdefault(int(index), {})[moment] = value
            else:
                groups[kind][rest] = value
        if "cpu" not in groups["draws"]:
            raise ValueError("it lacks the state of torch's own generators")
        optimizer = {"state": moments, "param_groups": plain.pop("param_groups")}
        return {**plain, **groups, "optimizer": optimizer, "generator": generator}

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state, atomically."""
        optimizer = state["optimizer"]
        tensors = {"generator": state["generator"]}
        for kind in GROUPS:
            tensors.update({f"{kind}/{name}": value for name, value in state[kind].items()})
        for index, moments in optimizer["state"].items():
            tensors.update({f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()})
        plain = {key: state[key] for key in ("epoch", "best", "steps", "meter")}
        plain["param_groups"] = optimizer["param_groups"]
        tensors["plain"] = torch.frombuffer(bytearray(json.dumps(plain).encode()), dtype=torch.uint8)
        save_tensors(self.store, self._name, tensors)

    def drop(self) -> None:
        """Delete the state: the trial is done."""
        self.store.files.delete(self._name)
