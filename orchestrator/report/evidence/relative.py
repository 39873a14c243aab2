"""The relative test by trial: closer to Retrain or to Original; and independent models that show if it is sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.relative import AgainstUnseen, Between, Relative, rate_of, verdict_rate
from orchestrator.report.evidence.model_index import CORPUS, REQUEST, Key, ReadOutputs, RetrainedModels, Row, key_of
from orchestrator.report.evidence.trial import Models
from orchestrator.report.frames.select import REFERENCES
from orchestrator.report.tables.columns import quality_of
from orchestrator.report.tables.model import Block

MOST_OTHERS = 4  # independent models that a run is checked with
CHECKS = ("relative_retrains", "relative_originals", "relative_unseen_retrains", "relative_unseen_originals")
"""Columns that count independent models; with `_closer`, those with the right verdict."""
Points = npt.NDArray[np.float64]
Names = npt.NDArray[Any]


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
        """Test which model the outputs on D_f are closer to, alone and compared with unseen utterances.

        Where Original classifies more of D_f than Retrain, other runs' Retrains and Originals that stored these outputs
        are tested as well: the rows of Retrain and of Original count how many got the right verdict.

        Args:
            row: with `retrained` and `untouched`, the ids of its Retrain and Original.
        """
        outputs, target, original = (self.read(str(row[name])) for name in ("trial_id", "retrained", "untouched"))
        if outputs is None or target is None or original is None:
            return {}
        forgotten, members, others = self._utterances(row, outputs)
        own, of_target, of_original = (_points(found, forgotten) for found in (outputs, target, original))
        if own is None or of_target is None or of_original is None:
            return {}
        between = self.between("outputs", row, of_target, of_original)

        def tests(model: Outputs) -> list[Relative | AgainstUnseen]:
            points = _points(model, forgotten)
            found: list[Relative | AgainstUnseen] = [] if points is None else [between.test(points)]
            sides = [[_points(m, names) for m in (model, target, original)] for names in (members, others)]
            if all(side is not None for models in sides for side in models):
                found.append(between.test_against_unseen(*map(tuple, sides)))  # type: ignore[arg-type]
            return found

        before, after = (self.by_id[str(row[name])]["forget_accuracy"] for name in ("untouched", "retrained"))
        figures: dict[str, Any] = {}
        if row["method"] != "retrain":
            for found in tests(outputs):
                figures |= relative_columns("relative", found)
        if row["method"] in REFERENCES and before > after:
            checked = [test for i in self._independent(row, forgotten) if (m := self.read(i)) for test in tests(m)]
            figures |= _checked(row["method"], checked)
        return figures

    def _utterances(self, row: Row, outputs: Outputs) -> tuple[Names, Names, Names]:
        """Return ids of D_f, and of pairs of an utterance of D_f and a non-member of its class."""
        models = Models(row, self.read, self.by_id.get(row["retrained"]))
        members, others, _ = models.sides(outputs)
        return outputs.part("forget").utterance_ids, members.utterance_ids, others.utterance_ids

    def _independent(self, row: Row, forgotten: Names) -> list[str]:
        """Return up to four models like the row's own, of other runs: Retrains that excluded D_f, or Originals."""
        if row["method"] == "retrain":
            return [i for i in self.retrained.references(row, forgotten) if i != row["retrained"]][:MOST_OTHERS]
        group = self.originals[key_of(row, (*CORPUS, *REQUEST))]
        return [str(o["trial_id"]) for o in group if o["parent_original"] != row["parent_original"]][:MOST_OTHERS]

    def between(self, space: str, row: Row, retrained: Points, original: Points) -> Between:
        """Return the kernels of a trial's Retrain and Original, for points of this kind."""
        key = (row["retrained"], row["untouched"])
        if self.kernels.get(space, ((), None))[0] != key:
            self.kernels[space] = (key, Between.of(retrained, original))
        return self.kernels[space][1]


def _checked(method: str, tests: Sequence[Relative | AgainstUnseen]) -> dict[str, int]:
    """Count tests of independent models of a method, and those with the right verdict."""
    figures: dict[str, int] = {}
    for kind, check in ((Relative, "relative"), (AgainstUnseen, "relative_unseen")):
        verdicts = [test.verdict for test in tests if isinstance(test, kind)]
        rate = verdict_rate(verdicts, "Retrain" if method == "retrain" else "Original")
        figures |= {f"{check}_{method}s": rate.n, f"{check}_{method}s_closer": rate.found}
    return figures


def relative_columns(name: str, found: Relative | AgainstUnseen) -> dict[str, float]:
    """Return the columns of a test."""
    if isinstance(found, Relative):
        size = {f"{name}_share": found.share}
    else:
        name = f"{name}_unseen"
        size = {f"{name}_excess": found.excess, f"{name}_pairs": found.pairs}
    return {**size, f"{name}_p_retrain": found.p_retrain, f"{name}_p_original": found.p_original}


def _points(outputs: Outputs, names: Names) -> Points | None:
    """Return probability vectors; above 64 classes p_y and the five largest. None if an utterance is not stored."""
    if not np.isin(names, outputs.utterance_ids).all():
        return None
    own = outputs.at(names)
    p: Points = np.exp(own.log_probabilities)
    return p if own.complete else np.column_stack([np.exp(own.label_log_probability), p[:, :-1]])


def relative_sanity(block: Block) -> list[str]:
    """Say how often other runs' Retrains and Originals got the right verdict, where there is something to forget."""
    said = []
    for name in CHECKS:
        if name in block.rows:
            rate = rate_of(int(block.rows[f"{name}_closer"].sum()), int(block.rows[name].sum()))
            wanted = "Retrain" if name.endswith("retrains") else "Original"
            how = " against unseen utterances" if "unseen" in name else ""
            if rate.n:
                verb = quality_of(block.rows).verb
                said.append(
                    f"Relative test{how} of other runs' {wanted}s, where Original {verb} more of D_f than Retrain: "
                    f"closer to {wanted} in {rate}."
                )
    return said
