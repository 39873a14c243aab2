"""Trained models as Hugging Face folders that plain transformers loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

Names = Mapping[str, str]  # prefix of our parameter names -> prefix in transformers


def transformers_names(weights: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """The same weights under the names that transformers gives them.

    Raises:
        KeyError: a weight has no counterpart.
    """
    renamed = {}
    for key, value in weights.items():
        ours = next((prefix for prefix in names if key.startswith(prefix)), None)
        if ours is None:
            raise KeyError(f"no transformers name for {key}")
        renamed[names[ours] + key.removeprefix(ours)] = value.detach().cpu()
    return renamed


def with_classes(config: Any, classes: Sequence[str]) -> Any:
    """The configuration with the names of the classes in it, on which `num_labels` follows."""
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: number for number, name in enumerate(classes)}
    return config


def write_folder(model: Any, feature_extractor: Any, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json of `model` with `weights` put in.

    Raises:
        ValueError: `weights` holds something that the model has not.
    """
    unexpected = model.load_state_dict(dict(weights), strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"weights that {type(model).__name__} has no place for: {', '.join(unexpected)}")
    model.save_pretrained(folder)
    feature_extractor.save_pretrained(folder)
