"""Forget sets: which training utterances are D_f, for every kind of unlearning request."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.errors import RecordingsNotice
from orchestrator.forgetting.attributes import Attribute, attribute_of
from orchestrator.forgetting.orders import balanced_order, index_order, random_order, stratified_order
from orchestrator.forgetting.requests import INDEX_FILE_RATIO, ForgetRequest, reason_unsuitable
from orchestrator.forgetting.spoken import Spoken, draw_spoken, spoken_of
from orchestrator.tasks.base import Kind, plain_id
from orchestrator.tasks.corpus import Corpus

__all__ = ["CorpusArrays", "ForgetRequest", "ForgetSet", "corpus_arrays", "draw"]

Rows = npt.NDArray[np.int64]
Drawn = tuple[Rows, tuple[int, ...], str]  # rows of D_f, forgotten classes, what they are
SHOWN = 10  # wrong ids in an error
REMOVALS = ("class", "speaker", "ids", "entity", "canary")  # kinds that name what has to go
ORDERS = {"random": random_order, "stratified": stratified_order, "balanced": balanced_order}


@dataclass(frozen=True)
class CorpusArrays:
    """What a draw reads of a corpus of N utterances."""

    labels: npt.NDArray[np.int64]  # (N,) as given to training
    true_labels: npt.NDArray[np.int64]  # (N,)
    speakers: npt.NDArray[Any]  # (N,) strings; empty where an utterance has none
    utterance_ids: npt.NDArray[Any]  # (N,) strings
    splits: npt.NDArray[Any]  # (N,) strings
    classes: tuple[str, ...]
    kind: Kind
    unforgettable: tuple[str, ...] = ()  # classes that class unlearning never takes
    forgotten: tuple[int, ...] = ()  # rows of D that earlier requests forgot
    duplicates: tuple[tuple[str, ...], ...] = ()  # ids with identical audio, group by group
    attributes: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)  # columns (N,) by name
    harmful: Callable[[int], Rows] | None = None  # how many: rows of D that harm D_t most by leaving
    spoken: Spoken | None = None  # of a corpus with transcripts

    @property
    def train(self) -> Rows:
        """Rows of D, ascending."""
        return np.flatnonzero(self.splits == "train")

    @property
    def left(self) -> Rows:
        """Rows of D that were not forgotten, ascending."""
        return np.setdiff1d(self.train, np.array(self.forgotten, dtype=np.int64))

    def without(self, rows: Rows) -> CorpusArrays:
        """Return the corpus after a request that forgot these rows."""
        return replace(self, forgotten=(*self.forgotten, *rows.tolist()))

    def first_left(self, rows: Rows, count: int) -> Rows:
        """Return the first `count` rows, in the order in which they are drawn, that were not forgotten.

        Raises:
            ValueError: there are fewer.
        """
        found = rows[~np.isin(rows, self.forgotten)]
        _require_enough("utterances", count, len(found))
        return found[:count]


@dataclass(frozen=True)
class ForgetSet:
    """D_f: rows of the corpus, all in its train split."""

    rows: Rows  # ascending
    forgotten_classes: tuple[int, ...]  # ascending; class unlearning only
    forget_ratio: float  # |D_f| / |D| as it came out
    description: str  # for people
    attribute: Attribute | None = None  # what D_f has in common; attribute unlearning only


def draw(request: ForgetRequest, corpus: CorpusArrays, seed: int) -> ForgetSet:
    """The forget set of a request; equal arguments give equal sets.

    Sample unlearning is nested: for one seed and rule, a smaller ratio's set is contained in a larger one's.
    So are known wrong labels by their share, and classes and speakers that are drawn: one is among the two of the same
    seed. If something was forgotten before, the draw continues from there: two requests for 1 % forget what one for 2 %
    does. A ratio is always a share of the whole of D.

    Warns (`RecordingsNotice`) where a class, speaker or list of ids leaves identical copies of what it forgets.

    Raises:
        ValueError: the corpus lacks what is named, or the set would be empty or all that is left of D.
    """
    if reason := reason_unsuitable(request.kind, corpus.kind):
        raise ValueError(f"kind {request.kind} does not fit the corpus: {reason}")
    rows, forgotten, what = DRAWS[request.kind](request, corpus, np.random.default_rng(seed))
    rows, num_train = np.sort(rows).astype(np.int64), len(corpus.train)
    if request.kind in REMOVALS and (said := _copies_left(corpus, rows)):
        warnings.warn(said, RecordingsNotice, stacklevel=2)
    if not 0 < len(rows) < len(corpus.left):
        remaining = " that earlier requests left" if corpus.forgotten else ""
        raise ValueError(
            f"the forget set must be a non-empty proper subset of the training set{remaining}: {what} selects "
            f"{len(rows)} of {len(corpus.left)} utterances"
        )
    ratio = len(rows) / num_train
    kept = np.setdiff1d(corpus.left, rows)
    emptied = set(corpus.labels[rows].tolist()) - set(corpus.labels[kept].tolist()) - set(forgotten)
    warning = f"; D_r has no {', '.join(corpus.classes[label] for label in sorted(emptied))} left" if emptied else ""
    attribute = _attribute_of(request, corpus, np.random.default_rng(seed)) if request.kind == "attribute" else None
    said = f"{what}: {len(rows)} of {num_train} train utterances{warning}"
    return ForgetSet(rows, forgotten, ratio, said, attribute)


def corpus_arrays(corpus: Corpus, unforgettable: tuple[str, ...]) -> CorpusArrays:
    """Read what `draw` needs from a corpus on disk; `unforgettable` is its task's."""
    return CorpusArrays(
        labels=corpus.labels,
        true_labels=corpus.true_labels,
        speakers=corpus.speakers,
        utterance_ids=corpus.utterance_ids,
        splits=corpus.splits,
        classes=corpus.classes,
        kind=corpus.info["kind"],
        unforgettable=unforgettable,
        duplicates=tuple(map(tuple, corpus.info.get("duplicates", ()))),
        attributes=corpus.attributes,
        spoken=spoken_of(corpus),
    )


def _copies_left(corpus: CorpusArrays, rows: Rows) -> str:
    """What to say of forgotten recordings whose audio stays under another id; nothing where there is none."""
    if not corpus.duplicates:
        return ""
    row_of = {name: row for row, name in enumerate(corpus.utterance_ids.tolist())}
    now, left = set(rows.tolist()), []
    gone = now.union(corpus.forgotten)
    for group in corpus.duplicates:
        first = next((name for name in group if row_of[name] in now), None)
        others = [f"{name} (in {corpus.splits[row_of[name]]})" for name in group if row_of[name] not in gone]
        if first is not None and others:
            left.append(" = ".join([first, *others[:SHOWN]]) + (" = …" if len(others) > SHOWN else ""))
    shown = "; ".join(left[:SHOWN]) + ("; …" if len(left) > SHOWN else "")
    return (
        f"forgotten audio stays in the corpus under other ids ({len(left)} of {len(rows)} recordings): {shown}; a "
        "removal request must name those in train too"
        if left
        else ""
    )


def _samples(request: ForgetRequest, corpus: CorpusArrays, rng: np.random.Generator) -> Drawn:
    assert request.forget_ratio is not None  # the request checked it
    train, what = corpus.train, f"forget_ratio {request.forget_ratio:g} by rule {request.rule}"
    if request.rule == "index_file":
        return _indexed(request, corpus), (), what
    count = round(request.forget_ratio * len(train))
    if request.rule == "harmful":
        if corpus.harmful is None:
            raise ValueError("rule harmful needs a model's embeddings: got none; draw it within a sweep")
        return corpus.first_left(corpus.harmful(count + len(corpus.forgotten)), count), (), what
    order = ORDERS[request.rule](corpus.labels[train], count + len(corpus.forgotten), rng)
    return corpus.first_left(train[order], count), (), what


def _indexed(request: ForgetRequest, corpus: CorpusArrays) -> Rows:
    assert request.forget_ratio is not None  # the request checked it
    train = corpus.train
    if np.any(corpus.splits == "holdout"):
        raise ValueError(
            f"an index file counts the whole train split: got {int(np.sum(corpus.splits == 'holdout'))} utterances in "
            "holdout, allowed: none (holdout_share: 0)"
        )
    if request.index_total is not None and len(train) != request.index_total:
        raise ValueError(
            f"the index file counts another train split: got {len(train)} utterances, allowed: {request.index_total}"
        )
    lines = request.lines()
    try:
        indices = [int(line) for line in lines]
    except ValueError as error:
        raise ValueError(f"bad index file {request.index_file}: {error}; allowed: one whole number a line") from None
    count = round(request.forget_ratio / INDEX_FILE_RATIO * len(indices))
    order = index_order(corpus.utterance_ids[train].tolist(), indices, count + len(corpus.forgotten))
    return corpus.first_left(train[order], count)


def _classes(request: ForgetRequest, corpus: CorpusArrays, rng: np.random.Generator) -> Drawn:
    present, left = (set(corpus.labels[rows].tolist()) for rows in (corpus.train, corpus.left))
    forgettable = [
        label for label, name in enumerate(corpus.classes) if label in present and name not in corpus.unforgettable
    ]
    names = [corpus.classes[label] for label in forgettable if label in left]
    if request.classes:
        _require_known("class", request.classes, names)
        chosen = [corpus.classes.index(name) for name in request.classes]
    else:
        share = request.class_share
        count = (request.num_classes or 1) if share is None else round(share * len(forgettable))
        _require_enough("classes", count, len(names))
        drawn = rng.permutation(np.array(forgettable, dtype=np.int64)).tolist()
        chosen = [label for label in drawn if label in left][:count]
    forgotten = tuple(sorted(set(chosen)))
    shown = ", ".join(corpus.classes[label] for label in forgotten[:5]) + (", …" if len(forgotten) > 5 else "")
    what = f"class{'es' if len(forgotten) != 1 else ''} {shown or 'none'}"
    return corpus.left[np.isin(corpus.labels[corpus.left], forgotten)], forgotten, what


def _speakers(request: ForgetRequest, corpus: CorpusArrays, rng: np.random.Generator) -> Drawn:
    names = sorted(set(corpus.speakers[corpus.train].tolist()) - {""})
    left = set(corpus.speakers[corpus.left].tolist())
    if request.speakers:
        _require_known("speaker", request.speakers, [name for name in names if name in left])
        chosen = list(request.speakers)
    else:
        count = request.num_speakers or 1
        _require_enough("speakers", count, len(left & set(names)))
        drawn = [names[number] for number in rng.permutation(len(names))]
        chosen = [name for name in drawn if name in left][:count]
    shown = ", ".join(sorted(chosen)[:5]) + (", …" if len(chosen) > 5 else "")
    rows = corpus.left[np.isin(corpus.speakers[corpus.left], chosen)]
    return rows, (), f"speaker{'s' if len(chosen) != 1 else ''} {shown}"


def _mislabeled(request: ForgetRequest, corpus: CorpusArrays, rng: np.random.Generator) -> Drawn:
    train = corpus.train
    wrong = train[corpus.labels[train] != corpus.true_labels[train]]
    what = f"utterances with wrong labels ({'poison' if request.kind == 'poisoned' else 'label_noise'})"
    if request.known_share is None:
        return np.setdiff1d(wrong, np.array(corpus.forgotten, dtype=np.int64)), (), what
    count = round(request.known_share * len(wrong))
    return corpus.first_left(rng.permutation(wrong), count), (), f"{request.known_share:.3g} of the {what}"


def _ids(request: ForgetRequest, corpus: CorpusArrays, rng: np.random.Generator) -> Drawn:
    wanted = [plain_id(name) for name in (request.lines() if request.ids_file else request.ids)]
    if twice := [name for name, times in Counter(wanted).items() if times > 1]:
        raise ValueError(f"utterance id given twice: got {twice[0]!r}, allowed: every id once")
    row_of = {plain_id(name): row for row, name in enumerate(corpus.utterance_ids.tolist())}
    splits = {name: str(corpus.splits[row_of[name]]) if name in row_of else "no" for name in wanted}
    if others := [f"{name!r} (in {split} split)" for name, split in splits.items() if split != "train"]:
        shown = ", ".join(others[:SHOWN]) + (f" and {len(others) - SHOWN} more" if len(others) > SHOWN else "")
        raise ValueError(
            f"only train utterances can be forgotten: got {shown}, allowed: ids of the train split, such as "
            f"{corpus.utterance_ids[corpus.train[0]]!r}; a `split` column in the manifest says which those are"
        )
    forgotten = set(corpus.forgotten)
    if gone := [name for name in wanted if row_of[name] in forgotten]:
        raise ValueError(
            f"an utterance is forgotten once: got {gone[0]!r}, which an earlier request of the sequence forgot, "
            "allowed: utterances that are left"
        )
    return np.array([row_of[name] for name in wanted], dtype=np.int64), (), "named utterances"


def _attribute_of(request: ForgetRequest, corpus: CorpusArrays, rng: np.random.Generator) -> Attribute:
    return attribute_of(request, corpus.attributes, corpus.left, rng)


def _attributes(request: ForgetRequest, corpus: CorpusArrays, rng: np.random.Generator) -> Drawn:
    attribute = _attribute_of(request, corpus, rng)
    rows = corpus.left[attribute.holds(corpus.attributes[attribute.name][corpus.left])]
    staying = corpus.labels[np.setdiff1d(corpus.left, rows)]
    gone = np.setdiff1d(corpus.labels[rows], staying)  # classes that have nothing else, as speakers may
    return rows, tuple(gone.tolist()), f"utterances with {attribute}"


def _spoken(request: ForgetRequest, corpus: CorpusArrays, rng: np.random.Generator) -> Drawn:
    assert corpus.spoken is not None  # the request fits transcripts only
    rows, what = draw_spoken(request, corpus.spoken, corpus.left, rng)
    return rows, (), what


def _require_known(what: str, wanted: Sequence[str], allowed: Sequence[str]) -> None:
    if unknown := [name for name in wanted if name not in set(allowed)]:
        shown = ", ".join(allowed[:20]) + (", …" if len(allowed) > 20 else "")
        raise ValueError(f"{what} cannot be forgotten: got {', '.join(unknown)}, allowed: {shown}")


def _require_enough(what: str, count: int, there: int) -> None:
    if count > there:
        raise ValueError(f"too few {what} to forget: got a request for {count}, allowed: {there} or fewer")


DRAWS: dict[str, Callable[[ForgetRequest, CorpusArrays, np.random.Generator], Drawn]] = {
    "sample": _samples,
    "class": _classes,
    "speaker": _speakers,
    "mislabeled": _mislabeled,
    "poisoned": _mislabeled,  # label_noise and poison exclude each other: every wrong label is a poisoned one
    "ids": _ids,
    "attribute": _attributes,
    "entity": _spoken,
    "canary": _spoken,
}
