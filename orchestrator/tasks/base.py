"""A task is a recipe for a corpus; a corpus is an Arrow data set on disk, built once and memory-mapped by everybody."""

from __future__ import annotations

import hashlib
import json
import posixpath
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.poison import Poison

SAMPLE_RATE_HZ = 16_000
SPLITS = ("train", "validation", "test", "holdout")
CORPUS_FORMAT = 2  # bumped when the layout of a corpus on disk changes
TEST_SHARE = 0.15  # of a corpus, for estimates
NO_CLASSES = ("",)  # of a task with transcripts: every utterance has the label 0

Kind: TypeAlias = Literal["keywords", "speakers", "transcripts"]


class RecordingsChangedError(ValueError):
    """The files of a corpus are not those that its fingerprint names."""


@dataclass(frozen=True)
class Utterance:
    """One recording on its way into a corpus."""

    utterance_id: str  # unique and stable: a relative path, or a number drawn with the settings
    audio: npt.NDArray[np.int16]  # (samples,), 16 kHz mono
    label: str  # one of the corpus's classes
    speaker: str
    split: str  # one of SPLITS
    attributes: Mapping[str, str | float | None] = field(default_factory=dict)  # accent, gender, noise, ...
    transcript: str | None = None  # what is said, as its source has it; of tasks with transcripts


@dataclass(frozen=True)
class Source:
    """What a task's `read` hands over: the classes in their fixed order, and the recordings, lazily."""

    classes: tuple[str, ...]
    utterances: Iterator[Utterance]
    skipped: list[str] = field(default_factory=list)  # `path: reason`, filled while `utterances` is read
    notes: list[str] = field(default_factory=list)  # what else people should know of the recordings
    about: Mapping[str, Any] = field(default_factory=dict)  # plain values that `corpus.json` keeps, such as canaries


class Foretold(NamedTuple):
    """What the settings of a task tell of its corpus, before it is built; None where only the recordings tell it."""

    attributes: tuple[str, ...] | None = None  # names of columns that requests of kind attribute may name
    canaries: tuple[str, ...] | None = None  # names of planted secrets in train
    texts: tuple[str, ...] | None = None  # normalized transcripts


class CorpusSize(NamedTuple):
    """What `plan` needs to know of a corpus that may not be here."""

    utterances: int
    seconds: float  # of a typical recording
    classes: int


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A plug-in whose fields are its settings; those with `metadata={"identity": False}` (paths) do not name it.

    Those with `metadata={"added_later": True}` name it only if they differ from their default: corpora from before keep
    their names.
    """

    label: ClassVar[str]  # as tables print it
    version: ClassVar[int]  # bumped when its corpora change
    read_by: ClassVar[tuple[str, ...]] = ()  # settings on which all depends that the task reads and keeps

    label_noise: Mapping[str, float] | None = None  # {share: of each split's utterances given a wrong label, seed: 0}
    poison: Mapping[str, Any] | None = field(
        default=None, metadata={"added_later": True}
    )  # {share: of train, target: CLASS, level_db: -6, seconds: 0.2, seed: 0}
    holdout_share: float = 0.05  # of train, given up where the corpus has no holdout of its own
    keep_in_train: Sequence[
        str
    ] = ()  # ids that no drawn test, validation or holdout takes; requests of kind ids add theirs

    def __post_init__(self) -> None:
        if not 0 <= self.holdout_share < 1:
            raise ValueError(f"holdout_share must lie in [0, 1), got {self.holdout_share}")
        object.__setattr__(self, "keep_in_train", tuple(sorted({plain_id(name) for name in self.keep_in_train})))
        noise = dict(self.label_noise or {})
        if noise and (set(noise) - {"share", "seed"} or not 0 < float(noise.get("share", 0)) < 1):
            raise ValueError(
                f"label_noise is not right: got {noise}, allowed: {{share: strictly between 0 and 1, seed: a number}}"
            )
        if self.poison is not None:
            object.__setattr__(self, "poison", asdict(Poison.of(self.poison)))
            if noise:
                raise ValueError(
                    "label_noise and poison exclude each other, as both decide which labels are wrong: got both; "
                    "remove one, or make two tasks"
                )

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What a recording is labeled with: a keyword, a speaker (class unlearning forgets one keyword, or a share of
        the speakers), or a transcript."""

    @property
    def text_normalizer(self) -> str | None:
        """Name and version of the normalizer of its transcripts; None for a task with classes."""
        return None

    @property
    def unforgettable(self) -> tuple[str, ...]:
        """Classes that class unlearning never draws."""
        return ("_unknown_", "_silence_")

    @abstractmethod
    def content(self) -> Mapping[str, Any]:
        """What the audio is made from, as plain values: an engine's version, or a digest of names and bytes of the
        files.

        `plan` calls it: what was read once is remembered (`orchestrator.digests`). Raises FileNotFoundError where the
        data are missing.
        """

    @abstractmethod
    def expected_size(self) -> CorpusSize:
        """Size of the corpus, from the settings or the published figures; never reads the data."""

    def foretold(self) -> Foretold:
        """What is known of the corpus before a recording is read or made, so that `plan` refuses what it lacks."""
        return Foretold()

    def planned_size(self) -> CorpusSize:
        """The expected size with the copies of test recordings that poison adds, for about `TEST_SHARE` of them."""
        size = self.expected_size()
        return size._replace(utterances=round(size.utterances * (1 + TEST_SHARE))) if self.poison else size

    @abstractmethod
    def read(self) -> Source:
        """The recordings, before label noise and holdout."""

    def settings(self) -> dict[str, Any]:
        """The fields that belong to the identity, as plain values; `keep_in_train` as its digest."""
        given = {
            f.name: value
            for f in fields(self)
            for value in [getattr(self, f.name)]
            if f.metadata.get("identity", True) and not (f.metadata.get("added_later") and value == f.default)
        }
        kept = given.pop("keep_in_train")
        if kept:
            given["keep_in_train"] = f"sha256:{hashlib.sha256(chr(10).join(kept).encode()).hexdigest()}"
        return given

    def fingerprint(self) -> str:
        """Twelve hex digits that name the corpus: a hash of settings, version and content."""
        recipe = {
            "format": CORPUS_FORMAT, "task": type(self).__name__, "version": self.version,
            "settings": self.settings(), "content": dict(self.content()),
        }  # fmt: skip
        return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()[:12]

    def reuse(self, other: Task) -> None:
        """Take over what another task of the same plan has read, if it reads the same files in the same way."""
        if (
            self.read_by
            and type(other) is type(self)
            and all(getattr(self, n) == getattr(other, n) for n in self.read_by)
        ):
            self.__dict__.update({name: kept for name, kept in other.__dict__.items() if name not in self.__dict__})

    def require_unchanged(self, planned: str) -> None:
        """Check that the files are still those of the planned fingerprint.

        Raises:
            RecordingsChangedError: they are not.
        """
        if (found := self.fingerprint()) != planned:
            raise RecordingsChangedError(
                f"the recordings of {self.label} are not those that were planned: got corpus {found}, planned "
                f"{planned}; files changed since, or this machine has other files or another speech engine; give the "
                "command again: it plans with what is there now"
            )


def plain_id(name: str) -> str:
    """An utterance id as it is compared: without blanks around it or `./` before it, in Unicode's composed form."""
    stripped = unicodedata.normalize("NFC", str(name)).strip()
    return posixpath.normpath(stripped) if stripped else ""
