"""A fine-tuned model of any kind that is known here: a folder becomes an open classifier or recognizer."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from backbones.fine_tuned import ARCHITECTURES, FineTuned, open_fine_tuned, require_weights, settings_of
from backbones.fine_tuned_recognizer import RECOGNIZERS, FineTunedRecognizer, open_recognizer

Opened: TypeAlias = FineTuned | FineTunedRecognizer


def open_model(folder: Path) -> Opened:
    """Open a folder that `save_pretrained` wrote; its weights are not read yet.

    Raises:
        ValueError: it is no folder, is incomplete, or holds another kind of model.
    """
    require_weights(folder)
    architecture = (settings_of(folder).get("architectures") or ["none"])[0]
    if architecture in RECOGNIZERS:
        return open_recognizer(folder)
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"{folder} is no audio classifier or recognizer that can be loaded: its architecture is {architecture}; "
            f"choose a model of {', '.join([*ARCHITECTURES, *RECOGNIZERS])}"
        )
    return open_fine_tuned(folder)
