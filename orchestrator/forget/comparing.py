"""Which unheard recordings a forgotten one may fairly be compared with, and the comparisons that are made.

Fair are unheard recordings that differ from D_f in nothing but training: of the same class and, where the manifest
names speakers, of the same speaker. Other speakers differ in more, which Retrain takes account of where it was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from methods.engine.answers import CLASSES
from orchestrator.evidence.pooled import Attacked
from orchestrator.evidence.removal import Comparison, membership, recognition
from orchestrator.forget.kinds import KINDS

SIGNALS = {"loss": "Membership by loss", "entropy": "Membership by entropy"}
JUDGED_BY = "loss"  # the signal that a verdict of removal rests on; all others can only count against
RELEARNED = "Membership by loss after relearning"
NAMED = "Unheard recordings of the class that are named so"
COVERED = 0.8  # of D_f must have an unheard recording of the same class and speaker

Rows = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sides:
    """D_f and unheard recordings with their outputs: all that the comparisons need."""

    forget_ids: npt.NDArray[np.str_]
    unheard_ids: npt.NDArray[np.str_]
    forget_labels: Rows
    unheard_labels: Rows
    forget_speakers: npt.NDArray[np.str_]
    unheard_speakers: npt.NDArray[np.str_]
    logits: Mapping[str, tuple[Logits, Logits]]  # by model: original, child, retrained, relearned; D_f, then unheard
    relearned_on: npt.NDArray[np.bool_]  # (D_f,) which of D_f relearning has seen
    forgotten_class: int | None = None
    target: str = CLASSES  # what the models answer with
    unfair: str = ""  # why no unheard recording can be compared with these, whatever their groups

    @property
    def signals(self) -> dict[str, str]:
        """The signals by which membership is attacked, with their titles."""
        return {name: SIGNALS[name] for name in KINDS[self.target].signals}

    @property
    def has_speakers(self) -> bool:
        """Whether every recording names its speaker."""
        return bool((self.forget_speakers != "").all() and (self.unheard_speakers != "").all())


@dataclass(frozen=True)
class Strata:
    """Codes of the groups within which recordings are compared."""

    forget: Rows
    unheard: Rows
    covered: float  # share of D_f that has an unheard recording in its group
    by_speaker: bool


def strata(sides: Sides, *, by_speaker: bool) -> Strata:
    """Group recordings by class, and by speaker too if `by_speaker`."""
    labels = np.concatenate([sides.forget_labels, sides.unheard_labels]).astype(str)
    speakers = np.concatenate([sides.forget_speakers, sides.unheard_speakers])
    names = np.char.add(np.char.add(labels, "\n"), speakers) if by_speaker else labels
    codes = np.unique(names, return_inverse=True)[1].astype(np.int64)
    forget, unheard = codes[: len(sides.forget_ids)], codes[len(sides.forget_ids) :]
    covered = float(np.isin(forget, unheard).mean()) if len(forget) else 0.0
    return Strata(forget, unheard, covered, by_speaker)


def fair_strata(sides: Sides) -> tuple[Strata, str]:
    """Return the groups of a fair comparison, and why there is none; the reason is empty if there is one.

    Where too few unheard transcripts are of the kind of D_f's, all are one group: fair to compare with Retrain, and
    enough to choose a strength.
    """
    by_speaker = strata(sides, by_speaker=True)
    if sides.has_speakers and by_speaker.covered >= COVERED:
        return by_speaker, ""
    by_class = strata(sides, by_speaker=False)
    if sides.target != CLASSES and by_class.covered < COVERED:
        by_class = Strata(np.zeros_like(by_class.forget), np.zeros_like(by_class.unheard), by_class.covered, False)
    if sides.unfair:
        return by_class, sides.unfair
    alike = "class" if sides.target == CLASSES else "kind of sentence"
    if sides.has_speakers:
        reason = (
            f"Only {by_speaker.covered:.0%} of the recordings have an unheard recording of the same speaker and "
            f"{alike} ({COVERED:.0%} are needed), and other speakers are no fair comparison: keep some of each "
            "speaker's recordings from training, or use --with-retrain."
        )
        return by_class, reason
    if by_class.covered < COVERED:
        return by_class, f"Only {by_class.covered:.0%} of the recordings have an unheard recording of the same {alike}."
    return by_class, ""


def comparisons(sides: Sides) -> tuple[list[Comparison], str]:
    """Make all comparisons that the models and recordings allow; the text says why none is fair, or is empty."""
    groups, unfair = fair_strata(sides)
    reference = "retrained" if unfair and not sides.unfair and "retrained" in sides.logits else ""
    if reference:
        unfair = ""
    is_class, relearned = sides.forgotten_class is not None, "relearned" in sides.logits
    tests = is_class + (0 if unfair else len(sides.signals) + (relearned and not reference))
    found: list[Comparison] = []
    if is_class:
        found.append(_recognition(sides, tests))
    if not unfair:
        for signal, name in sides.signals.items():
            runs = {
                model: attacked(sides, groups, model, signal) for model in ("original", "child", reference) if model
            }
            found.append(
                membership(
                    name, runs["original"], runs["child"], tests=tests, retrained=runs.get(reference),
                    required=not is_class and signal == JUDGED_BY,
                )
            )  # fmt: skip
        if relearned and not reference:
            unseen = ~sides.relearned_on
            found.append(
                membership(
                    RELEARNED,
                    attacked(sides, groups, "original", "loss", unseen),
                    attacked(sides, groups, "relearned", "loss", unseen),
                    tests=tests,
                    required=False,
                )
            )
    return found, "" if is_class else unfair


def attacked(
    sides: Sides, groups: Strata, model: str, signal: str, keep: npt.NDArray[np.bool_] | None = None
) -> Attacked:
    """Score both sides by one model and signal; larger for "was trained on"."""
    mine, theirs = sides.logits[model]
    kept = np.ones(len(sides.forget_ids), dtype=bool) if keep is None else keep
    inside = np.isin(groups.unheard, groups.forget[kept])  # only groups that D_f has count
    scores = KINDS[sides.target].scores
    members = scores(mine, sides.forget_labels, sides.forget_ids, signal)
    others = scores(theirs, sides.unheard_labels, sides.unheard_ids, signal)
    return Attacked(
        members=members[kept],
        others=others[inside],
        member_ids=sides.forget_ids[kept],
        other_ids=sides.unheard_ids[inside],
        member_classes=groups.forget[kept],
        other_classes=groups.unheard[inside],
    )


def named_after_relearning(sides: Sides) -> float | None:
    """Return the share of a class's unheard recordings that the relearned model names so; None where there is none.

    It is no evidence by itself: a model that never knew the class learns it from the shown recordings too.
    """
    if sides.forgotten_class is None or "relearned" not in sides.logits:
        return None
    count = int((sides.unheard_labels == sides.forgotten_class).sum())
    return _named(sides, "relearned") / count if count else None


def _named(sides: Sides, model: str) -> int:
    of_class = sides.unheard_labels == sides.forgotten_class
    return int((sides.logits[model][1][of_class].argmax(axis=1) == sides.forgotten_class).sum())


def _recognition(sides: Sides, tests: int) -> Comparison:
    named = {model: _named(sides, model) for model in ("original", "child")}
    count, forgotten = int((sides.unheard_labels == sides.forgotten_class).sum()), len(sides.forget_ids)
    return recognition(NAMED, named["original"], named["child"], count, tests=tests, forgotten=forgotten)
