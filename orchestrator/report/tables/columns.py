"""The measures that tables and plots show: their columns in the rows, their names and their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.report.frames.recognition import has_transcripts


@dataclass(frozen=True)
class Measure:
    """One column of a table."""

    column: str  # of the rows, or of `gaps.with_gaps`
    title: str
    latex: str
    unit: Literal["%", "points", "s", "nats", "fraction"]
    scale: float = 1.0  # value in the rows × scale = value in `unit`
    digits: int = 1
    only_for: tuple[str, ...] = ()  # kinds of unlearning; elsewhere the column says nothing of its own
    in_terminal: bool = True  # whether it is worth the width

    def applies_to(self, kind: str) -> bool:
        """Whether tables show it for this kind of unlearning."""
        return not self.only_for or kind in self.only_for

    def shown(self, value: float) -> float:
        """A value of the rows in this measure's unit."""
        return value * self.scale


def _percent(column: str, title: str, latex: str, *only_for: str) -> Measure:
    return Measure(column, title, latex, "%", 100.0, only_for=only_for)


def _points(column: str, title: str, latex: str, scale: float = 1.0, *only_for: str) -> Measure:
    return Measure(column, title, latex, "points", scale, only_for=only_for)


TEST = _percent("test_accuracy", "D_t", r"$D_t$")
TEST_KEPT = _percent("test_accuracy_kept_classes", "D_t kept", r"$D_t$ kept", "class")
TEST_FORGOTTEN = _percent("test_accuracy_forgotten_classes", "D_t forgotten", r"$D_t$ forgotten", "class")
FORGET = _percent("forget_accuracy", "D_f", r"$D_f$")
FORGET_TRUE = _percent("forget_true_label_accuracy", "D_f true labels", r"$D_f$ true labels", *WRONG_LABELS)
UNKNOWN = _percent("unknown_accuracy", "Unknown", "Unknown", *WRONG_LABELS)
UNKNOWN_TRUE = _percent("unknown_true_label_accuracy", "Unknown, true labels", "Unknown, true labels", *WRONG_LABELS)
TEST_ATTRIBUTE = _percent("test_accuracy_attribute", "D_t with it", r"$D_t$ with it", "attribute")
TEST_OTHERS = _percent("test_accuracy_others", "D_t without it", r"$D_t$ without it", "attribute")
GROUP_GAP = _points("test_group_gap", "Group gap", "Group gap", 100.0, "attribute")
ATTACK_SUCCESS = _percent("attack_success", "Attack success", "Attack success")
RETAIN = _percent("retain_accuracy", "D_r", r"$D_r$")
FORGOTTEN_BEFORE = _percent("forgotten_before_accuracy", "Forgotten before", "Forgotten before")
FORGOTTEN_BEFORE_GAP = _points("gap_forgotten_before", "its gap", "its gap")
MIA = _percent("mia_nonmember", "MIA", "MIA")
SECONDS = Measure("optimization_seconds", "Time (s)", "Time (s)", "s")
GAP = _points("gap_mean", "Gap", "Gap")
ONE_CLASS = _percent("test_largest_prediction_share", "D_t in one class", r"$D_t$ in one class")
BUDGET_USED = _percent("budget_used", "Budget used", "Budget used")
CONSTANT = _percent("constant_predictor_accuracy", "Constant predictor", "Constant predictor")

WER_TEST, WER_FORGET = _percent("test_wer", "D_t WER", r"$D_t$ WER"), _percent("forget_wer", "D_f WER", r"$D_f$ WER")
WER = (
    WER_TEST, WER_FORGET, _percent("retain_wer", "D_r WER", r"$D_r$ WER"),
    _percent("validation_wer", "D_v WER", r"$D_v$ WER"),
)  # fmt: skip
OF_OUTPUTS = tuple(
    Measure(f"{part}_{name}", f"{symbol} {title}", f"${symbol}$ {title}", "%", 100.0, in_terminal=False)
    for name, title in (("cer", "CER"), ("insertion_rate", "inserted"), ("hallucinated", "empty or looping"))
    for part, symbol in (("test", "D_t"), ("forget", "D_f"))
)
"""Of recognizers."""

SHOWN = (
    TEST, TEST_KEPT, TEST_FORGOTTEN, ATTACK_SUCCESS, TEST_ATTRIBUTE, TEST_OTHERS, GROUP_GAP, FORGET, FORGET_TRUE,
    UNKNOWN, UNKNOWN_TRUE, FORGOTTEN_BEFORE, FORGOTTEN_BEFORE_GAP, RETAIN, MIA, SECONDS, GAP,
)  # fmt: skip
"""In the order of the paper's tables; a table leaves out those that none of its rows has."""

GAP_PARTS = (
    _points("gap_test", "D_t gap", r"$D_t$ gap"),
    _points("gap_test_kept", "D_t kept gap", r"$D_t$ kept gap"),
    _points("gap_test_forgotten", "D_t forgotten gap", r"$D_t$ forgotten gap"),
    _points("gap_forget", "D_f gap", r"$D_f$ gap"),
    _points("gap_retain", "D_r gap", r"$D_r$ gap"),
    _points("gap_mia", "MIA gap", "MIA gap"),
)
DIFFERENCE_FORGET = _points("difference_forget", "D_f minus Retrain", r"$D_f$ minus Retrain")
DIFFERENCE_FORGET_TRUE = _points("difference_forget_true", "D_f true labels minus Retrain", r"$D_f$ true minus Retrain")
DIFFERENCE_TEST_FORGOTTEN = _points(
    "difference_test_forgotten", "D_t forgotten minus Retrain", r"$D_t$ forgotten minus Retrain"
)
DIFFERENCE_MIA = _points("difference_mia", "MIA minus Retrain", "MIA minus Retrain")

TIDY = (
    *SHOWN, *GAP_PARTS, DIFFERENCE_FORGET, DIFFERENCE_FORGET_TRUE, DIFFERENCE_TEST_FORGOTTEN, DIFFERENCE_MIA,
    _percent("test_macro_f1", "D_t macro-F1", r"$D_t$ macro-F1"),
    _percent("forget_macro_f1", "D_f macro-F1", r"$D_f$ macro-F1"),
    ONE_CLASS, CONSTANT, BUDGET_USED,
    _percent("validation_accuracy", "D_v", r"$D_v$"), _percent("holdout_accuracy", "Holdout", "Holdout"),
    Measure("mia_auc", "MIA AUC", "MIA AUC", "fraction", digits=3),
    Measure("mia_accuracy", "MIA accuracy", "MIA accuracy", "fraction", digits=3),
    Measure("forget_loss", "D_f loss", r"$D_f$ loss", "nats", digits=3),
    Measure("test_loss", "D_t loss", r"$D_t$ loss", "nats", digits=3),
    Measure("evaluation_seconds", "Evaluation (s)", "Evaluation (s)", "s"),
    Measure("setup_seconds", "Setup (s)", "Setup (s)", "s"),
    Measure("forget_ratio", "Forget ratio", "Forget ratio", "fraction", digits=4),
)  # fmt: skip
"""What the CSV of a table holds, at full precision."""


@dataclass(frozen=True)
class Quality:
    """What a task's models are judged by, and the words for it."""

    name: str
    shown: tuple[Measure, ...]  # in tables, in this order
    tidy: tuple[Measure, ...]  # in CSV files
    unit: str  # of the beginning of a caption
    difference: str  # what is positive where there is something to forget
    verb: str  # what a model does to D_f
    is_share: bool  # of utterances, so that exact intervals apply


ACCURACY = Quality(
    "accuracy", SHOWN, TIDY, "Accuracies in %, gap in points", "Original − Retrain on D_f", "classifies", True
)
WORD_ERRORS = Quality(
    "WER", (*WER, *OF_OUTPUTS, MIA, SECONDS, GAP), (*TIDY, *WER, *OF_OUTPUTS),
    "Error rates in %, gap in points of WER, accuracy in charts is 1 − WER", "Retrain − Original on D_f, WER",
    "recognizes", False,
)  # fmt: skip


def quality_of(rows: pd.DataFrame) -> Quality:
    """Return what the models of a task's rows are judged by."""
    return WORD_ERRORS if has_transcripts(rows) else ACCURACY
