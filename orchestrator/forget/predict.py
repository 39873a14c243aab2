"""Classify or transcribe recordings with a fine-tuned model, with audio read as in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from backbones.base import SpeechClassifier
from backbones.opened import Opened, open_model
from methods.engine.answers import CLASSES, Recognizer
from orchestrator.forget.lineage import clip_samples_of
from orchestrator.forget.speech import SHORTEST_SECONDS, require_clip_seconds, whole_frames
from orchestrator.tasks.base import SAMPLE_RATE_HZ
from orchestrator.tasks.sources.audio_files import BadRecordingError, read_audio
from orchestrator.tasks.sources.found_files import shown


@dataclass(frozen=True)
class Answer:
    """What a model says of one recording: classes and their probabilities, the likeliest first."""

    path: str
    ranked: tuple[tuple[str, float], ...]  # empty of a recognizer
    read_as_seconds: float | None = None  # to which the recording was padded or cut; None: its own length
    text: str | None = None  # what a recognizer transcribes


def predict_files(
    model: Path, recordings: Sequence[Path], top: int = 3, clip_seconds: float | None = None
) -> list[Answer]:
    """Classify or transcribe recordings one by one, so that no recording depends on another.

    Args:
        model: a folder that `save_pretrained` wrote.
        recordings: WAV, FLAC, OGG or MP3 files of any rate.
        top: number of classes to name.
        clip_seconds: length to which each recording is padded or cut, 0.025 to 30. By default what `unlearn forget`
            used for this model, or else its own length. Whisper has one length only.

    Raises:
        ValueError: the folder cannot be loaded, or a recording cannot be read, or `clip_seconds` is out of its bounds.
    """
    if clip_seconds is not None:
        require_clip_seconds(clip_seconds)
    opened, wanted = open_model(model), clip_samples_of(model)
    if clip_seconds is not None:
        wanted = whole_frames(round(clip_seconds * SAMPLE_RATE_HZ))
    clips = []
    for path in recordings:
        try:
            clips.append(read_audio(path))
        except BadRecordingError as error:
            raise ValueError(f"{shown(str(path))}: {error}. Name a recording in WAV, FLAC, OGG or MP3") from None
    classifier = opened.load()
    found = []
    for path, clip in zip(recordings, clips, strict=True):
        samples = opened.fixed_samples or wanted or max(len(clip), round(SHORTEST_SECONDS * SAMPLE_RATE_HZ))
        padded = not opened.is_whisper and wanted is not None
        if opened.target != CLASSES:
            features, lengths = opened.features([clip], whole_frames(samples))
            (said,) = cast(Recognizer, classifier).transcribe(features, lengths)
            found.append(Answer(shown(str(path)), (), samples / SAMPLE_RATE_HZ if padded else None, said))
            continue
        probabilities = _probabilities(opened, classifier, clip, samples)
        best = probabilities.argsort(descending=True)[:top].tolist()
        ranked = tuple((opened.classes[c], float(probabilities[c])) for c in best)
        found.append(Answer(shown(str(path)), ranked, samples / SAMPLE_RATE_HZ if padded else None))
    return found


def _probabilities(opened: Opened, classifier: SpeechClassifier, clip: object, samples: int) -> torch.Tensor:
    features, lengths = opened.features([clip], samples)  # type: ignore[list-item]
    with torch.no_grad():
        logits: torch.Tensor = classifier(features, lengths)
    return logits[0].softmax(dim=-1)
