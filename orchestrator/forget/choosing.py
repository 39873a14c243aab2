"""Choose method and strength for a request, on validation speech alone, within a limit.

`auto` takes the first method of `AUTO` that the model and the request allow. The order is that of the mean gap to
Retrain over 24 cells of three families (docs/results/leaderboard_families.md), where class and sample requests agree;
it was measured on classifiers.
The strength is the method's share of the original's learning rate. It is raised while the recordings are still better
known than unheard validation speech, and lowered while they are less known or other speech suffers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from methods.base import Classifier, Method
from methods.engine.answers import CLASSES
from methods.engine.loop import Diverged, LoopSettings, Outcome, run_method
from orchestrator import plugins
from orchestrator.evidence.pooled import pooled_auc
from orchestrator.evidence.removal import FEWEST
from orchestrator.forget.comparing import Logits, Sides, attacked, fair_strata
from orchestrator.forget.problem import MICRO_BATCH, Case

AUTO = ("unheard", "npo", "salun", "random_label")
LEARNS_FROM_ENCODER = ("unheard", "eu_k")  # they need an encoder that was not trained on D_f
SAME_NETWORK = ("eu_k",)  # and one of the model's own architecture
REFERENCES = ("original", "retrain")
FEW_SENTENCES = (
    "A planted secret is one sentence, however often it is recorded: one observation, and "
    f"{FEWEST} are needed. Measure its exposure in a sweep with `evidence: {{canaries: true}}`."
)
STEP = 3.0  # from one strength to the next
ROUNDS = 3  # candidates at most
CLOSE, HARMLESS = 0.05, 0.02  # distance from unheard speech, and lost accuracy, that end the search


@dataclass(frozen=True)
class Candidate:
    """One strength of the method, and what it does to validation speech."""

    strength: float  # multiplies the method's default rate
    distance: float  # of D_f from unheard speech: AUC − 0.5, or share of the class that is still named
    lost_accuracy: float  # on D_v of kept classes, fraction; of a recognizer the rise of WER
    seconds: float
    samples: float
    stop_reason: str

    @property
    def objective(self) -> float:
        """What is minimized."""
        return abs(self.distance) + max(0.0, self.lost_accuracy)

    @property
    def good(self) -> bool:
        """Whether no other strength needs to be tried."""
        return abs(self.distance) <= CLOSE and self.lost_accuracy <= HARMLESS


@dataclass(frozen=True)
class Unlearned:
    """The model that was chosen, with all candidates."""

    model: Classifier
    method: str
    settings: dict[str, Any]
    candidates: tuple[Candidate, ...]
    chosen: Candidate


def choose_method(name: str, case: Case) -> str:
    """Return the method to use: `name`, or for `auto` the first of `AUTO` that is allowed.

    Raises:
        ValueError: the named method is unknown, or is not possible on this model.
    """
    if name == "auto":
        return next(method for method in AUTO if not _refused(method, case))
    require_method(name, case.base, case.opened.target)
    if reason := _refused(name, case):
        raise ValueError(f"{name} cannot be used here: {reason}. Choose another method, or auto")
    return name


def require_method(name: str, base: Path | None, target: str = CLASSES) -> None:
    """Check what can be known of a method before a recording is read.

    Args:
        name: of the method, or auto.
        base: folder of the pretrained encoder, if it is known.
        target: what the model answers with.

    Raises:
        ValueError: the method is unknown, does not unlearn such models, or needs an encoder or an original of another
            kind.
    """
    if name == "auto":
        return
    known = [method for method in plugins.usable("methods") if method not in REFERENCES]
    if name not in known:
        raise ValueError(f"Unknown method {name!r}{plugins.suggestion(name, known)}; choose auto, {', '.join(known)}")
    if reason := _refused_anywhere(name, base, target):
        raise ValueError(f"{name} cannot be used here: {reason}. Choose another method, or auto")


def _refused_anywhere(name: str, base: Path | None, target: str) -> str:
    method: type[Method] = plugins.plugin_class("methods", name)  # type: ignore[assignment]
    if method.requires_training:
        return f"it needs an original of training kind {method.requires_training}"
    if reason := plugins.load("methods", name).reason_target_unsupported(target):
        return str(reason)
    if name in SAME_NETWORK and base is None:
        return "it needs the pretrained encoder of the model; name it with --base"
    return ""


def _refused(name: str, case: Case) -> str:
    if reason := _refused_anywhere(name, case.base, case.opened.target):
        return reason
    if name in LEARNS_FROM_ENCODER and not case.has_encoder():
        return "it needs an encoder that was not trained on these recordings; name it with --base"
    return plugins.load("methods", name).reason_model_unsupported(case.original)  # type: ignore[no-any-return]


def unlearn(case: Case, name: str, limit: float, beat: Callable[[str], None]) -> Unlearned:
    """Unlearn with several strengths, each from the original, and return the one that is best on validation speech.

    Args:
        case: model, recordings and request.
        name: the method.
        limit: of each run, as a share of what retraining would process.
        beat: receives a line of progress.

    Raises:
        ValueError: every strength diverged.
    """
    tried: list[Candidate] = []
    best: tuple[Candidate, Classifier, dict[str, Any]] | None = None
    before = case.original_logits
    strength, scalable = 1.0, "rate_share" in {f.name for f in fields(plugins.plugin_class("methods", name))}
    rounds = ROUNDS if scalable else 1
    for number in range(rounds):
        beat(f"{name}: strength {strength:.2g} ({number + 1} of at most {rounds})")
        method = _with_strength(name, strength)
        problem, outcome = case.problem(limit * case.schedule_samples), Outcome()
        try:
            for _ in run_method(method, problem, settings=LoopSettings(micro_batch=MICRO_BATCH), outcome=outcome):
                pass
            distance, lost = _on_validation(case, problem.model, before)
        except Diverged:
            outcome.stop_reason, distance, lost = "diverged", 1.0, 1.0  # type: ignore[assignment]
        budget = problem.budget
        candidate = Candidate(strength, distance, lost, budget.seconds, budget.samples, str(outcome.stop_reason))
        tried.append(candidate)
        if outcome.stop_reason != "diverged" and (best is None or candidate.objective < best[0].objective):  # type: ignore[comparison-overlap]
            best = candidate, problem.model, asdict(method)
        if candidate.good:
            break
        strength = _next_strength(tried)
        if strength in [c.strength for c in tried]:
            break
    if best is None:
        raise ValueError(f"{name} diverged at every strength. Choose another method, or check --learning-rate")
    return Unlearned(best[1], name, best[2], tuple(tried), best[0])


def _with_strength(name: str, strength: float) -> Method:
    method: Method = plugins.load("methods", name)
    if "rate_share" not in {f.name for f in fields(method)}:
        return method
    share = float(getattr(method, "rate_share"))  # noqa: B009
    return plugins.load("methods", name, rate_share=share * strength)  # type: ignore[no-any-return]


def _next_strength(tried: list[Candidate]) -> float:
    """Return a strength between one that is too weak and one that is too strong, or a step beyond all."""
    weak = [c.strength for c in tried if _too_weak(c)]
    strong = [c.strength for c in tried if not _too_weak(c)]
    if not strong:
        return max(weak) * STEP
    if not weak:
        return min(strong) / STEP
    return float(np.sqrt(max(weak) * min(strong))) if max(weak) < min(strong) else max(weak) * STEP


def _too_weak(candidate: Candidate) -> bool:
    return candidate.stop_reason != "diverged" and candidate.distance > CLOSE


def _on_validation(case: Case, model: Classifier, before: Logits) -> tuple[float, float]:
    """Return how far D_f is from unheard validation speech, and the accuracy that kept classes lost there."""
    rows = case.unheard("validation")
    labels, gone = case.recordings.labels, case.resolved.forgotten_class
    mine, theirs = case.speech.logits(model, case.forget), case.speech.logits(model, rows)
    if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
        raise Diverged("outputs are NaN or infinite")
    kept = labels[rows] != (-1 if gone is None else gone)
    lost = case.kind.lost(before[rows][kept], theirs[kept], labels[rows][kept]) if kept.any() else 0.0
    if gone is not None:
        of_class = ~kept
        named = [(mine.argmax(axis=1) == gone).mean()]
        named += [(theirs[of_class].argmax(axis=1) == gone).mean()] if of_class.any() else []
        return float(max(named)), lost
    sides = sides_of(case, rows, {"child": (mine, theirs)})
    auc = pooled_auc([attacked(sides, fair_strata(sides)[0], "child", "loss")])
    return (0.0 if np.isnan(auc.value) else auc.value - 0.5), lost


def sides_of(
    case: Case, unheard: np.ndarray[Any, Any], logits: dict[str, tuple[Logits, Logits]],
    relearned_on: np.ndarray[Any, Any] | None = None,
) -> Sides:  # fmt: skip
    """Return D_f and these unheard rows with the outputs of models on both."""
    recordings, forget, groups = case.recordings, case.forget, case.groups
    return Sides(
        forget_ids=recordings.ids[forget],
        unheard_ids=recordings.ids[unheard],
        forget_labels=groups[forget],
        unheard_labels=groups[unheard],
        forget_speakers=recordings.speakers[forget],
        unheard_speakers=recordings.speakers[unheard],
        logits=logits,
        relearned_on=np.zeros(len(forget), dtype=bool) if relearned_on is None else relearned_on,
        forgotten_class=case.resolved.forgotten_class,
        target=case.opened.target,
        unfair=FEW_SENTENCES if case.resolved.kind == "canary" else "",
    )
