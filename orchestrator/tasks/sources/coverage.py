"""Every class needs train utterances: checked before audio is read, and again after bad recordings were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.tasks.base import Utterance
from orchestrator.tasks.sources.audio_files import Recording, place_of

SHOWN = 5  # recordings that were left out, in a message


def require_trained(
    classes: Sequence[str], recordings: Sequence[Recording], least: int = 1, skipped: Sequence[str] = ()
) -> None:
    """Refuse a class that train lacks, naming one of its recordings, or that has fewer than `least` utterances there.

    Args:
        classes: of the corpus.
        recordings: all of them, with their splits.
        least: number of train utterances of each class.
        skipped: what was left out so far, for the message.

    Raises:
        ValueError: see above, or there are fewer than two classes.
    """
    train_clips = Counter(recording.label for recording in recordings if recording.split == "train")
    for recording in recordings:
        if recording.label not in train_clips:
            place = place_of(recording.path, recording.where)
            raise ValueError(
                f"class without train utterances: got {recording.label!r} in the {recording.split} split at {place}, "
                f"allowed: {', '.join(sorted(train_clips)) or 'none, as train is empty'}"
            )
    _require_clips(classes, train_clips, least)
    if len(classes) < 2:
        left_out = f"; left out: {'; '.join(skipped[:SHOWN])}" if skipped else ""
        raise ValueError(f"too few classes: got {', '.join(classes) or 'none'}, allowed: two or more{left_out}")


def still_trained(classes: Sequence[str], utterances: Iterable[Utterance], least: int = 1) -> Iterator[Utterance]:
    """The utterances; at their end, what was left out on the way must not have emptied a class."""
    train_clips: Counter[str] = Counter()
    for utterance in utterances:
        train_clips[utterance.label] += utterance.split == "train"
        yield utterance
    _require_clips(classes, train_clips, least)


def _require_clips(classes: Sequence[str], train_clips: Mapping[str, int], least: int) -> None:
    few = [f"{name} ({train_clips.get(name, 0)})" for name in classes if train_clips.get(name, 0) < least]
    if few:
        shown = ", ".join(few[:20]) + (", …" if len(few) > 20 else "")
        raise ValueError(
            f"too few train utterances in {len(few)} of {len(classes)} classes: got {shown}, "
            f"allowed: {least} or more in each; check splits and paths, or leave these classes out"
        )
