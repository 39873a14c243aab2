"""The informed attack by trial: an attacker knows models of the same method and other seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator.evidence.informed import Side, Sides, informed_attack, output_features
from orchestrator.report.evidence.model_index import CORPUS, REQUEST, ReadOutputs, Row, key_of
from orchestrator.report.evidence.trial import Models

FEATURES = 3  # of a model


def informed_figures(
    records: Sequence[Row], by_id: Mapping[str, Row], read: ReadOutputs
) -> dict[str, dict[str, float]]:
    """Return AUCs by trial: `informed` of f′ alone, `informed_both` with Original; a cell's seeds attack each other."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in records:
        groups[key_of(row, (*CORPUS, *REQUEST))].append(row)
    figures: dict[str, dict[str, float]] = {}
    for group in groups.values():
        if len({row["seed"] for row in group}) < 2:
            continue
        sides = {row["trial_id"]: six for row in group if (six := _sides(row, by_id, read)) is not None}
        for row in group:
            own = sides.get(row["trial_id"])
            others = [sides[o["trial_id"]] for o in group if o["seed"] != row["seed"] and o["trial_id"] in sides]
            if own is None or not others:
                continue
            found: dict[str, float] = {}
            for name, width in (("informed", FEATURES), ("informed_both", 2 * FEATURES)):
                attack = informed_attack(_first(own, width), [_first(other, width) for other in others])
                found |= {f"{name}_auc": attack.value, f"{name}_low": attack.low, f"{name}_high": attack.high}
            figures[row["trial_id"]] = found
    return figures


def _first(sides: Sides, width: int) -> Sides:
    return sides[0].first(width), sides[1].first(width)


def _sides(row: Row, by_id: Mapping[str, Row], read: ReadOutputs) -> Sides | None:
    """Return six features of D_f and of as many non-members of each class: of the model, then of Original (NaN)."""
    models = Models(row, read, by_id.get(row["retrained"]))
    outputs, original = models.attacked, read(str(row["untouched"]))
    if outputs is None or not (outputs.parts == "forget").any():
        return None
    members, others, _ = models.sides(outputs)

    def both(part: Any) -> Side:
        own = output_features(part)
        known = original is not None and np.isin(part.utterance_ids, original.utterance_ids).all()
        before = output_features(original.at(part.utterance_ids)) if known and original else np.full_like(own, np.nan)
        return Side(np.hstack([own, before]), part.utterance_ids)

    return both(members), both(others)
