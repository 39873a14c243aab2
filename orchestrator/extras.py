"""Extras of the distribution: which modules each one adds, and what to say where one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

MODULES: Mapping[str, tuple[str, ...]] = {
    "train": (
        "datasets",
        "espeakng_loader",
        "optuna",
        "peft",
        "safetensors",
        "soundfile",
        "torch",
        "torchaudio",
        "transformers",
    ),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
}
"""Top-level modules by the extra of `pyproject.toml` that installs them. Reading and reporting need none of them."""

IN_ALL = ("train", "ray")  # extras that `speech-unlearning[all]` contains


class MissingExtra(ValueError):
    """Something needs an extra of this distribution that is not installed."""


def require_extras(what: str, *extras: str) -> None:
    """Check that extras are installed, without importing them.

    Args:
        what: what needs them, such as `unlearn run`.
        extras: keys of `MODULES`.

    Raises:
        MissingExtra: names the first one of which a module is missing, and how to install it.
    """
    for extra in extras:
        if not all(map(_is_installed, MODULES[extra])):
            raise MissingExtra(_message(what, extra))


def missing_extra(what: str, error: ImportError) -> MissingExtra | None:
    """Return what to say of a failed import; None if no extra has the module."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in MODULES.items() if module in modules), None)
    return None if extra is None or _is_installed(module) else MissingExtra(_message(what, extra))


def _message(what: str, extra: str) -> str:
    installed_by = "all" if extra in IN_ALL else extra
    return f"{what} needs the extra \"{extra}\": pip install 'speech-unlearning[{installed_by}]'"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: a half-imported module
        return False
