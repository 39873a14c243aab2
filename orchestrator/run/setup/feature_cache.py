"""Features of a whole corpus: computed once for each backbone and clip, memory-mapped, shared by all trials."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch import Tensor

from backbones.base import Backbone, Frontend
from methods.engine.transfer import sent
from orchestrator.digests import damaged_files, seal, set_folder_aside
from orchestrator.plan.spec import PlugIn, TrialSpec, short_hash, stage_seed
from orchestrator.run.setup.arithmetic import uses_tf32
from orchestrator.tasks.base import SAMPLE_RATE_HZ
from orchestrator.tasks.corpus import Corpus

FRAME_SAMPLES = 320  # 20 ms: clips are whole frames of every backbone
LONGEST_SECONDS = 30.0  # Whisper's window
FEATURES_VERSION = 2
OF_CORPUS = "corpus.txt"  # in a folder of features: the fingerprint of the corpus that they were computed from
CHUNK = 64  # utterances per call of the frontend; fixed, so that features do not depend on the caller

Fetch = Callable[..., tuple[Tensor, Tensor]]
"""Rows of the corpus, and under random crops a seed of the epoch -> features and lengths."""


@dataclass(frozen=True)
class FeatureReader:
    """Reads features: `train` for steps, `evaluate` for scores; they differ under random crops only."""

    train: Fetch
    evaluate: Fetch
    cached: bool
    on_device: bool = False  # whether all of them are in the device's memory
    device_bytes: int = 0  # of that memory
    random: bool = False  # whether `train` takes a seed

    def with_heartbeat(self, beat: Callable[[], None]) -> FeatureReader:
        """Return a reader that calls `beat` at each fetch."""

        def beating(fetch: Fetch) -> Fetch:
            def fetch_and_beat(rows: Tensor, *seed: int) -> tuple[Tensor, Tensor]:
                beat()
                return fetch(rows, *seed)

            return fetch_and_beat

        return replace(self, train=beating(self.train), evaluate=beating(self.evaluate))


def clip_samples(corpus: Corpus, seconds: float | None) -> int:
    """Return the length of every clip in samples: the setting, or the longest recording, in whole frames.

    Raises:
        ValueError: a recording is longer than Whisper's 30 s window and no clip length is set.
    """
    if seconds is None:
        longest = int(corpus.num_samples.max())
        if longest > LONGEST_SECONDS * SAMPLE_RATE_HZ:
            raise ValueError(
                f"a recording is too long to train on whole: got {longest / SAMPLE_RATE_HZ:.1f} s; set training.crop "
                f"and training.clip_seconds (at most {LONGEST_SECONDS:.0f} s)"
            )
    else:
        longest = round(seconds * SAMPLE_RATE_HZ)
    return -(-longest // FRAME_SAMPLES) * FRAME_SAMPLES


def waveforms(
    corpus: Corpus, rows: npt.NDArray[np.int64], samples: int, crop: str, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return (B, samples) float32 in [-1, 1], zero-padded at the end, and (B,) lengths; cut longer recordings.

    A random crop depends on the seed and the row alone, not on its batch or on earlier reads.
    """
    padded = np.zeros((len(rows), samples), dtype=np.float32)
    lengths = np.empty(len(rows), dtype=np.int64)
    for at, row in enumerate(rows):
        audio = corpus.audio(int(row))
        excess = max(0, len(audio) - samples)
        start = 0
        if excess and crop == "center":
            start = excess // 2
        elif excess and crop == "random":
            start = stage_seed("crop", seed, int(row)) % (excess + 1)
        piece = audio[start : start + samples]
        padded[at, : len(piece)] = piece
        lengths[at] = len(piece)
    padded /= 32768.0
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def open_features(
    corpus: Corpus,
    backbone: Backbone,
    plugin: PlugIn,
    clip: dict[str, Any],
    *,
    cache_dir: Path,
    device: torch.device,
    limit_gb: float,
    seed: int,
    tf32: bool = False,
    has_room: Callable[[int], bool] = lambda num_bytes: False,
    obtain: Callable[[Path, Callable[[], None]], None] = lambda path, build: build(),
) -> FeatureReader:
    """Open the features of a corpus; build them first if they are missing.

    Under random crops, or above `limit_gb`, they are computed for each batch instead.

    Args:
        corpus: whose recordings are read.
        backbone: whose frontend computes the features.
        plugin: the same backbone, which names the folder of the features.
        clip: `crop` and `seconds`.
        cache_dir: the folder of caches.
        device: of the model.
        limit_gb: the largest size on disk.
        seed: of random crops.
        tf32: whether fp32 products are rounded.
        has_room: whether the device has room for so many bytes; then they are copied there, once for each process.
        obtain: gets a folder from a shared cache, or builds it.
    """
    samples = clip_samples(corpus, clip["seconds"])
    path = features_path(corpus, plugin, clip, cache_dir, arithmetic_of(device, tf32=tf32))
    if clip["crop"] != "random" and (path.exists() or _size_gb(corpus, backbone, samples) <= limit_gb):
        if not path.exists() or damaged_files(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if path.exists() and (damaged := damaged_files(path)):
                    set_folder_aside(path, damaged)
                if not path.exists():
                    obtain(path, lambda: _build(path, corpus, backbone, samples, clip["crop"], device))
        return _mapped(path, device, has_room)
    frontend = backbone.frontend(device)

    random = clip["crop"] == "random"
    fixed = "center" if random else clip["crop"]

    def train(rows: Tensor, epoch_seed: int = 0) -> tuple[Tensor, Tensor]:
        return _through(frontend, *waveforms(corpus, rows.numpy(), samples, clip["crop"], seed ^ epoch_seed), device)

    def evaluate(rows: Tensor, epoch_seed: int = 0) -> tuple[Tensor, Tensor]:
        return _through(frontend, *waveforms(corpus, rows.numpy(), samples, fixed), device)

    return FeatureReader(train, evaluate, cached=False, random=random)


def features_path(corpus: Corpus, plugin: PlugIn, clip: Mapping[str, Any], cache_dir: Path, arithmetic: str) -> Path:
    """Return the folder of a corpus's features, which is named after all that changes them and nothing else."""
    frontend = {**plugin.recipe(), "name": plugin.name}  # an alias changes nothing
    clipped = {**clip, "samples": clip_samples(corpus, clip["seconds"])}
    key = short_hash([FEATURES_VERSION, corpus.fingerprint, frontend, clipped, arithmetic, torch.__version__])
    return cache_dir / "features" / key


def arithmetic_of(device: torch.device, *, tf32: bool) -> str:
    """Name the arithmetic that rounds features: the host's, a GPU's, or a GPU's with TF32."""
    return f"{device.type} tf32" if tf32 else device.type


def are_cached(spec: TrialSpec, cache_dir: Path) -> bool:
    """Return whether the features that a trial reads are on this machine; build nothing."""
    built = list((cache_dir / "corpora").glob(f"*-{spec.task.content}"))
    if not built or damaged_files(built[0]):
        return False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    arithmetic = arithmetic_of(device, tf32=uses_tf32(spec.loop, device))
    return features_path(Corpus(built[0]), spec.backbone, spec.clip, cache_dir, arithmetic).is_dir()


def _through(frontend: Frontend, audio: Tensor, lengths: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        features, frames = frontend(audio.to(device), lengths.to(device))
    return features, frames


def _size_gb(corpus: Corpus, backbone: Backbone, samples: int) -> float:
    audio, lengths = waveforms(corpus, np.zeros(1, dtype=np.int64), samples, "first")
    features, _ = _through(backbone.frontend(torch.device("cpu")), audio, lengths, torch.device("cpu"))
    return features.numel() * features.element_size() * len(corpus) / 1e9


def _build(path: Path, corpus: Corpus, backbone: Backbone, samples: int, crop: str, device: torch.device) -> None:
    frontend = backbone.frontend(device)
    for torn in path.parent.glob(f".{path.name}-*"):  # left by builders that were killed; this process holds the lock
        shutil.rmtree(torn, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        frames = np.empty(len(corpus), dtype=np.int64)
        # Written, not mapped: a full disk raises an error instead of a signal that ends the process.
        with (scratch / "features.npy").open("wb") as out:
            for rows in np.array_split(np.arange(len(corpus)), range(CHUNK, len(corpus), CHUNK)):
                features, lengths = _through(frontend, *waveforms(corpus, rows, samples, crop), device)
                block = np.ascontiguousarray(features.cpu().numpy())
                if not out.tell():
                    header = np.lib.format.header_data_from_array_1_0(block)
                    np.lib.format.write_array_header_1_0(out, {**header, "shape": (len(corpus), *block.shape[1:])})
                out.write(block.data)
                frames[rows] = lengths.cpu().numpy()
        np.save(scratch / "lengths.npy", frames)
        (scratch / OF_CORPUS).write_text(corpus.fingerprint, encoding="utf-8")
        seal(scratch)
        os.replace(scratch, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _mapped(path: Path, device: torch.device, has_room: Callable[[int], bool]) -> FeatureReader:
    array = np.load(path / "features.npy", mmap_mode="r")
    frames = torch.from_numpy(np.load(path / "lengths.npy"))
    if has_room(array.nbytes):
        return features_on_device(array, frames, device)

    def fetch(rows: Tensor, epoch_seed: int = 0) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(array[rows.numpy()]), frames[rows]

    return FeatureReader(fetch, fetch, cached=True)


def features_on_device(array: npt.NDArray[Any], frames: Tensor, device: torch.device) -> FeatureReader:
    """Copy features to the device in pieces, so that the host never holds them all; lengths stay on the host."""
    features = torch.empty(array.shape, dtype=torch.from_numpy(array[:0].copy()).dtype, device=device)
    for at in range(0, len(array), CHUNK):
        features[at : at + CHUNK] = torch.from_numpy(array[at : at + CHUNK].copy()).to(device)

    def fetch(rows: Tensor, epoch_seed: int = 0) -> tuple[Tensor, Tensor]:
        return features.index_select(0, sent(rows, device)), frames[rows]

    return FeatureReader(fetch, fetch, cached=True, on_device=True, device_bytes=array.nbytes)
