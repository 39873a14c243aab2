"""Whether the files of a checkpoint can be loaded, found out without loading them: names, sizes and headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONFIG, WHOLE, SHARDS = "config.json", "model.safetensors", "model.safetensors.index.json"
OLD = ("pytorch_model.bin", "pytorch_model.bin.index.json")
LFS_POINTER = b"version https://git-lfs"


class DamagedWeights(ValueError):
    """A file of a checkpoint is there and cannot be used."""


def require_sound_folder(folder: Path) -> list[Path]:
    """The settings and weights of a local checkpoint.

    Raises:
        FileNotFoundError: it has no settings, or no weights in safetensors.
        DamagedWeights: one of the files cannot be read.
    """
    files = [folder / CONFIG]
    if not files[0].is_file():
        raise FileNotFoundError(f"{folder} has no {CONFIG}")
    require_sound_settings(files[0])
    if (folder / WHOLE).is_file():
        files.append(folder / WHOLE)
    elif (folder / SHARDS).is_file():
        shards = sorted(set(_read_json(folder / SHARDS).get("weight_map", {}).values()))
        files += [folder / name for name in shards]
    else:
        old = [name for name in OLD if (folder / name).is_file()]
        found = f"only {old[0]}, which this program does not load: convert it to safetensors" if old else "none"
        raise FileNotFoundError(f"{folder} has no {WHOLE}; weights there: {found}")
    for file in files[1:]:
        if not file.is_file():
            raise FileNotFoundError(f"{file}, which {SHARDS} names, is missing")
        require_sound_weights(file)
    return files


def require_sound_settings(file: Path) -> dict[str, Any]:
    """A checkpoint's settings.

    Raises:
        DamagedWeights: the file is no JSON, or names no family of models.
    """
    settings = _read_json(file)
    if not isinstance(settings.get("model_type"), str):
        raise DamagedWeights(f"{file} names no model_type: download it again")
    return settings


def require_sound_weights(file: Path) -> None:
    """Raises:
    DamagedWeights: the file is a pointer of Git LFS, or no whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    _refuse_pointer(file)
    try:
        with safe_open(file, "np"):
            pass
    except (SafetensorError, OSError) as error:
        raise DamagedWeights(f"{file} is damaged ({error}): download it again") from None


def _read_json(file: Path) -> dict[str, Any]:
    _refuse_pointer(file)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedWeights(f"{file} is damaged ({error}): download it again") from None
    return values if isinstance(values, dict) else {}


def _refuse_pointer(file: Path) -> None:
    with file.open("rb") as opened:
        if opened.read(len(LFS_POINTER)) == LFS_POINTER:
            raise DamagedWeights(f"{file} is a pointer of Git LFS, not the file itself: run `git lfs pull` there")
