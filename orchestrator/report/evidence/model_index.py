"""Which other models of a results folder an attack may use: references of RMIA, and shadow models of U-LiRA.

Both are found through indexes that are built once, so that evidence takes time in proportion to the number of trials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.evidence.lira import FEWEST
from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.signals import scaled_confidence

MOST_REFERENCES = 4  # of RMIA
MOST_SHADOWS = 64  # of U-LiRA, of either kind: the budget of models
CORPUS = ("task", "backbone", "corpus_fingerprint", "training")
"""Trials that agree in these have seen the same utterances through the same front end, in the same kind of training."""
REQUEST = ("variant", "unlearning", "forget_rule", "requests_before", "requested_forget_ratio")

Row = Mapping[str, Any]
ReadOutputs = Callable[[str], Outputs | None]
Key = tuple[Any, ...]


class RetrainedModels:
    """An index of retrained models by the utterances that they were not trained on."""

    def __init__(self, rows: Iterable[Row], read: ReadOutputs) -> None:
        """Read the outputs of every retrained model in `rows` once; those without outputs are left out."""
        self._unseen: dict[Key, list[tuple[str, frozenset[str]]]] = defaultdict(list)
        self._of_utterance: dict[Key, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        retrained = [row for row in rows if row["method"] == "retrain"]
        for row in sorted(retrained, key=lambda row: (row["seed"], row["trial_id"])):
            outputs = read(row["trial_id"])
            if outputs is None:
                continue
            key, unseen = key_of(row, CORPUS), frozenset(outputs.part("forget").utterance_ids.tolist())
            for utterance in unseen:
                self._of_utterance[key][utterance].append(len(self._unseen[key]))
            self._unseen[key].append((row["trial_id"], unseen))

    def references(self, row: Row, forgotten: npt.NDArray[Any]) -> list[str]:
        """Return ids of up to four retrained models not trained on any of `forgotten`: the row's own, then by seed.

        Args:
            row: the attacked trial, with `retrained`, the id of its own Retrain.
            forgotten: (n,) utterance ids of its D_f.
        """
        if not len(forgotten):
            return []
        key, wanted = key_of(row, CORPUS), forgotten.tolist()
        if key not in self._unseen:
            return []
        known, models = self._of_utterance[key], self._unseen[key]
        fewest = min((known.get(utterance, []) for utterance in wanted), key=len)
        fitting = (models[place] for place in sorted(fewest, key=lambda place: models[place][0] != row["retrained"]))
        found: list[str] = []
        for trial_id, unseen in fitting:
            if trial_id != row["trial_id"] and unseen.issuperset(wanted):
                found.append(trial_id)
                if len(found) == MOST_REFERENCES:
                    break
        return found


@dataclass(frozen=True)
class Shadows:
    """Confidences φ of a method's models under one kind of request, and of their Retrains, each on its own D_f."""

    trials: dict[str, int]  # trial id -> row of the arrays
    seeds: npt.NDArray[np.int64]  # (models,)
    columns: dict[str, int]  # utterance id -> column of the arrays
    unlearned: npt.NDArray[np.float64]  # (models, utterances); NaN where the utterance is not in that model's D_f
    retrained: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: Sequence[Row], read: ReadOutputs) -> Shadows:
        """Read the outputs of each row and of its Retrain once; rows without outputs are left out."""
        found: list[tuple[Row, dict[str, float], dict[str, float]]] = []
        for row in rows:
            outputs = read(row["trial_id"])
            if outputs is not None:
                found.append((row, _confidences(outputs), _confidences(read(row["retrained"]))))
        names = dict.fromkeys(name for _, *sides in found for side in sides for name in side)
        columns = {name: place for place, name in enumerate(names)}
        arrays = np.full((2, len(found), len(columns)), np.nan)
        for model, (_, *sides) in enumerate(found):
            for array, side in zip(arrays, sides, strict=True):
                array[model, [columns[name] for name in side]] = list(side.values())
        trials = {row["trial_id"]: model for model, (row, *_) in enumerate(found)}
        seeds = np.array([row["seed"] for row, *_ in found], dtype=np.int64)
        return cls(trials, seeds, columns, *arrays)

    def against(self, row: Row) -> tuple[npt.NDArray[np.float64], ...] | None:
        """Return φ on the utterances of the model's D_f, or None with fewer than two other models.

        Four arrays: of the model and of its Retrain, (n,) each; of up to 64 unlearned and as many retrained models of
        other seeds, (models, n) each.
        """
        own = self.trials.get(row["trial_id"])
        others = np.flatnonzero(self.seeds != row["seed"])[:MOST_SHADOWS]
        if own is None or len(others) < FEWEST:
            return None
        mine = np.flatnonzero(~np.isnan(self.unlearned[own]))
        there = np.ix_(others, mine)
        return self.unlearned[own, mine], self.retrained[own, mine], self.unlearned[there], self.retrained[there]


def key_of(row: Row, names: Sequence[str]) -> Key:
    """Make a key of a row's values in which missing numbers are equal."""
    return tuple(None if isinstance(row[name], float) and np.isnan(row[name]) else row[name] for name in names)


def _confidences(outputs: Outputs | None) -> dict[str, float]:
    if outputs is None:
        return {}
    forgotten = outputs.part("forget")
    return dict(zip(forgotten.utterance_ids.tolist(), scaled_confidence(forgotten).tolist(), strict=True))
