"""What a removal does to everybody else: accuracy or WER by class and speaker, and how exposed those are who stay."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.evidence.pooled import Attacked, pooled_auc
from orchestrator.evidence.roc import FEWEST_PAIRS
from orchestrator.forget.comparing import Logits, Rows
from orchestrator.forget.problem import JUDGED, Case
from orchestrator.forget.pseudonyms import Pseudonyms


def by_class(case: Case, child: Logits) -> list[dict[str, Any]]:
    """Return accuracy, or WER, on unheard speech before and after, for each class that has any; fractions.

    Speech of those whose removal was requested counts for a forgotten class only.
    """
    rows, labels = unheard_of_those_who_stay(case), case.recordings.labels
    found = []
    for number, name in enumerate(case.opened.classes):
        of = rows[labels[rows] == number]
        if len(of):
            before, after = (case.kind.shown(logits[of], labels[of]) for logits in (case.original_logits, child))
            forgotten = number == case.resolved.forgotten_class
            found.append(
                {"class": name, "recordings": len(of), "before": before, "after": after, "forgotten": forgotten}
            )
    return found


def by_speaker(case: Case, child: Logits, pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    """Return accuracy, or WER, on unheard speech and exposure in training for each speaker who stays, before and after.

    Exposure is the AUC by which the loss separates a speaker's retained recordings from unheard ones of the same
    speaker and class: 0.5 is none. Speakers are pseudonyms. Unheard speech of a forgotten class is left out.
    """
    recordings, rows, retain = case.recordings, case.unheard(*JUDGED), case.retain
    if case.resolved.forgotten_class is not None:  # its recordings are to be answered wrongly
        rows = rows[recordings.labels[rows] != case.resolved.forgotten_class]
    if not recordings.has_speakers:
        return []
    found = []
    for speaker in np.unique(recordings.speakers[retain]):
        of, kept = rows[recordings.speakers[rows] == speaker], retain[recordings.speakers[retain] == speaker]
        if len(of):
            answers, own = (case.original_logits[of], child[of]), recordings.labels[of]
            before, after = (case.kind.shown(logits, own) for logits in answers)
            exposed = {
                f"exposure_{when}": exposure(case, logits, kept, of)
                for when, logits in (("before", case.original_logits), ("after", child))
            }
            name = pseudonyms.of("speaker", str(speaker))
            found.append({"speaker": name, "recordings": len(of), "before": before, "after": after, **exposed})
    return found


def unheard_of_those_who_stay(case: Case) -> Rows:
    """Return unheard rows, without those that requests name and those of speakers of whom nothing is trained on now.

    Rows of a forgotten class are kept: a report shows them as such.
    """
    recordings, rows = case.recordings, case.unheard(*JUDGED)
    gone = np.isin(rows, case.resolved.never_trained)
    if recordings.has_speakers:
        removed = np.setdiff1d(recordings.speakers[recordings.rows("train")], recordings.speakers[case.retain])
        gone |= np.isin(recordings.speakers[rows], removed)
    kept: Rows = rows[~gone | (recordings.labels[rows] == case.resolved.forgotten_class)]
    return kept


def exposure(case: Case, logits: Logits, members: Rows, others: Rows) -> float | None:
    """Return the AUC by which the loss tells members from others of the same class; None for too few recordings."""
    labels, ids = case.recordings.labels, case.recordings.ids
    losses = case.kind.scores(logits, labels, ids, "loss")
    run = Attacked(
        members=losses[members],
        others=losses[others],
        member_ids=ids[members],
        other_ids=ids[others],
        member_classes=labels[members],
        other_classes=labels[others],
    )
    if min(len(members), len(others)) < FEWEST_PAIRS or not run.measured:
        return None
    return pooled_auc([run]).value
