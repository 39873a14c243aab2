"""The stages of a sweep's trials, and what a trial of each stage does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["train", "study", "retrain", "unlearn", "tune"]


@dataclass(frozen=True, kw_only=True)
class StagePolicy:
    """What a trial of one stage does. A field that is not set means: it does not."""

    title: str  # as plans show it
    trains: bool = False  # runs a training recipe, whose epochs are checkpointed; else it runs a method on an original
    trains_original: bool = False  # on all of D, with what the row reports as settings being those of the training
    is_reference: bool = False  # what the report compares unlearned models with
    is_tuning: bool = False  # a search's trial: its row is never reported, and may share a GPU whatever the budget
    keeps_model: bool = False  # weights, logits and artifacts, from which other trials start
    keeps_outputs: bool = False  # per-utterance outputs, from which the report computes attacks
    runs_probes: bool = False  # tests of forgetting that the sweep requests under `evidence`
    objective: Literal["none", "validation", "rule"] = "none"  # what a search minimizes; "rule": after each epoch too

    @property
    def unlearns(self) -> bool:
        """Whether it runs a method on an original; see `TrialSpec.reports_original` for the one that does nothing."""
        return not self.trains


STAGES: dict[Stage, StagePolicy] = {
    "study": StagePolicy(
        title="tuning originals", trains=True, trains_original=True, is_tuning=True, objective="validation"
    ),
    "train": StagePolicy(title="originals", trains=True, trains_original=True, keeps_model=True, keeps_outputs=True),
    "retrain": StagePolicy(title="retrained", trains=True, is_reference=True, keeps_outputs=True, runs_probes=True),
    "unlearn": StagePolicy(title="unlearning", keeps_outputs=True, runs_probes=True),
    "tune": StagePolicy(title="tuning", is_tuning=True, objective="rule"),
}
"""In the order in which plans show them."""
