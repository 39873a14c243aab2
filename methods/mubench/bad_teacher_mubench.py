"""Bad-T as MU-Bench's code runs it: a "KL" between raw logits, from a teacher that is only partly random.

Source: CLU-UML/MU-Bench, mubench/trainer/bad_teaching.py: the incompetent teacher is a copy whose leaf modules are
reset where they can be, so that other weights stay; as many utterances as D_f has are drawn once, by places in D_r that
are then looked up in the whole of D, so that some of D_f are among those to be kept; KLDivLoss of logits and logits, a
batch's mean over each part added up.
Differs: the parts are shuffled together, not interleaved, and a part's mean is taken at its usual half of a batch; see
also methods/mubench/quirks.py.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from methods.base import Batch, Classifier, Method, Pass, UnlearningProblem, UtteranceSet
from methods.engine.forget_table import ForgetTable
from methods.mubench.quirks import SCHEDULE, raw_logit_kl


def partly_reset(model: Classifier) -> nn.Module:
    """Return a copy in eval mode with leaf modules reset if they have a method for it; other weights stay."""
    teacher = copy.deepcopy(cast(nn.Module, model))
    for module in teacher.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset) and not list(module.children()):
            reset()
    return teacher.eval()


def misplaced_retain(problem: UnlearningProblem) -> UtteranceSet:
    """Return |D_f| utterances of D in corpus order, at positions drawn as if D were D_r; all count as D_r's."""
    everything = problem.forget + problem.retain
    places = torch.randperm(len(problem.retain), generator=problem.generator)[: len(problem.forget)]
    chosen = torch.zeros(len(everything), dtype=torch.bool)
    chosen[everything.utterances.argsort()[places]] = True
    part = everything.select(chosen)
    return replace(part, is_forget=torch.zeros_like(part.is_forget))


@dataclass(frozen=True, kw_only=True)
class BadTeacherMubench(Method):
    """Distillation of raw logits from two teachers."""

    label: ClassVar[str] = "Bad-T (MU-Bench code)"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "the code that it follows compares logits of classes"

    learning_rate: float = 5e-5  # highest of its schedule
    epochs: int = 5  # epochs over D_f and as many utterances beside it
    batch_size: int = 32

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass; twice a batch's mean is the sum of its halves' means."""
        teacher = partly_reset(problem.model)
        bad_logits = []
        for batch in problem.iterate(problem.forget, self.batch_size, backward=False):
            with torch.no_grad():
                bad_logits.append(teacher(batch.features, batch.lengths))
        bad = ForgetTable.of(problem.forget.utterances, torch.cat(bad_logits))

        def imitate(model: Classifier, batch: Batch) -> Tensor:
            target = bad.put(batch, problem.original_logits(batch))
            return raw_logit_kl(target, model(batch.features, batch.lengths))

        yield Pass(
            name="imitate",
            over=problem.forget + misplaced_retain(problem),
            loss=imitate,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            epochs=self.epochs,
            forget_sign=2.0,
            retain_weight=2.0,
            **SCHEDULE,
        )
