"""The stages of a sweep's trials, and what a trial of each stage does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["train", "study", "retrain", "unlearn", "tune"]


@dataclass(frozen=True, kw_only=True)
class StagePolicy:
    """What a trial of one stage does."""

    title: str  # as plans show it
    trains: bool = False  # runs a training, with a checkpoint for each epoch; otherwise it runs a method on an original
    trains_original: bool = False  # trains on all of D; `settings` of the row are those of the training
    is_reference: bool = False  # the report compares unlearned models with it
    is_tuning: bool = False  # belongs to a search: its row is never reported, and it may share a GPU with any budget
    keeps_model: bool = False  # keeps weights, logits and artifacts, from which other trials start
    keeps_outputs: bool = False  # keeps outputs for each utterance, from which the report computes attacks
    runs_probes: bool = False  # runs the tests of forgetting that the sweep lists under `evidence`
    objective: Literal["none", "validation", "rule"] = "none"  # what a search minimizes; "rule": also after each epoch

    @property
    def unlearns(self) -> bool:
        """Whether it runs a method on an original, which may be `original` (`TrialSpec.reports_original`)."""
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
"""All stages, in the order of plans."""
