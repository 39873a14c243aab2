"""Count what a sweep computes once and shares: originals, retrained models, teachers' logits and features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass

from orchestrator.plan.spec import TrialSpec


@dataclass(frozen=True)
class Shared:
    """One kind of artifact that is computed once."""

    what: str
    needed: int  # by all trials of the sweep
    there: int  # how many of these exist
    uses: int  # how many trials read them


def shared_work(
    trials: Iterable[TrialSpec], done: Set[str], logits: Collection[str], is_cached: Callable[[TrialSpec], bool]
) -> list[Shared]:
    """Count what is shared.

    Args:
        trials: of the sweep.
        done: ids of trials that are done.
        logits: ids of trials whose logits are kept.
        is_cached: whether the features that a trial reads are on this machine; called once per corpus and backbone.
    """
    originals: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    retrained: set[str] = set()
    banks: dict[tuple[str, ...], list[TrialSpec]] = {}
    starts: Counter[str] = Counter()
    taught = 0
    for spec in trials:
        taught += spec.budget is not None and "step" not in spec.parents
        banks.setdefault((spec.task.key, spec.backbone.key, repr(spec.clip)), []).append(spec)
        if "original" in spec.parents:
            originals[spec.parents["original"]] += 1
        if "step" in spec.parents:
            starts[spec.parents["step"]] += 1
        if spec.policy.is_reference:
            retrained.add(spec.trial_id)
        elif spec.retrain_id:
            compared[spec.retrain_id] += 1
    between = Shared("models between requests", len(starts), sum(p in done for p in starts), starts.total())
    return [
        Shared("originals", len(originals), sum(p in done for p in originals), originals.total()),
        Shared("retrained models", len(retrained), len(retrained & done), sum(compared[p] for p in retrained)),
        Shared("logits of originals", len(originals), sum(p in logits for p in originals), taught),
        *([between] if starts else []),
        Shared(
            "features, corpus × backbone",
            len(banks),
            sum(is_cached(served[0]) for served in banks.values()),
            sum(len(served) for served in banks.values()),
        ),
    ]
