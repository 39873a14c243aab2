"""Recordings as features of one model: computed once into a scratch file, and classified in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backbones.base import SpeechClassifier
from backbones.fine_tuned_recognizer import FineTunedRecognizer
from backbones.opened import Opened
from methods.base import Classifier
from methods.engine.answers import CLASSES
from orchestrator.forget.kinds import KINDS
from orchestrator.forget.recordings import Recordings
from orchestrator.tasks.base import SAMPLE_RATE_HZ
from orchestrator.tasks.sources.audio_files import duration_seconds

FRAME_SAMPLES = 320  # 20 ms: clips are whole frames of every network
SHORTEST_SECONDS, LONGEST_SECONDS = 0.025, 30.0  # the shortest makes one frame
CHUNK = 64  # recordings per call of the extractor, and per batch of predictions


@dataclass(frozen=True)
class Speech:
    """Features of all recordings of a manifest, mapped from a file."""

    features: npt.NDArray[np.float32]  # (N, T, width)
    lengths: Tensor  # (N,) samples
    samples: int  # of every clip
    target: str = CLASSES  # what the model answers with
    targets: Tensor | None = None  # (N, L) tokens of transcripts
    texts: tuple[str, ...] = ()  # (N,) transcripts

    def fetch(self, rows: Tensor, epoch_seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return features and lengths of these rows."""
        return torch.from_numpy(self.features[rows.numpy()]), self.lengths[rows]

    def logits(
        self, model: Classifier, rows: npt.NDArray[np.int64] | None = None, beat: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.float64]:
        """Return the answers to these rows (all by default) in eval mode, in the order of `rows`.

        (n, C) logits of a classifier; (n, 3) of a recognizer, as `kinds` has them.
        """
        rows = np.arange(len(self.lengths)) if rows is None else rows
        model.eval()
        found = []
        with torch.no_grad():
            for part in torch.split(torch.from_numpy(rows), CHUNK):
                beat()
                targets = None if self.targets is None else self.targets[part]
                texts = [self.texts[row] for row in part.tolist()] if self.texts else []
                found.append(KINDS[self.target].answers(model, *self.fetch(part), targets, texts))
        return np.concatenate(found) if found else np.empty((0, 0))


def require_finite(whose: str, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the outputs of a model.

    Raises:
        ValueError: some are not finite, so that nothing can be told of them.
    """
    if bad := int((~np.isfinite(logits)).any(axis=1).sum()):
        raise ValueError(
            f"The outputs of {whose} for {bad} of {len(logits)} recordings are not finite. Check its weights and "
            "--learning-rate"
        )
    return logits


def require_finite_weights(model: SpeechClassifier) -> SpeechClassifier:
    """Return a model.

    Raises:
        ValueError: a weight is not finite.
    """
    if bad := [name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())]:
        raise ValueError(f"The model has weights that are not finite, such as {bad[0]}. Restore it from a copy")
    return model


def whole_frames(samples: int) -> int:
    """Return the next number of samples that makes whole frames."""
    return -(-samples // FRAME_SAMPLES) * FRAME_SAMPLES


def require_clip_seconds(seconds: float) -> None:
    """Raises:
    ValueError: clips of this length cannot be classified.
    """
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"--clip-seconds must be {SHORTEST_SECONDS} to {LONGEST_SECONDS:g}; got {seconds:g}")


def read_speech(opened: Opened, recordings: Recordings, scratch: Path, clip_seconds: float | None = None) -> Speech:
    """Decode all recordings and compute their features into a file in `scratch`, which the caller deletes.

    A clip has the network's fixed length (Whisper), or else that of the longest recording or `clip_seconds`.

    Raises:
        ValueError: a recording cannot be read, is longer than 30 s without `clip_seconds`, or too short for its
            transcript.
    """
    longest = max(duration_seconds(path) for path in recordings.paths)
    if opened.fixed_samples is None and clip_seconds is None and longest > LONGEST_SECONDS:
        raise ValueError(
            f"A recording has {longest:.0f} s. Say with --clip-seconds how much of each is used (at most "
            f"{LONGEST_SECONDS:.0f})"
        )
    wanted = round((longest if clip_seconds is None else clip_seconds) * SAMPLE_RATE_HZ)
    samples = opened.fixed_samples or whole_frames(wanted)
    if recordings.texts is not None:
        _require_room(opened, recordings, samples)
    lengths, out, clips = list[Tensor](), None, recordings.clips()
    for first in range(0, len(recordings), CHUNK):
        features, found = opened.features(list(islice(clips, CHUNK)), samples)
        if out is None:
            shape = (len(recordings), *features.shape[1:])
            out = np.lib.format.open_memmap(scratch / "features.npy", mode="w+", dtype=np.float32, shape=shape)
        out[first : first + len(found)] = features.numpy()
        lengths.append(found)
    assert out is not None, "a manifest has recordings"
    if recordings.texts is None:
        return Speech(out, torch.cat(lengths), samples)
    texts = tuple(map(str, recordings.texts))
    assert isinstance(opened, FineTunedRecognizer), "classifiers read manifests with labels"
    return Speech(out, torch.cat(lengths), samples, opened.target, opened.tokens(texts), texts)


def _require_room(opened: Opened, recordings: Recordings, samples: int) -> None:
    """Raises:
    ValueError: a recording is longer than `samples`, as a part of it does not have its transcript, or too short for
        the recognizer to answer with its transcript.
    """
    assert isinstance(opened, FineTunedRecognizer), "classifiers read manifests with labels"
    assert recordings.texts is not None
    seconds = torch.tensor([duration_seconds(path) for path in recordings.paths], dtype=torch.float64)
    lengths = (seconds * SAMPLE_RATE_HZ).long()
    if (long := lengths >= samples + FRAME_SAMPLES).any():
        first = str(recordings.ids[int(long.nonzero()[0])])
        raise ValueError(
            f"{int(long.sum())} recordings are longer than {samples / SAMPLE_RATE_HZ:g} s, such as {first!r}: the rest "
            "is cut off, and what is left does not have their transcripts. Raise --clip-seconds, or remove the rows"
        )
    if (short := opened.backbone.unspeakable(lengths, [str(text) for text in recordings.texts])).any():
        first = str(recordings.ids[int(short.nonzero()[0])])
        raise ValueError(
            f"{int(short.sum())} recordings are too short for their transcripts, such as {first!r}. Correct the "
            "transcripts, remove the rows, or raise --clip-seconds"
        )
