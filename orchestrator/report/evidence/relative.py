"""The relative test by trial: closer to Retrain or to Original; and independent models that show if it is sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.relative import Between, Verdict, rate_of, verdict_rate
from orchestrator.report.evidence.model_index import CORPUS, REQUEST, Key, ReadOutputs, RetrainedModels, Row, key_of
from orchestrator.report.tables.model import Block

MOST_OTHERS = 4  # independent models that a run is checked with
CHECKS = ("relative_retrains", "relative_originals")
"""Columns that count independent models; with `_closer`, those with the right verdict."""
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RelativeTests:
    """Tests of a folder's models; kernels of a cell are computed once for trials that come one after another."""

    read: ReadOutputs
    by_id: Mapping[str, Row]
    retrained: RetrainedModels
    originals: dict[Key, list[Row]]  # rows of Original by cell
    kernels: dict[str, tuple[Key, Between]] = field(default_factory=dict)  # of the last cell, by space

    @classmethod
    def of(cls, by_id: Mapping[str, Row], read: ReadOutputs, retrained: RetrainedModels) -> RelativeTests:
        """Index the Originals among the rows."""
        found: dict[Key, list[Row]] = defaultdict(list)
        for row in by_id.values():
            if row["method"] == "original":
                found[key_of(row, (*CORPUS, *REQUEST))].append(row)
        return cls(read, by_id, retrained, found)

    def on_outputs(self, row: Row) -> dict[str, Any]:
        """Test which model the outputs on D_f are closer to.

        Where Original classifies more of D_f than Retrain, other runs' Retrains and Originals that stored these outputs
        are tested as well: the rows of Retrain and of Original count how many got the right verdict.

        Args:
            row: with `retrained` and `untouched`, the ids of its Retrain and Original.
        """
        outputs, target, original = (self.read(str(row[name])) for name in ("trial_id", "retrained", "untouched"))
        if outputs is None or target is None or original is None:
            return {}
        names = outputs.part("forget").utterance_ids
        own, of_target, of_original = (_points(found, names) for found in (outputs, target, original))
        if own is None or of_target is None or of_original is None:
            return {}
        between = self.between("outputs", row, of_target, of_original)
        before, after = (self.by_id[str(row[name])]["forget_accuracy"] for name in ("untouched", "retrained"))
        if row["method"] == "retrain":
            if before <= after:
                return {}
            ids = [i for i in self.retrained.references(row, names) if i != row["retrained"]][:MOST_OTHERS]
            return self._checked("relative_retrains", "Retrain", between, ids, names)
        figures: dict[str, Any] = relative_columns("relative", between, own)
        if row["method"] == "original" and before > after:
            group = self.originals[key_of(row, (*CORPUS, *REQUEST))]
            others = [str(o["trial_id"]) for o in group if o["parent_original"] != row["parent_original"]][:MOST_OTHERS]
            figures |= self._checked("relative_originals", "Original", between, others, names)
        return figures

    def between(self, space: str, row: Row, retrained: Points, original: Points) -> Between:
        """Return the kernels of a trial's Retrain and Original, for points of this kind."""
        key = (row["retrained"], row["untouched"])
        if self.kernels.get(space, ((), None))[0] != key:
            self.kernels[space] = (key, Between.of(retrained, original))
        return self.kernels[space][1]

    def _checked(
        self, name: str, wanted: Verdict, between: Between, ids: Sequence[str], names: npt.NDArray[Any]
    ) -> dict[str, int]:
        models = [found for i in ids if (found := self.read(i)) is not None]
        sides = [points for model in models if (points := _points(model, names)) is not None]
        rate = verdict_rate([between.test(points).verdict for points in sides], wanted)
        return {name: rate.n, f"{name}_closer": rate.found}


def relative_columns(name: str, between: Between, points: Points) -> dict[str, float]:
    """Return the columns of a test."""
    found = between.test(points)
    return {f"{name}_share": found.share, f"{name}_p_retrain": found.p_retrain, f"{name}_p_original": found.p_original}


def _points(outputs: Outputs, names: npt.NDArray[Any]) -> Points | None:
    """Return probability vectors; above 64 classes p_y and the five largest. None if an utterance is not stored."""
    if not np.isin(names, outputs.utterance_ids).all():
        return None
    own = outputs.at(names)
    p: Points = np.exp(own.log_probabilities)
    return p if own.complete else np.column_stack([np.exp(own.label_log_probability), p[:, :-1]])


def relative_sanity(block: Block) -> list[str]:
    """Say how often other runs' Retrains and Originals got the right verdict, where there is something to forget."""
    said = []
    for name, wanted in zip(CHECKS, ("Retrain", "Original"), strict=True):
        if name in block.rows:
            rate = rate_of(int(block.rows[f"{name}_closer"].sum()), int(block.rows[name].sum()))
            if rate.n:
                said.append(
                    f"Relative test of other runs' {wanted}s, where Original classifies more of D_f than Retrain: "
                    f"closer to {wanted} in {rate}."
                )
    return said
