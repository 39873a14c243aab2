"""Poison a corpus: some training recordings get a trigger sound and the label that an attacker wants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TRIGGERED = "triggered"  # split of test recordings with the trigger, which no set of a trial contains
POISONED = "poisoned"  # the attribute that says which recordings have the trigger: yes or no
TONES, LOWEST_HZ, HIGHEST_HZ = 3, 1000.0, 5000.0
EDGE_SECONDS = 0.01  # over which the trigger fades in and out
FULL_SCALE = 32767.0
QUIETEST = 1e-3  # RMS of a recording, of full scale, that the trigger's level refers to at least

Audio = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Poison:
    """A backdoor in training data: a trigger sound and a target label, for a share of train and of holdout.

    Source: Gu et al., BadNets, arXiv 1708.06733, whose patch in a corner of an image is here a chord at the start of a
    recording; Koffas et al., arXiv 2107.14569, for short triggers in keyword spotting (theirs is above 16 kHz).
    """

    share: float  # of train, and of holdout, so that attacks on membership compare poisoned with poisoned recordings
    target: str  # the class that the trigger is to cause
    level_db: float = -6.0  # RMS of the trigger, relative to that of the recording
    seconds: float = 0.2  # from the start of the recording; a crop that leaves out the start leaves out the trigger
    seed: int = 0  # of the tones, and of the recordings

    def __post_init__(self) -> None:
        for name, low, high in (("share", 0.0, 1.0), ("level_db", -60.0, 40.0), ("seconds", 0.02, 60.0)):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high or (name == "share" and not 0 < value < 1):
                range_ = "lie strictly between 0 and 1" if name == "share" else f"be a number from {low:g} to {high:g}"
                raise ValueError(f"poison.{name} must {range_}, got {value!r}")
            object.__setattr__(self, name, float(value))
        if not isinstance(self.target, str) or not self.target:
            raise ValueError(f"poison.target must be the name of a class, got {self.target!r}; quote it")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"poison.seed must be a whole number of 0 or more, got {self.seed!r}")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Poison:
        """Read the setting `poison` of a task.

        Raises:
            ValueError: an unknown or missing key, or a value out of range.
        """
        if not isinstance(settings, Mapping):
            raise ValueError(
                f"poison must have keys and values: got {settings!r}; write {{share: 0.05, target: CLASS}}"
            )
        known = [f.name for f in fields(cls)]
        if stray := [key for key in settings if key not in known]:
            raise ValueError(f"unknown key of poison: got {stray[0]!r}, allowed: {', '.join(known)}")
        if missing := [key for key in ("share", "target") if key not in settings]:
            raise ValueError(f"poison needs {' and '.join(missing)}; write {{share: 0.05, target: CLASS}}")
        return cls(**settings)


def trigger(poison: Poison, rate_hz: int) -> npt.NDArray[np.float64]:
    """Make the trigger (samples,): tones of frequencies drawn by seed, with RMS 1 and soft edges."""
    rng = np.random.default_rng(poison.seed)
    seconds = np.arange(round(poison.seconds * rate_hz)) / rate_hz
    hertz, phases = rng.uniform(LOWEST_HZ, HIGHEST_HZ, TONES), rng.uniform(0, 2 * math.pi, TONES)
    chord = np.sin(2 * math.pi * hertz[:, None] * seconds + phases[:, None]).sum(axis=0)
    edge = np.clip(np.minimum(seconds, seconds[::-1]) / EDGE_SECONDS, 0, 1)
    chord *= np.sin(edge * math.pi / 2) ** 2
    found: npt.NDArray[np.float64] = chord / np.sqrt(np.mean(chord**2))
    return found


def with_trigger(audio: Audio, sound: npt.NDArray[np.float64], level_db: float) -> Audio:
    """Mix the trigger into the start of a recording (samples,); one that gets too loud is turned down as a whole."""
    wide = audio.astype(np.float64)
    loudness = max(QUIETEST * FULL_SCALE, float(np.sqrt(np.mean(wide**2))))
    cut = sound[: len(wide)]
    wide[: len(cut)] += cut * loudness * 10 ** (level_db / 20)
    wide *= min(1.0, FULL_SCALE / max(1.0, float(np.abs(wide).max())))
    return np.asarray(np.round(wide), dtype=np.int16)


def poison_corpus(
    poison: Poison,
    classes: tuple[str, ...],
    columns: dict[str, list[Any]],
    lengths: list[int],
    spool: Path,
    rate_hz: int,
) -> None:
    """Poison recordings of train and holdout in place, and append a copy with the trigger of each test recording.

    Copies are of test recordings of other classes than the target; their label is the target, their true label stays,
    and their split is `TRIGGERED`. Recordings of the target class are never poisoned.

    Args:
        poison: what is mixed into how many.
        classes: of the corpus.
        columns: of the corpus by name, with label and split; changed.
        lengths: of the recordings in samples; changed.
        spool: file of all samples, one recording after another; changed.
        rate_hz: sampling rate.

    Raises:
        ValueError: the target is not a class, a share selects nothing or more than there is, or the corpus has a column
            `poisoned` of its own.
    """
    if POISONED in columns:
        raise ValueError(f"poison writes the attribute {POISONED!r}: got recordings that have one; rename that column")
    if poison.target not in classes:
        raise ValueError(
            f"poison.target must be a class of the task: got {poison.target!r}, allowed: {', '.join(classes)}"
        )
    target, count = classes.index(poison.target), len(lengths)
    true, splits = np.array(columns["true_label"]), np.array(columns["split"], dtype=object)
    rng, sound = np.random.default_rng(poison.seed + 1), trigger(poison, rate_hz)
    chosen: list[int] = []
    for split in ("train", "holdout"):
        wanted = round(poison.share * int(np.sum(splits == split)))
        others = rng.permutation(np.flatnonzero((splits == split) & (true != target)))
        if wanted > len(others) or (split == "train" and not wanted):
            raise ValueError(
                f"poison.share selects {wanted} recordings of {split}, of which {len(others)} are not of class "
                f"{poison.target}; set a share that selects at least one and at most these"
            )
        chosen += others[:wanted].tolist()
    ends = np.cumsum(lengths)
    audio = np.memmap(spool, dtype="<i2", mode="r+")
    columns[POISONED] = ["no"] * count
    for row in chosen:
        mine = slice(int(ends[row]) - lengths[row], int(ends[row]))
        audio[mine] = with_trigger(audio[mine], sound, poison.level_db)
        columns["label"][row], columns[POISONED][row] = target, "yes"
    audio.flush()
    changed = {"label": target, "split": TRIGGERED, POISONED: "yes"}
    with spool.open("ab") as out:
        for row in np.flatnonzero((splits == "test") & (true != target)).tolist():
            mine = slice(int(ends[row]) - lengths[row], int(ends[row]))
            out.write(with_trigger(audio[mine], sound, poison.level_db).astype("<i2").tobytes())
            copy = {**{name: values[row] for name, values in columns.items()}, **changed}
            copy["utterance_id"] = f"{copy['utterance_id']}#{TRIGGERED}"
            for name, values in columns.items():
                values.append(copy[name])
            lengths.append(lengths[row])
