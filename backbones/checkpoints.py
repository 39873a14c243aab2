"""Where pretrained weights come from: the Hugging Face hub, a local folder, or this package; safetensors only.

`HF_HUB_OFFLINE=1` keeps everything to the local cache. Code from the hub is never run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.hub import COMMIT, cached_commit, cached_file, hub_commit
from backbones.weight_files import CONFIG, DamagedWeights, require_sound_folder, require_sound_weights

PACKAGED = "packaged:"
HEAD_KEYS = ("projector.", "classifier.")


def packaged_file(checkpoint: str) -> Path:
    """The file in this package behind `packaged:NAME`.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    path = Path(__file__).parent / "nano" / f"{checkpoint.removeprefix(PACKAGED)}.safetensors"
    if not path.exists():
        names = ", ".join(sorted(PACKAGED + file.stem for file in path.parent.glob("*.safetensors"))) or "none yet"
        raise FileNotFoundError(
            f"no such packaged weights: got {checkpoint!r}, allowed: {names} (`make nano` writes them)"
        )
    return path


def weights_id(checkpoint: str, revision: str) -> str:
    """`sha256:…` of a packaged file, or of a local folder's config.json and weights together; else `hub-id@commit`.

    Raises:
        FileNotFoundError: the name holds no checkpoint, or the hub cannot be queried for one.
        DamagedWeights: a file of it cannot be read.
    """
    folder = Path(checkpoint)
    if checkpoint.startswith(PACKAGED):
        files = [packaged_file(checkpoint)]
        require_sound_weights(files[0])
    else:
        try:
            if not folder.is_dir():
                if checkpoint.startswith(("/", ".", "~")):
                    raise FileNotFoundError("there is no such folder")
                return f"{checkpoint}@{hub_commit(checkpoint, revision)}"
            require_sound_folder(folder)
        except FileNotFoundError as error:
            raise FileNotFoundError(_not_at_hand(checkpoint, revision, str(error))) from None
        files = [folder / CONFIG, *sorted(folder.glob("*.safetensors"))]
    stats = [(file, file.stat()) for file in files]
    return f"sha256:{_digest(tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats))}"


def commit_of(checkpoint: str, revision: str) -> str:
    """The commit that a branch or tag of a hub repository names now, as the local cache has it, or else the hub; the
    revision itself if neither can be queried."""
    if COMMIT.fullmatch(revision) or Path(checkpoint).is_dir():
        return revision
    if found := cached_commit(checkpoint, revision):
        return found
    try:
        return hub_commit(checkpoint, revision)
    except FileNotFoundError:
        return revision


@cache
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _size, _mtime in files:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def settings_at_hand(checkpoint: str, revision: str = "main") -> dict[str, Any] | None:
    """The plain config.json of a checkpoint in this package, in a folder or in the hub's cache; else None."""
    if checkpoint.startswith(PACKAGED):
        return _packaged_settings(checkpoint)
    folder = Path(checkpoint)
    file = folder / CONFIG if folder.is_dir() else cached_file(checkpoint, CONFIG, revision)
    return json.loads(file.read_text()) if file and file.exists() else None


def load_config(checkpoint: str, revision: str, family: str) -> Any:
    """The `PretrainedConfig` of a checkpoint.

    Raises:
        ValueError: the checkpoint is of another family than `family` (a transformers `model_type`).
        FileNotFoundError: it is neither available locally nor from the hub.
    """
    import transformers

    if checkpoint.startswith(PACKAGED):
        config = transformers.AutoConfig.for_model(**_packaged_settings(checkpoint))
    else:
        try:
            config = transformers.AutoConfig.from_pretrained(checkpoint, revision=commit_of(checkpoint, revision))
        except OSError as error:
            raise FileNotFoundError(_not_at_hand(checkpoint, revision)) from error
    if config.model_type != family:
        raise ValueError(f"checkpoint of another family: {checkpoint} is {config.model_type!r}, allowed: {family!r}")
    return config


def load_model(
    architecture: str, checkpoint: str, revision: str, config: Any, *, may_lack: tuple[str, ...] = ()
) -> Any:
    """A transformers classification model with pretrained encoder, float32 on the CPU; its head is not to be used.

    `may_lack` are prefixes of weights that transformers computes (sinusoid positions). Draws nothing from the global
    generators. Where "meta" is torch's default device, names and shapes are compared and no weight is read.

    Raises:
        ValueError: weights of the encoder are missing from the checkpoint.
        FileNotFoundError: no safetensors are available locally or from the hub.
    """
    import transformers
    from safetensors import SafetensorError

    model_class = getattr(transformers, architecture)
    shape_only = torch.get_default_device().type == "meta"
    with torch.random.fork_rng(devices=[]):
        if checkpoint.startswith(PACKAGED):
            model = model_class(config)
            missing = model.load_state_dict(packaged_weights(checkpoint), strict=False, assign=shape_only).missing_keys
        else:
            try:
                with quiet_loading():
                    model, info = model_class.from_pretrained(
                        checkpoint, revision=commit_of(checkpoint, revision), config=config, dtype=torch.float32,
                        use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True,
                        device_map="meta" if shape_only else None,
                    )  # fmt: skip
            except OSError as error:
                raise FileNotFoundError(_not_at_hand(checkpoint, revision)) from error
            except SafetensorError as error:
                raise DamagedWeights(f"weights of {checkpoint} are damaged ({error}): download them again") from error
            other = [key for key, *_ in info["mismatched_keys"] if not key.startswith(HEAD_KEYS)]
            if other:
                raise ValueError(
                    f"checkpoint {checkpoint} does not fit its {CONFIG}: {len(other)} weights have another shape, "
                    f"such as {other[0]}; download both files again"
                )
            missing = sorted(info["missing_keys"])
    lacking = [key for key in missing if not key.startswith((*HEAD_KEYS, *may_lack))]
    if lacking:
        raise ValueError(
            f"incomplete checkpoint {checkpoint}: {len(lacking)} encoder weights are missing, such as {lacking[0]}; "
            "allowed: files with every encoder weight"
        )
    return model


def random_model(architecture: str, config: Any) -> Any:
    """The same architecture with random weights, from torch's global generator."""
    import transformers

    return getattr(transformers, architecture)(config)


def packaged_weights(checkpoint: str) -> dict[str, Tensor]:
    """The weights of a packaged file in float32, under the names that transformers uses."""
    from safetensors.torch import load_file

    return {key: value.float() for key, value in load_file(packaged_file(checkpoint)).items()}


def write_packaged(weights: dict[str, Tensor], config: Any, path: Path) -> None:
    """Write float16 weights without a head, and the configuration, to one file; equal inputs give equal bytes."""
    from safetensors.torch import save_file

    settings = {k: v for k, v in config.to_diff_dict().items() if k not in ("transformers_version", "dtype")}
    encoder = {k: v.detach().half().contiguous() for k, v in weights.items() if not k.startswith(HEAD_KEYS)}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        encoder, path, metadata={"config": json.dumps({"model_type": config.model_type, **settings}, sort_keys=True)}
    )


def _packaged_settings(checkpoint: str) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(packaged_file(checkpoint), "pt") as file:
        settings: dict[str, Any] = json.loads(file.metadata()["config"])
    return settings


def _not_at_hand(checkpoint: str, revision: str, why: str = "") -> str:
    reason = f": {why}" if why else ""
    return (
        f"no pretrained weights for checkpoint {checkpoint!r} at revision {revision!r}{reason}; allowed: a folder "
        "with config.json and model.safetensors, or a hub id with safetensors (in the cache, or online with "
        "HF_HUB_OFFLINE=0)"
    )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Transformers reports every load in which a head is new; here that is each of them."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
