"""Record a trial's curve while it runs: accuracy and loss on D_f, D_v and D_r after epochs, and what was charged.

A recognizer's accuracy is 1 − WER.

Only the harness sees it. Measuring is not charged, is in no id, and changes neither weights nor random states: rows and
models are the same bits with and without it (docs/decisions/0028-curves-are-on-by-default.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from methods.base import UnlearningProblem, UtteranceSet
from methods.engine.losses import label_loss
from methods.engine.records import Progress
from orchestrator.plan.spec import TrialSpec
from orchestrator.results.curves import PARTS, read_curve, write_curve
from orchestrator.results.store import Store
from orchestrator.run.guards.device_errors import is_out_of_memory
from orchestrator.run.progress.text import describe
from orchestrator.run.setup.feature_cache import FeatureReader
from orchestrator.run.setup.problem import TrialSplit
from orchestrator.run.setup.scoring import targets_of
from orchestrator.tasks.corpus import Corpus

WRITE_SECONDS = 5.0  # between two writes of an unfinished curve, for who follows the run


@dataclass
class Curve:
    """The curve of one trial; `points` are those that its file has."""

    spec: TrialSpec
    store: Store
    problem: UnlearningProblem
    sets: Mapping[str, UtteranceSet]
    limit: int  # points of epochs that are kept
    points: list[dict[str, Any]] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    _stride: int = 1  # epochs between two points
    _epochs: int = 0  # that have ended, of all passes
    _steps: int = 0
    _written_at: float = 0.0

    @classmethod
    def of(
        cls,
        spec: TrialSpec,
        store: Store,
        corpus: Corpus,
        parts: TrialSplit,
        features: FeatureReader,
        problem: UnlearningProblem,
    ) -> Curve | None:
        """Return the curve of a trial; None if it has none: a search's trial, the line of Original, or `points: 0`."""
        wanted = spec.curves
        if not wanted or not wanted["points"] or spec.policy.is_tuning or spec.reports_original:
            return None
        rows = {"forget": parts.forget, "validation": problem.validation.utterances.numpy(), "retain": parts.retain}

        targets = targets_of(corpus, problem.model)

        def sampled(name: str) -> UtteranceSet:
            some = _sample(rows[name], wanted["utterances"])
            return UtteranceSet(
                utterances=torch.from_numpy(some),
                labels=targets.of(some),
                is_forget=torch.full((len(some),), name == "forget"),
                fetch=features.evaluate,
                device=problem.device,
            )

        return cls(spec, store, problem, {name: sampled(name) for name in PARTS}, wanted["points"])

    def start(self) -> None:
        """Measure the model that is unlearned; a training starts with a random head, which says nothing."""
        if self.spec.policy.unlearns:
            self._add("start", "", None, self._measured())
            self.save()

    def after(self, progress: Progress) -> None:
        """Measure after an epoch, unless it is skipped: when `limit` points are there, every second one goes."""
        if not self._epochs and progress.epoch:  # a training that continues from its last epoch
            self._epochs = progress.epoch
            earlier = read_curve(self.store, self.spec.trial_id)
            self.points = [point for point in earlier if point["epoch"] <= progress.epoch and point["point"] != "end"]
        self._epochs, self._steps = self._epochs + progress.whole, progress.steps
        if self.problem.budget.spent or self._epochs % self._stride:
            return  # a spent budget: what is left is the end
        while sum(point["point"] == "epoch" for point in self.points) >= self.limit:
            self._stride *= 2
            self.points = [p for p in self.points if p["point"] != "epoch" or p["epoch"] % self._stride == 0]
        if self._epochs % self._stride:
            return
        self._add("epoch", progress.pass_name, progress.loss, self._measured())
        if self.clock() - self._written_at >= WRITE_SECONDS:
            self.save()

    def end(self, logits: Tensor) -> None:
        """Add the model that is evaluated, from its (N, C) logits of the corpus, and write the curve."""
        found: dict[str, float | None] = {}
        for name, utterances in self.sets.items():
            own = logits[utterances.utterances]
            right = own.argmax(dim=-1) == utterances.labels
            known = len(utterances) > 0
            found[f"{name}_accuracy"] = float(right.double().mean()) if known else None
            found[f"{name}_loss"] = float(label_loss(own, utterances.labels).double().mean()) if known else None
        self.finish(found)

    def finish(self, found: Mapping[str, float | None]) -> None:
        """Add what was measured of the model that is evaluated, and write the curve."""
        self._add("end", "", None, found)
        write_curve(self.store, self.spec.trial_id, self.points)

    def save(self) -> None:
        """Write the points so far; a later write repairs one that fails."""
        self._written_at = self.clock()
        with suppress(OSError):
            write_curve(self.store, self.spec.trial_id, self.points)

    def _add(self, point: str, pass_name: str, loss: float | None, measured: Mapping[str, float | None]) -> None:
        budget = self.problem.budget
        self.points.append(
            {
                "title": describe(self.spec),
                "point": point,
                "epoch": self._epochs,
                "pass_name": pass_name,
                "steps": self._steps,
                "seconds": budget.seconds,
                "samples": budget.samples,
                "budget_used": budget.used,
                "training_loss": loss,
                **measured,
                **{f"{name}_utterances": len(utterances) for name, utterances in self.sets.items()},
            }
        )

    def _measured(self) -> dict[str, float | None]:
        modes = {module: module.training for module in cast(nn.Module, self.problem.model).modules()}
        found: dict[str, float | None] = {}
        try:
            for name, utterances in self.sets.items():
                scores = self.problem.evaluate_uncharged(utterances) if len(utterances) else None
                found[f"{name}_accuracy"] = None if scores is None else scores.accuracy
                found[f"{name}_loss"] = None if scores is None else scores.loss
        except Exception as error:  # a curve is no reason to train with smaller batches
            if not is_out_of_memory(error):
                raise
        finally:
            for module, mode in modes.items():
                module.training = mode
        return found


def _sample(rows: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """Return at most `limit` rows, always the same ones, in ascending order."""
    return np.sort(np.random.default_rng(0).permutation(rows)[:limit])
