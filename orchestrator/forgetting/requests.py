"""Unlearning requests: what is to be forgotten, as a sweep says it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from orchestrator.tasks.sources.tables import text

RULES = ("random", "stratified", "balanced", "index_file", "harmful")
SETTINGS = {  # which settings a kind takes
    "sample": {"forget_ratio", "rule", "index_file", "index_total"},
    "class": {"classes", "num_classes", "class_share"},
    "speaker": {"speakers", "num_speakers"},
    "mislabeled": {"known_share"},
    "ids": {"ids", "ids_file"},
    "poisoned": {"known_share"},
    "attribute": {"attribute", "value", "at_least", "below"},
    "entity": {"entities", "num_entities"},
    "canary": {"canaries", "num_canaries"},
}
WRONG_LABELS = ("mislabeled", "poisoned")  # kinds whose D_f was trained on under wrong labels
ALTERNATIVES = (  # settings of which one may be given
    ("classes", "num_classes", "class_share"), ("speakers", "num_speakers"), ("ids", "ids_file"),
    ("entities", "num_entities"), ("canaries", "num_canaries"),
)  # fmt: skip
SIZES = {"num_classes": "classes", "num_speakers": "speakers", "num_entities": "entities", "num_canaries": "canaries"}
"""How many a request is for, and the setting that names them instead."""
INDEX_FILE_RATIO = 0.1  # MU-Bench's files hold ten steps of 1 %


UNSUITABLE = {  # why a kind of request does not fit a kind of task
    ("speaker", "speakers"): "a speaker is a class here; use kind: class",
    (
        "class",
        "transcripts",
    ): "its recordings have transcripts and no classes; use kind: entity with a word, or speaker",
    ("poisoned", "transcripts"): "its recordings have transcripts, and a backdoor needs a class; use a task of classes",
    ("mislabeled", "transcripts"): "its recordings have transcripts, of which none is known to be wrong; use kind: ids",
    **{
        (kind, target): "its recordings have no transcripts; use a task with transcripts, such as espeak_sentences"
        for kind in ("entity", "canary")
        for target in ("keywords", "speakers")
    },
}


def reason_unsuitable(kind: str, target: str) -> str:
    """Return why a kind of request does not fit a task whose recordings are labeled with `target`; empty if it does."""
    return UNSUITABLE.get((kind, target), "")


def size_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many classes, speakers, entities or canaries a request is for; empty for one, and for other kinds.

    Args:
        request: its settings, or its identity.
    """
    if share := request.get("class_share"):
        return {"class_share": share}
    counts = {name: request.get(name) or len(request.get(named) or ()) for name, named in SIZES.items()}
    return {name: count for name, count in counts.items() if count > 1}


class MissingFile(ValueError):
    """The file that a request names is not there."""


@dataclass(frozen=True, kw_only=True)
class ForgetRequest:
    """What is to be forgotten, as a sweep says it; what it leaves open is drawn by seed.

    The paths `ids_file` and `index_file` are not part of the request; `file_sha256`, filled in from the file, is.
    """

    kind: str = "sample"  # or class, speaker, mislabeled, poisoned, ids, attribute, entity, canary
    forget_ratio: float | None = None  # sample: |D_f| / |D|
    rule: str = "random"  # sample: or stratified, balanced, index_file, harmful
    index_file: str | None = None  # rule index_file: ranks in the byte-sorted train split; all of them at ratio 0.1
    index_total: int | None = None  # size of the train split that the index file was made for (MU-Bench's: 51094)
    classes: tuple[str, ...] = ()  # class: their names
    num_classes: int | None = None  # class: or how many (1 where nothing is said)
    class_share: float | None = None  # class: or a share of the classes
    speakers: tuple[str, ...] = ()  # speaker: their names
    num_speakers: int | None = None  # speaker: or how many (1 where nothing is said)
    known_share: float | None = None  # mislabeled, poisoned: how many of them are known; the others stay in D_r
    ids: tuple[str, ...] = ()  # ids: of utterances
    ids_file: str | None = None  # ids: or a text file, one a line
    attribute: str | None = None  # attribute: a column of the corpus, such as accent, noise or pitch
    value: str | float | None = None  # attribute: the value that is forgotten; without it, one drawn by seed
    at_least: float | None = None  # attribute: or a band of numbers, from this on
    below: float | None = None  # attribute: and up to this, which is outside
    entities: tuple[str, ...] = ()  # entity: words or phrases; all utterances whose transcript contains one
    num_entities: int | None = None  # entity: or how many of those that the task lists (1 where nothing is said)
    canaries: tuple[str, ...] = ()  # canary: names of planted secrets, such as planted-00
    num_canaries: int | None = None  # canary: or how many (1 where nothing is said)
    file_sha256: str = ""

    def __post_init__(self) -> None:
        for name in ("classes", "speakers", "ids", "entities", "canaries"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ValueError(f"{name} must be a list of names, got {value!r}")
            object.__setattr__(self, name, _in_one_order(name, tuple(value)))
        self._require_settings_of_kind()
        if self.known_share == 1 and self.known_share is not True:
            object.__setattr__(self, "known_share", None)  # all of them, which is the same request
        self._require_ranges()
        self._require_attribute()
        path = self.ids_file or self.index_file
        if path and not self.file_sha256:
            object.__setattr__(self, "file_sha256", self._digest(_lines(path)))

    def _require_settings_of_kind(self) -> None:
        if self.kind not in SETTINGS:
            raise ValueError(f"unknown kind of unlearning: got {self.kind!r}, allowed: {', '.join(SETTINGS)}")
        if self.rule not in RULES:
            raise ValueError(f"unknown rule: got {self.rule!r}, allowed: {', '.join(RULES)}")
        allowed = SETTINGS[self.kind] | {"kind", "file_sha256"}
        given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        if stray := [name for name in given if name not in allowed]:
            others = ", ".join(sorted(SETTINGS[self.kind])) or "no settings"
            raise ValueError(f"kind {self.kind} does not take {', '.join(stray)}, allowed: {others}")
        for group in ALTERNATIVES:
            if len(both := [name for name in group if name in given]) > 1:
                raise ValueError(f"one of {', '.join(group)} may be given, got {' and '.join(both)}")

    def _require_ranges(self) -> None:
        for name in ("num_classes", "num_speakers", "num_entities", "num_canaries", "index_total"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number of 1 or more, got {value!r}")
        needed = ["forget_ratio"] if self.kind == "sample" else []
        for name in (*needed, "class_share", "known_share"):
            value = getattr(self, name)
            if value is None and name not in needed:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
                range_ = "be above 0 and at most 1" if name == "known_share" else "lie strictly between 0 and 1"
                raise ValueError(f"{name} must {range_}, got {value!r}")
        if self.kind == "ids" and not (self.ids or self.ids_file):
            raise ValueError("kind ids needs utterances: got none, allowed: ids (a list) or ids_file (a text file)")
        if (self.rule == "index_file") != bool(self.index_file):
            raise ValueError(
                f"rule index_file and the setting index_file go together: got {self.rule!r} and {self.index_file!r}"
            )
        if self.index_file and self.forget_ratio is not None and self.forget_ratio > INDEX_FILE_RATIO:
            raise ValueError(
                f"an index file holds {INDEX_FILE_RATIO:.0%}: got forget_ratio {self.forget_ratio}, allowed: up to that"
            )

    def _require_attribute(self) -> None:
        """Check the settings of kind attribute."""
        if self.kind != "attribute":
            return
        if not isinstance(self.attribute, str) or not self.attribute:
            raise ValueError(f"kind attribute needs a column of the corpus, such as accent: got {self.attribute!r}")
        if isinstance(self.value, bool) or (self.value is not None and text(self.value) == ""):
            raise ValueError(f"value must be a text or a number: got {self.value!r}; quote it")
        band = {name: bound for name in ("at_least", "below") if (bound := getattr(self, name)) is not None}
        for name, bound in band.items():
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
                raise ValueError(f"{name} must be a number, got {bound!r}")
            object.__setattr__(self, name, float(bound))  # 60 and 60.0 are one request
        if band and self.value is not None:
            raise ValueError(f"one of value and a band may be given, got value and {' and '.join(band)}; remove one")
        if len(band) == 2 and not band["at_least"] < band["below"]:
            raise ValueError(f"at_least must be smaller than below, got {band['at_least']:g} and {band['below']:g}")
        if self.value is not None:
            object.__setattr__(self, "value", text(self.value))

    def lines(self) -> list[str]:
        """The lines of `ids_file` or `index_file`, without blank ones.

        Raises:
            ValueError: the file is not the one that was there when the request was made, or is not UTF-8.
        """
        path = str(self.ids_file or self.index_file)
        found = _lines(path)
        if (digest := self._digest(found)) != self.file_sha256:
            raise ValueError(f"{path} changed since it was planned: got SHA-256 {digest}, allowed: {self.file_sha256}")
        return found

    def _digest(self, lines: list[str]) -> str:
        """SHA-256 of what a file says: of its ids in any order, or of its ranks in theirs."""
        said = "\n".join(sorted(lines) if self.ids_file else lines)
        return hashlib.sha256(said.encode()).hexdigest()

    def identity(self) -> dict[str, Any]:
        """What belongs to a trial's recipe: the settings that were given, as plain values, without paths."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        values = {
            name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if not name.endswith("_file")
        }
        return {"kind": self.kind, **values}


def _in_one_order(setting: str, names: tuple[Any, ...]) -> tuple[str, ...]:
    """Names, sorted: what is forgotten does not depend on the order in which it is named."""
    for name in names:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{setting} must be a list of names: got {name!r}; quote it")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"a name of {setting} is given twice: got {twice[0]!r}; name each once")
    return tuple(sorted(names))


def _lines(path: str) -> list[str]:
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise MissingFile(f"file of a forget set not found: got {file}, allowed: a text file")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read {path}: {error}; save it as UTF-8") from None
    return [line.strip() for line in text.splitlines() if line.strip()]
