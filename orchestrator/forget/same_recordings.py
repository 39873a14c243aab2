"""Whether outputs of a trial are on the recordings of a manifest: ids alone are no proof, so labels must agree too."""

from __future__ import annotations

from collections.abc import Collection, Mapping

BY_HAND = "check it by hand"
SAME_IDS = 0.9  # of the ids in outputs, that must be in the manifest
FEWEST = 10  # recordings beyond the first of each label, whose labels agree: by chance 1 time of 1,000 at most


def doubt_about(true_labels: Mapping[str, int], known: Mapping[str, int], pruned: Collection[str] = ()) -> str:
    """Return why outputs may be on other recordings with the same ids, as a clause; empty if they are on these.

    The numbers of labels may be others: each label must stand for exactly one of the manifest.

    Args:
        true_labels: by id, as the outputs have them; numbers of another list of classes.
        known: labels of the manifest's recordings, by every name that outputs may have for them.
        pruned: ids that are of a request, but no longer in the manifest.
    """
    both = [(label, known[name]) for name, label in true_labels.items() if name in known]
    if len(both) + len(set(pruned) - set(known)) < SAME_IDS * len(true_labels):
        return f"some ids are the same, but most are not in the manifest: {BY_HAND}"
    theirs, mine = ({pair[side] for pair in both} for side in (0, 1))
    if not len(set(both)) == len(theirs) == len(mine):
        return f"ids are the same, but labels are not those of the manifest: {BY_HAND}"
    if len(mine) < 2 or len(both) - len(mine) < FEWEST:
        return f"ids are the same, but too few labels can be compared with the manifest: {BY_HAND}"
    return ""
