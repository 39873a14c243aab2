"""Unheard: teach f an estimate of Retrain's outputs on D_f, made with a teacher that was not trained on D_f.

Source: this project; docs/log.md tells how it came about. Retrain is f on unheard speech, so its answer about an
utterance of D_f is estimated from f's answers on D_v, with the scores of a closed-form teacher on the frozen pretrained
encoder (`methods.closed_form.ridge_teacher`), fitted on D_r alone:
1. How likely is it that f would have given the label y_u unheard? On D_v the teacher's margin for the true label tells
   how often f is right, and its margins for true and for other labels tell how likely y_u is the true label at all
   (wrong labels and forgotten classes look alike to it). Of D_f, the expected number of utterances keeps its label as
   answer, the likeliest; the others get the teacher's best other class.
2. How sure would f be of that answer? As sure as of the utterance of D_v of whose answer the teacher is as sure.
Then cross-entropy to these targets on D_f, and to the labels on a part of D_r drawn anew each epoch.

`target_rule` leaves out parts of this, for ablations: `hard` teaches the answer of step 1 alone, without step 2;
`teacher` the teacher's probabilities, at the temperature that fits f's answers on D_v, without either step; `random`
needs no teacher: of D_f as many keep their label as f would be right on unheard speech, drawn at random, and the others
get another class of D_r at random; `uniform` is the same probability for each class of D_r.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem, UtteranceSet
from methods.closed_form.ridge_teacher import TEACHER_BATCH, teacher_scores
from methods.engine.forget_table import ForgetTable
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule, epoch_factor
from methods.engine.setting_rules import added_later
from methods.random_label import wrong_labels

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

TEMPERATURES = torch.logspace(-2.0, 1.0, 61, dtype=torch.float64)  # of scores of about 0 to 1
LARGEST_MARGIN = 20.0  # in nats either way
NO_ANSWERS = "unheard needs a D_v with an utterance whose label and answer are classes of D_r; got none"
ROUNDS = 100  # of expectation and maximization: one number is estimated

ValidationRule = Literal["random", "easiest", "hardest"]
TargetRule = Literal["borrowed", "hard", "teacher", "random", "uniform"]


def log_odds(log_probabilities: Float[Tensor, "n classes"], labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return log(p / (1 − p)) of each row's label, clamped to `LARGEST_MARGIN`."""
    rest = log_probabilities.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1)
    margins = log_probabilities.gather(1, labels[:, None]).squeeze(1) - rest
    return margins.clamp(-LARGEST_MARGIN, LARGEST_MARGIN)


def temperature(scores: Float[Tensor, "v classes"], answers: Int[Tensor, " v"]) -> float:
    """Return the temperature under which the answers are most likely."""
    losses = [functional.cross_entropy(scores / t, answers) for t in TEMPERATURES.to(scores)]
    return float(TEMPERATURES[int(torch.stack(losses).argmin())])


def _fitted(margins: Tensor, outcomes: Tensor) -> LogisticRegression | None:
    """Fit P(outcome | margin); None if the outcome is always the same."""
    from sklearn.linear_model import LogisticRegression  # here, because importing it takes a second

    if bool(outcomes.all()) or not bool(outcomes.any()):
        return None
    return LogisticRegression().fit(margins[:, None].cpu().numpy(), outcomes.cpu().numpy())


def chance_of_label(
    margins: Float[Tensor, " n"],
    unheard: Float[Tensor, "v classes"],
    labels: Int[Tensor, " v"],
    answers: Int[Tensor, " v"],
) -> Float[Tensor, " n"]:
    """Estimate for each margin of D_f's labels how likely f would give the label without training on the utterance.

    `unheard` are the teacher's log p̂ on D_v, whose labels are true. The share of D_f with true labels is estimated by
    maximum likelihood, from the ratio of the margins' densities under true and under other labels.
    """
    num_classes = unheard.shape[1]
    true = log_odds(unheard, labels)
    others = torch.cat([log_odds(unheard, (labels + shift) % num_classes) for shift in range(1, num_classes)])
    right = _probability(_fitted(true, answers == labels), margins, float((answers == labels).double().mean()))
    is_true = torch.cat([torch.ones_like(true), torch.zeros_like(others)]).bool()
    posterior = _probability(_fitted(torch.cat([true, others]), is_true), margins, 1.0).clamp(1e-12, 1 - 1e-12)
    ratio = posterior / (1 - posterior) * (len(others) / len(true))  # p(margin | true) / p(margin | other)
    share = torch.tensor(0.5).to(ratio)
    for _ in range(ROUNDS):
        share = (share * ratio / (share * ratio + 1 - share)).mean()
    return right * share * ratio / (share * ratio + 1 - share)


def _probability(fitted: LogisticRegression | None, margins: Tensor, otherwise: float) -> Tensor:
    if fitted is None:
        return torch.full_like(margins, otherwise)
    return torch.from_numpy(fitted.predict_proba(margins[:, None].cpu().numpy())[:, 1]).to(margins)


def keeps_label(chances: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Return a mask of the round(Σ chances) utterances with the largest chances."""
    keep = torch.zeros_like(chances, dtype=torch.bool)
    keep[chances.argsort(descending=True, stable=True)[: int(chances.sum().round())]] = True
    return keep


def borrowed_targets(
    log_probabilities: Float[Tensor, "n classes"],
    answers: Int[Tensor, " n"],
    donors: Float[Tensor, "v classes"],
    donor_logits: Float[Tensor, "v classes"],
) -> Float[Tensor, "n classes"]:
    """Return a donor's probabilities under f, assigned in descending order to the answer and the teacher's other ranks.

    The donor is the utterance outside the training set about whose answer the teacher (`donors`: its log p̂) is equally
    confident.
    """
    sureness, order = log_odds(donors, donor_logits.argmax(dim=1)).sort(stable=True)
    middle = (sureness[1:] + sureness[:-1]) / 2
    places = torch.searchsorted(middle, log_odds(log_probabilities, answers))
    lent = donor_logits[order[places]].softmax(dim=1).sort(dim=1, descending=True).values
    ranks = log_probabilities.scatter(1, answers[:, None], torch.inf).argsort(dim=1, descending=True, stable=True)
    return torch.zeros_like(lent).scatter(1, ranks, lent)


def random_answers(
    labels: Int[Tensor, " n"], there: Bool[Tensor, " classes"], accuracy: float, generator: torch.Generator
) -> Int[Tensor, " n"]:
    """Return answers drawn without a teacher; of labels that are `there`, the share `accuracy` stays, at random."""
    absent = tuple(torch.nonzero(~there).flatten().tolist())
    drawn, known = wrong_labels(labels, len(there), absent, generator), torch.nonzero(there[labels]).flatten()
    kept = known[torch.randperm(len(known), generator=generator)[: round(accuracy * len(known))]]
    drawn[kept] = labels[kept]
    return drawn


@dataclass(frozen=True, kw_only=True)
class Unheard(Method):
    """Cross-entropy to borrowed answers on D_f, and to the labels on a part of D_r."""

    label: ClassVar[str] = "Unheard"
    version: ClassVar[int] = 2
    needs_classes: ClassVar[str] = "its targets are classes that unseen speech is given"
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "retain_share": [0.2, 0.3, 0.5],
        "epochs": [2, 4, 6, 8],
    }

    learning_rate: Rate = "auto"  # of the first epoch
    rate_share: float = 0.25  # of the original's own rate, while learning_rate is auto
    epochs: int = 4  # epochs over D_f and the part of D_r
    batch_size: int = 32
    retain_share: float = 0.3  # of D_r, drawn anew each epoch
    retain_weight: float = 1.0  # λ
    rate_schedule: RateSchedule = added_later("falling")  # × (1 − e/E) in epoch e of E, or constant
    target_rule: TargetRule = added_later("borrowed")  # of D_f; the others are ablations
    teacher_encoder: Literal["pretrained", "original"] = added_later("pretrained")  # original: f's, trained on D_f
    validation_share: float = added_later(1.0)  # of D_v, taken once: less to learn f's answers on unheard speech from
    validation_rule: ValidationRule = added_later("random")  # or where f's loss is smallest or largest: a shifted D_v

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target_rule not in get_args(TargetRule):
            raise ValueError(f"target_rule must be one of {', '.join(get_args(TargetRule))}, got {self.target_rule!r}")
        if self.validation_rule != "random" and self.validation_share == 1:
            raise ValueError(
                f"validation_rule takes a part of D_v: got {self.validation_rule!r} and validation_share 1; set a share"
            )
        if not 0 <= self.retain_share <= 1:
            raise ValueError(f"retain_share must be in [0, 1], got {self.retain_share}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield one pass per epoch."""
        targets = ForgetTable.of(problem.forget.utterances, self.targets(problem))
        count = round(self.retain_share * len(problem.retain))

        def imitate(model: Classifier, batch: Batch) -> Tensor:
            logits = model(batch.features, batch.lengths)
            wanted = targets.put(batch, functional.one_hot(batch.labels, logits.shape[1]).to(logits))
            return -(wanted * logits.log_softmax(dim=-1)).sum(dim=-1)

        for epoch in range(self.epochs):
            yield Pass(
                name=f"imitate {epoch + 1}",
                over=problem.forget + problem.retain.sample(count, problem.generator),
                loss=imitate,
                learning_rate=self.rate(problem) * epoch_factor(self.rate_schedule, epoch, self.epochs),
                batch_size=self.batch_size,
                retain_weight=self.retain_weight,
            )

    def targets(self, problem: UnlearningProblem) -> Float[Tensor, "forget classes"]:
        """Return the targets of D_f, in its order.

        Charged as a forward of the pretrained encoder over D and D_v, the ridge solutions, and f's logits on D_v;
        `random` as the latter alone, `uniform`, and any rule where D_r has one class, as nothing. Classes without an
        utterance in D_r are excluded: Retrain never predicts them, nor could the teacher.

        Raises:
            BudgetSpent: when the budget is spent before that.
            ValueError: if no utterance of D_v has a class of D_r as label and as f's answer.
        """
        there = torch.zeros(problem.num_classes, dtype=torch.bool)
        there[problem.retain.labels] = True
        labels, validation = problem.forget.labels, self.unheard_speech(problem)
        if self.target_rule == "uniform" or there.sum() == 1:  # a Retrain of one class answers with nothing else
            return (there.double() / there.sum()).repeat(len(labels), 1)
        if not len(validation):
            raise ValueError(NO_ANSWERS)
        if self.target_rule == "random":
            said = self.original_answers(problem, validation)
            right, usable = said.argmax(dim=1).cpu() == validation.labels, there[validation.labels]
            if not bool(usable.any()):
                raise ValueError(NO_ANSWERS)
            drawn = random_answers(labels, there, float(right[usable].double().mean()), problem.generator)
            return functional.one_hot(drawn, problem.num_classes).double()
        return self.taught(replace(problem, validation=validation), there)

    def unheard_speech(self, problem: UnlearningProblem) -> UtteranceSet:
        """Return D_v, or a share of it: drawn, or the utterances on which f is best or worst (charged)."""
        whole = problem.validation
        if self.validation_share == 1 or not len(whole):
            return whole
        count = max(1, round(self.validation_share * len(whole)))
        if self.validation_rule == "random":
            return whole.sample(count, problem.control_generator())
        said = self.original_answers(problem, whole).cpu()
        losses = functional.cross_entropy(said, whole.labels, reduction="none")
        ranked = losses.argsort(descending=self.validation_rule == "hardest", stable=True)
        return whole.select(torch.zeros(len(whole), dtype=torch.bool).scatter(0, ranked[:count], True))

    def original_answers(self, problem: UnlearningProblem, utterances: UtteranceSet) -> Float[Tensor, "n classes"]:
        """Return f's logits, charged.

        Raises:
            BudgetSpent: when the budget is spent.
        """
        said = torch.cat([problem.original_logits(batch) for batch in utterances.batches(TEACHER_BATCH)])
        problem.budget.check()
        return said

    def taught(self, problem: UnlearningProblem, there: Bool[Tensor, " classes"]) -> Float[Tensor, "forget classes"]:
        """Return the targets that need the teacher; `there` are the classes of D_r."""
        scores, unheard = teacher_scores(problem, problem.model if self.teacher_encoder == "original" else None)
        said = self.original_answers(problem, problem.validation).to(unheard)
        answers, validation = said.argmax(dim=1), problem.validation.labels.to(said.device)
        labels, there = problem.forget.labels.to(said.device), there.to(said.device)
        usable = there[validation] & there[answers]
        if not bool(usable.any()):
            raise ValueError(NO_ANSWERS)
        unheard, said, answers, validation = (t[usable] for t in (unheard, said, answers, validation))
        scale = temperature(unheard, answers)
        mine, donors = (scores / scale).log_softmax(dim=1), (unheard / scale).log_softmax(dim=1)
        if self.target_rule == "teacher":
            return mine.exp()
        known, place = there[labels], there.cumsum(0) - 1  # a class's place among those that D_r has
        chances = torch.zeros_like(mine[:, 0])
        if bool(known.any()):
            margins = log_odds(mine[known], labels[known])
            chances[known] = chance_of_label(margins, donors[:, there], place[validation], place[answers])
        other = mine.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
        decided = torch.where(keeps_label(chances), labels, other)
        if self.target_rule == "hard":
            return functional.one_hot(decided, problem.num_classes).to(mine)
        return borrowed_targets(mine, decided, donors, said)
