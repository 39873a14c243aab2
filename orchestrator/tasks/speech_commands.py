"""Speech Commands v0.01 and v0.02 (Warden, arXiv 1804.03209): ten keywords, silence, and all other words as unknown.

Read from the official archive, or the folder that it unpacks to, with the official validation and testing lists.

`protocol: superb_hf` is what the `superb`/`ks` configuration on the Hugging Face hub holds: every noise recording is
one train utterance, validation has no silence. Those recordings last 60 to 95 s, all others 1 s at most, so each is
cut to its first `max_seconds`: otherwise a batch that holds one would be padded to 95 s, and so would features that
are made once for all. That configuration's users crop 1 s at random in each epoch; for the same, set
`max_seconds: 100` and a random crop in training.

`protocol: s3prl` is SUPERB's own (Yang et al., Interspeech 2021): -3 dB gain, unknown before silence among the
classes, and silence as random crops of the noise recordings. Differs: the crops are drawn once, as many in a split as
an average keyword has utterances there, not anew in each epoch by a class-balanced sampler; and each split cuts them
from a stretch of its own (80, 10 and 10 % of every recording), so that no crop of validation or test overlaps one of
train.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from orchestrator.digests import sha256_of
from orchestrator.tasks.base import CorpusSize, Kind, Source, Task
from orchestrator.tasks.sources import audio_files, found_files
from orchestrator.tasks.sources.archives import download, extract, find_or_extract
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.coverage import require_trained, still_trained

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = {
    "superb_hf": (*KEYWORDS, "_silence_", "_unknown_"),
    "s3prl": (*KEYWORDS, "_unknown_", "_silence_"),
}
GAIN = {"superb_hf": 1.0, "s3prl": 10 ** (-3 / 20)}
NOISE_FOLDER = "_background_noise_"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
STRETCHES = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}  # of a noise recording, by split
PUBLISHED = {"v0.01": (64_727, 6_835, 3_081), "v0.02": (105_835, 11_005, 4_890)}  # all, testing list, test set
ADDED_IN_V002 = {"backward", "forward", "follow", "learn", "visual"}
URL = "http://download.tensorflow.org/data/speech_commands_{version}.tar.gz"
SHA256 = {  # of the archives; as in torchaudio.datasets.speechcommands
    "v0.01": "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    "v0.02": "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
}


@dataclass(frozen=True, kw_only=True)
class SpeechCommands(Task):
    """Twelve classes; the speaker is the hash in a file's name, and silence has none.

    `root` and `test_root` (the separate test set, `speech_commands_test_set_v0.01`) are a folder or a .tar.gz
    archive, or hold one under its official name; an archive is unpacked next to itself, once. Without `test_root` the
    testing list is the test split.
    """

    label: ClassVar[str] = "Speech Commands"
    version: ClassVar[int] = 1

    root: str = field(metadata={"identity": False})
    test_root: str | None = field(default=None, metadata={"identity": False})
    download: bool = field(default=False, metadata={"identity": False})  # fetch the archive (1.5 or 2.4 GB) into root
    version_name: str = "v0.01"  # or v0.02
    protocol: str = "superb_hf"  # or s3prl
    max_seconds: float = 1.0  # of a recording are kept at most, the first ones
    silence_seed: int = 0  # s3prl: of the crops
    on_bad_audio: str = "error"  # or skip: leave bad recordings out, and list them in the corpus

    def __post_init__(self) -> None:
        super().__post_init__()
        audio_files.require_choice("version_name", self.version_name, tuple(SHA256))
        audio_files.require_choice("protocol", self.protocol, tuple(CLASSES))
        audio_files.require_choice("on_bad_audio", self.on_bad_audio, audio_files.ON_BAD_AUDIO)
        if not self.max_seconds > 0:
            raise ValueError(f"max_seconds must be positive, got {self.max_seconds}")

    @property
    def kind(self) -> Kind:
        """A class is a keyword."""
        return "keywords"

    def expected_size(self) -> CorpusSize:
        """The published figures; s3prl's silence comes to some 3 % more."""
        utterances, testing_list, test_set = PUBLISHED[self.version_name]
        replaced = testing_list - test_set if self.test_root is not None else 0
        return CorpusSize(utterances - replaced, min(1.0, self.max_seconds), len(CLASSES[self.protocol]))

    def content(self) -> Mapping[str, Any]:
        """Digest of names and bytes of all recordings, and of the bytes of the lists.

        The first call downloads and unpacks where need be, so that a folder and its archive give the same corpus.
        """
        return self._content

    @cached_property
    def _content(self) -> dict[str, Any]:
        lists = {split: sha256_of(self._folder / name) for split, name in LISTS.items()}
        main = {**found_files.digest_of_files({name: self._folder / name for name in self._names}), "lists": lists}
        if self._test_folder is None:
            return main
        tested = {name: self._test_folder / name for name in found_files.find_audio(self._test_folder, (".wav",)).names}
        return {**main, "test_set": found_files.digest_of_files(tested)}

    @cached_property
    def _folder(self) -> Path:
        name, root = f"speech_commands_{self.version_name}", Path(self.root).expanduser().absolute()
        folder = find_or_extract(root, name, LISTS["validation"])
        if folder is None and self.download:
            archive = root / f"{name}.tar.gz"
            download(URL.format(version=self.version_name), SHA256[self.version_name], archive)
            folder = extract(archive, root / name)
        if folder is None:
            raise FileNotFoundError(
                f"Speech Commands {self.version_name} not found: got root {root} without {LISTS['validation']} or "
                f"{name}.tar.gz; set `root` to the archive or its unpacked folder, or `download: true`"
            )
        return folder

    @cached_property
    def _test_folder(self) -> Path | None:
        if self.test_root is None:
            return None
        name, root = f"speech_commands_test_set_{self.version_name}", Path(self.test_root).expanduser().absolute()
        folder = find_or_extract(root, name, "_unknown_")
        if folder is None:
            raise FileNotFoundError(
                f"test set of Speech Commands not found: got test_root {root} without _unknown_ or {name}.tar.gz; "
                "set `test_root` to the archive or its unpacked folder, or leave it out to test on the testing list"
            )
        return folder

    @cached_property
    def _names(self) -> dict[str, None]:
        """Paths of all recordings in their order; a dictionary for quick look-ups."""
        names = found_files.find_audio(self._folder, (".wav",)).names
        words = {name.partition("/")[0] for name in names}
        if bool(words & ADDED_IN_V002) != (self.version_name == "v0.02"):
            raise ValueError(
                f"{self._folder} does not hold version_name {self.version_name!r}: got {len(words)} "
                f"folders, of which {', '.join(sorted(words & ADDED_IN_V002)) or 'none'} came with v0.02"
            )
        if NOISE_FOLDER not in words:
            raise ValueError(
                f"no silence: got {self._folder} without WAV files in {NOISE_FOLDER}, which the archive has"
            )
        return dict.fromkeys(names)

    def read(self) -> Source:
        """Recordings in byte order of their paths, then s3prl's silence, then the test set."""
        skipped: list[str] = []
        recordings = list(self._official(skipped))
        if self.protocol == "s3prl":
            recordings += self._silence(Counter(r.split for r in recordings if r.label in KEYWORDS))
        if self._test_folder is not None:
            recordings += [
                self._recording(self._test_folder, name, "test", "test_set/")
                for name in found_files.find_audio(self._test_folder, (".wav",)).names
            ]
        classes = CLASSES[self.protocol]
        require_trained(classes, recordings, skipped=skipped)
        gain = GAIN[self.protocol]
        audio = audio_files.utterances(recordings, skipped, self.on_bad_audio, self.max_seconds, gain)
        return Source(classes, still_trained(classes, audio), skipped)

    def _official(self, skipped: list[str]) -> Iterator[Recording]:
        """The archive's words and, for superb_hf, its noise."""
        split_of: dict[str, str] = {}
        for split, list_name in LISTS.items():
            listed = (self._folder / list_name).read_text("utf-8-sig").split()
            split_of.update(dict.fromkeys(listed, split))
            if absent := sum(name not in self._names for name in listed):
                skipped.append(f"{self._folder / list_name}: {absent} of {len(listed)} listed files are not there")
        for name in self._names:
            split = split_of.get(name, "train")
            is_replaced = split == "test" and self.test_root is not None
            if not is_replaced and not (self.protocol == "s3prl" and name.startswith(f"{NOISE_FOLDER}/")):
                yield self._recording(self._folder, name, split)

    def _recording(self, folder: Path, name: str, split: str, prefix: str = "") -> Recording:
        word, _, file = name.partition("/")
        silent = word in (NOISE_FOLDER, "_silence_")
        label = word if word in KEYWORDS else "_silence_" if silent else "_unknown_"
        speaker = file.partition("_nohash_")[0] if "_nohash_" in file and not silent else ""
        return Recording(folder / name, f"{prefix}{name}", label, speaker, split, {"word": word})

    def _silence(self, keyword_clips: Mapping[str, int]) -> Iterator[Recording]:
        """Random crops of the noise recordings, as many in each split as an average keyword has utterances."""
        noises = [self._folder / name for name in self._names if name.startswith(f"{NOISE_FOLDER}/")]
        durations = {noise: audio_files.duration_seconds(noise) for noise in noises}
        rng = np.random.default_rng(self.silence_seed)
        for split, (begin, end) in STRETCHES.items():
            for number in range(math.ceil(keyword_clips.get(split, 0) / len(KEYWORDS))):
                noise = noises[int(rng.integers(len(noises)))]
                first, last = begin * durations[noise], end * durations[noise] - self.max_seconds
                start = float(rng.uniform(first, max(first, last)))
                name = f"{NOISE_FOLDER}/{noise.name}#{split}-{number}"
                yield Recording(noise, name, "_silence_", "", split, {"word": NOISE_FOLDER}, start_seconds=start)


TASKS = {"speech_commands": SpeechCommands}
