"""VoxCeleb1 (Nagrani, Chung and Zisserman, Interspeech 2017): speaker identification, from a local copy.

`split: identification` is SUPERB's task: 1,251 speakers and the official list (iden_split.txt, also known as
veri_test_class.txt). `split: verification_dev` is the 1,211 speakers outside the verification test, which have no
official split: one is drawn for each speaker. Nothing is downloaded; the recordings may not be passed on.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from orchestrator.digests import sha256_of
from orchestrator.tasks.base import CorpusSize, Kind, Source, Task
from orchestrator.tasks.sources import audio_files, found_files
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.coverage import require_trained, still_trained
from orchestrator.tasks.sources.splits import require_share, split_groups

OFFICIAL_SPLITS = {"1": "train", "2": "validation", "3": "test"}
VERIFICATION_TEST = frozenset(
    f"id{number}" for number in range(10270, 10310)
)  # the 40 speakers whose names begin with E
WAV_FOLDERS = ("dev/wav", "test/wav", "wav")
UTTERANCE = re.compile(r"(?P<speaker>id\d{5})/(?P<video>[^/]+)/[^/]+\.wav")


@dataclass(frozen=True, kw_only=True)
class VoxCeleb1(Task):
    """`root/{dev,test}/wav/idXXXXX/<video>/<utterance>.wav`, or the same below `root/wav`; a class is a speaker."""

    label: ClassVar[str] = "VoxCeleb1"
    version: ClassVar[int] = 1

    root: str = field(metadata={"identity": False})
    split: str = "identification"  # or verification_dev
    list_file: str | None = field(default=None, metadata={"identity": False})  # `1|2|3 idXXXXX/<video>/<utterance>.wav`
    seconds: float = 8.0  # of a recording are kept at most, the first ones (SUPERB trains on crops of 8 s)
    draw: str = "video"  # verification_dev: whole videos go to a split (as in the official list), or single utterances
    test_share: float = 0.05  # verification_dev: of each speaker's utterances, about as in the official list
    validation_share: float = 0.05  # verification_dev: likewise
    seed: int = 0  # of the drawn split
    on_bad_audio: str = "error"  # or skip: leave bad recordings out, and list them in the corpus

    def __post_init__(self) -> None:
        super().__post_init__()
        audio_files.require_choice("split", self.split, ("identification", "verification_dev"))
        audio_files.require_choice("draw", self.draw, ("video", "utterance"))
        audio_files.require_choice("on_bad_audio", self.on_bad_audio, audio_files.ON_BAD_AUDIO)
        require_share("test_share", self.test_share)
        require_share("validation_share", self.validation_share)
        if not self.seconds > 0:
            raise ValueError(f"seconds must be positive, got {self.seconds}")
        if (self.split == "identification") != (self.list_file is not None):
            raise ValueError(
                f"list_file belongs to split: identification, which needs it: got split {self.split!r} and list_file "
                f"{self.list_file!r}, allowed: the path of iden_split.txt, or none with verification_dev"
            )

    @property
    def kind(self) -> Kind:
        """A class is a speaker."""
        return "speakers"

    def expected_size(self) -> CorpusSize:
        """The published figures of the split; recordings last 8.2 s on average."""
        utterances, speakers = (153_516, 1_251) if self.split == "identification" else (148_642, 1_211)
        return CorpusSize(utterances, min(8.2, self.seconds), speakers)

    def content(self) -> Mapping[str, Any]:
        """Digest of names and bytes of the files in the split, and of the list's bytes."""
        return self._content

    @cached_property
    def _content(self) -> dict[str, Any]:
        splits = self._splits
        files = {name: folder / name for name, folder in self._files.items() if name in splits}
        return {
            **found_files.digest_of_files(files),
            **({"list": sha256_of(self._list)} if self.list_file else {}),
        }

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Folder of each recording, by `idXXXXX/<video>/<utterance>.wav`."""
        root = audio_files.require_folder(self.root, "VoxCeleb1")
        files: dict[str, Path] = {}
        for folder in (root / name for name in WAV_FOLDERS):
            if folder.is_dir():
                names = found_files.find_audio(folder, (".wav",)).names
                files.update({name: folder for name in names if UTTERANCE.fullmatch(name)})
        if not files:
            raise FileNotFoundError(
                f"VoxCeleb1 not found: got root {root} without idXXXXX/<video>/<utterance>.wav below any of "
                f"{', '.join(WAV_FOLDERS)}; set `root` to the folder that holds one of these"
            )
        return dict(sorted(files.items()))

    @property
    def _list(self) -> Path:
        path = Path(str(self.list_file)).expanduser().absolute()
        if not path.is_file():
            raise FileNotFoundError(
                f"list of the identification split not found: got {path}; set `list_file` to iden_split.txt"
            )
        return path

    @cached_property
    def _splits(self) -> dict[str, tuple[str, str]]:
        """Split of each recording, and what names it there, by `idXXXXX/<video>/<utterance>.wav`."""
        return self._listed() if self.list_file else self._drawn()

    def _listed(self) -> dict[str, tuple[str, str]]:
        splits: dict[str, tuple[str, str]] = {}
        for number, line in enumerate(self._list.read_text("utf-8-sig").splitlines(), start=1):
            if not line.strip():
                continue
            where = f"{self._list.name} line {number}"
            code, _, name = line.strip().partition(" ")
            if code not in OFFICIAL_SPLITS or not UTTERANCE.fullmatch(name.strip()):
                raise ValueError(
                    f"bad entry in {where}: got {line!r}, allowed: `1|2|3 idXXXXX/<video>/<utterance>.wav`"
                )
            if name.strip() in splits:
                raise ValueError(f"recording given twice: got {name.strip()} in {where} and {splits[name.strip()][1]}")
            splits[name.strip()] = OFFICIAL_SPLITS[code], where
        return splits

    def _drawn(self) -> dict[str, tuple[str, str]]:
        by_speaker: dict[str, list[str]] = defaultdict(list)
        for name in self._files:
            speaker = name.partition("/")[0]
            if speaker not in VERIFICATION_TEST:
                by_speaker[speaker].append(name)
        shares = {"test": self.test_share, "validation": self.validation_share}
        splits: dict[str, tuple[str, str]] = {}
        for speaker, names in by_speaker.items():
            groups = [name.split("/")[1] for name in names] if self.draw == "video" else names
            # A stream for each speaker: a missing speaker does not move the others' splits.
            rng = np.random.default_rng([self.seed, int(speaker[2:])])
            try:
                drawn = split_groups(groups, shares, rng)
            except ValueError as error:
                raise ValueError(f"speaker {speaker} ({self.draw}s): {error}") from None
            splits.update({name: (str(split), "") for name, split in zip(names, drawn, strict=True)})
        return splits

    def read(self) -> Source:
        """Recordings in the order of their names; classes are the speakers' ids, ascending."""
        skipped: list[str] = []
        recordings = []
        for name, (split, where) in sorted(self._splits.items()):
            if name not in self._files:
                audio_files.refuse_or_skip(
                    "missing file", Path(self.root, "*", name), where, skipped, self.on_bad_audio
                )
                continue
            speaker, video, _ = name.split("/")
            path = self._files[name] / name
            recordings.append(Recording(path, name, speaker, speaker, split, {"video": video}, where))
        classes = tuple(sorted({recording.speaker for recording in recordings}))
        require_trained(classes, recordings, skipped=skipped)
        audio = audio_files.utterances(recordings, skipped, self.on_bad_audio, self.seconds)
        return Source(classes, still_trained(classes, audio), skipped)


TASKS = {"voxceleb1": VoxCeleb1}
