"""RUM: split D_f by how much of it was memorized, and unlearn each part with the method that suits it.

Source: Zhao et al., NeurIPS 2024 ("What makes unlearning hard and what to do about it"); reference code kairanzhao/RUM:
parts of low, medium and high memorization, in this order; the best mix does nothing for low, fine-tunes for medium
and runs SalUn for high. The original's confidence replaces the memorization score: low memorization is high
confidence.
Differs: three parts of equal size that make up D_f, instead of the 1,000 least, middle and most memorized of D; while
one part is unlearned, the others are in neither set, so that none is trained on (the reference's retain set still has
the parts that come later); confidence is that of the finished original, not the mean over its training; the three
methods share one rate and number of epochs, where the reference gives each part its own.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from methods.base import Method, Pass, SearchSpace, UnlearningProblem, UtteranceSet
from methods.engine.losses import original_losses
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule
from methods.engine.setting_rules import added_later, recipe_settings

PARTS = ("low", "medium", "high")


def method_class(name: str) -> type[Method]:
    """Return the method of that name: the one class of its file."""
    wrong = ValueError(f"no method of that name: got {name!r}, allowed: any of `unlearn ls methods` but rum")
    if name == "rum" or not name.isidentifier() or importlib.util.find_spec(f"methods.{name}") is None:
        raise wrong
    module = importlib.import_module(f"methods.{name}")
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, Method) and found.__module__ == module.__name__:
            return found
    raise wrong


@dataclass(frozen=True, kw_only=True)
class Rum(Method):
    """Three parts of D_f, three methods."""

    label: ClassVar[str] = "RUM"
    version: ClassVar[int] = 1
    search_space: ClassVar[SearchSpace] = {"rate_share": (0.005, 1.0), "epochs": [1, 2, 3]}

    low: str = "original"  # method for the least memorized third; `original` does nothing
    medium: str = "fine_tune"
    high: str = "salun"
    learning_rate: Rate = "auto"  # of each of them, as are the next three; all else is their default
    rate_share: float = 0.5  # of the original's own rate, while learning_rate is auto
    epochs: int = 1
    batch_size: int = 32
    retain_share: float | None = added_later(None)  # of D_r, for the methods; none: each method's own
    rate_schedule: RateSchedule | None = added_later(None)  # for the methods; none: each method's own

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in PARTS:
            method_class(getattr(self, part))

    def reason_target_unsupported(self, target: str) -> str:
        """Return why the method of a part does not apply, or an empty string."""
        reasons = {getattr(self, part): self.method(part).reason_target_unsupported(target) for part in PARTS}
        return next((f"its method {name} does not apply: {reason}" for name, reason in reasons.items() if reason), "")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield the passes of each method on its part, low memorization first, each with an optimizer of its own."""
        for name, part in zip(PARTS, self.parts(problem), strict=True):
            if not len(part):
                continue
            fresh = True
            for current in self.method(name).passes(problem.restricted_to(part, problem.retain)):
                yield replace(
                    current, name=f"{name}: {current.name}", optimizer="fresh" if fresh else current.optimizer
                )
                fresh = False

    def parts(self, problem: UnlearningProblem) -> list[UtteranceSet]:
        """Split D_f into three parts that differ in size by at most one, the most confident utterances first."""
        losses = original_losses(problem, problem.forget)
        ranks = losses.argsort(stable=True).argsort()
        return [problem.forget.select(ranks * len(PARTS) // len(ranks) == number) for number in range(len(PARTS))]

    def method(self, part: str) -> Method:
        """Return the method for a part, with those of RUM's settings that it has and that RUM was given."""
        chosen = method_class(getattr(self, part))
        known = {f.name for f in fields(chosen)} - set(PARTS)
        return chosen(**{name: value for name, value in recipe_settings(self).items() if name in known})
