"""What a method is, what it may see of the world, and what it hands to the shared loop.

Notation (docs/glossary.md): D_f forget set, D_r retain set, D_v validation set; B utterances in a batch, C classes.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from methods.engine.answers import CLASSES
from methods.engine.batches import Batch, BatchSource, Classifier, UtteranceSet
from methods.engine.budget import BudgetMeter
from methods.engine.charged_passes import charge_passes
from methods.engine.rates import resolved
from methods.engine.setting_rules import check_settings
from methods.engine.warm_up import same_draws_again, warm_up

__all__ = [
    "Batch",
    "BatchSource",
    "Classifier",
    "LossFunction",
    "Method",
    "Pass",
    "Scores",
    "SearchSpace",
    "Training",
    "TrainingRecipe",
    "UnlearningProblem",
    "UtteranceSet",
]


SearchSpace = Mapping[str, tuple[float, float] | list[Any]]
"""By setting: the bounds of a log-uniform draw, or a list of choices. It must hold the setting's default."""


@dataclass(frozen=True)
class Scores:
    """The scores of a model on a set."""

    accuracy: float  # fraction, 0-1; of a recognizer 1 − WER, below 0 where it has more word errors than words
    loss: float  # mean cross-entropy, or mean loss of a transcript per character or token; nats


@dataclass(frozen=True, kw_only=True)
class Training:
    """How an original is trained; Retrain copies it (ARCHITECTURE: methods `original` and `retrain`)."""

    learning_rate: float = 1e-4
    epochs: int = 10
    batch_size: int = 32
    weight_decay: float = 0.0
    warmup_share: float = 0.1  # of all steps, linear from 0
    schedule: Literal["constant", "linear"] = "linear"
    length_buckets: bool = False  # batches of similar length, in unlearning too
    keep_epoch: Literal["best", "last"] = "best"  # on D_v; the last, to keep what only long training memorizes


APART = 0x5EED  # between the seed of a problem's draws and that of a control's

LossFunction = Callable[[Classifier, Batch], Tensor]
"""-> (B,) non-negative difficulty: cross-entropy or KL, nats. An utterance's must not depend on its neighbors, and two
calls with one batch must agree: where memory is short the loop calls it on micro-batches, and with SuperLoss twice."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A request to the shared loop: train for `epochs` epochs on batches, with this loss.

    The loss of a batch is (forget_sign · Σ_{D_f} σ·l + retain_weight · Σ_{D_r} l) / B, with σ = 1 without SuperLoss:
    λ = 1 is plain training on the shuffled union, λ = 0 leaves D_r out (Eq. 1 of arXiv 2506.00848).
    """

    name: str  # shown in traces
    over: BatchSource
    loss: LossFunction
    learning_rate: float
    batch_size: int = 32
    epochs: int = 1
    forget_sign: float = 1.0  # −1 ascends on D_f
    retain_weight: float = 1.0  # λ
    weight_decay: float = 0.0  # decoupled, AdamW
    schedule: Literal["constant", "linear", "falling"] = "constant"  # over this pass's own steps, or its epochs
    warmup_share: float = 0.0  # of this pass's own steps
    parameters: Sequence[nn.Parameter] | None = None  # which move; all trainable ones when None
    optimizer: Literal["keep", "fresh"] = "keep"  # keep the moments of the pass before, or start anew
    l1_penalty: float = 0.0  # α of α·‖θ‖₁, added to the loss
    combine: Callable[[list[Tensor], list[Tensor]], list[Tensor]] | None = None  # D_f's and D_r's gradients -> a step's
    before_step: Callable[[Classifier], None] | None = None  # gradients are there, not yet clipped
    after_step: Callable[[Classifier, torch.optim.Optimizer], None] | None = None
    at_end: Callable[[Classifier], None] | None = None  # once, after all epochs, unless the budget cut one off
    keep_best: bool = False  # score D_v after each whole epoch and end with the best weights
    choice_charged: bool = True  # whether these scores are; not those of a training, which is the unit of budgets


@dataclass
class UnlearningProblem:
    """All that a method can access. It has no test or holdout data, paths, Ray or other trials."""

    model: Classifier  # a private copy of the original f
    forget: UtteranceSet
    retain: UtteranceSet
    validation: UtteranceSet  # D_v; for class unlearning without the forgotten classes
    num_classes: int  # C; of a recognizer V, the outputs of a step
    forgotten_classes: tuple[int, ...]  # by this request and those before it; empty where none forgot a class
    training: Training  # how f was trained
    budget: BudgetMeter
    generator: torch.Generator  # CPU; order of batches and every random draw of a method
    build_model: Callable[[Literal["pretrained", "random"]], Classifier]
    teacher_logits: Callable[[Batch], Tensor]  # f's logits by utterance; charges their making to the budget
    score: Callable[[Classifier, UtteranceSet], Scores]
    micro_batch: int | None = None  # utterances that go through the model at once, where memory is short
    artifacts_to_store: dict[str, Tensor] | None = None  # a training's, kept with f; None if nothing is kept
    original_artifacts: Mapping[str, Tensor] | None = None  # what f's training kept, for methods that require it
    notes: list[str] = field(default_factory=list)  # remarks of the method on this run, for the row's `note`
    precision: Literal["fp32", "bf16"] = "fp32"  # of what reads a set; the loop sets it
    warmed_up: set[bool] = field(default_factory=set)  # whether a forward (False), a backward (True) ran

    def __post_init__(self) -> None:
        charge_passes(self.model, self.budget)

    @property
    def device(self) -> torch.device:
        """The device of batches."""
        return self.retain.device

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in the trial's precision: bfloat16 for operations that allow it, or unchanged."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def warm_up(self, part: Batch, *, backward: bool, model: Classifier | None = None) -> None:
        """Run `part` once before time is charged: once per problem on a GPU, and always if a `model` is given."""
        if model is None and (self.device.type != "cuda" or backward in self.warmed_up):
            return
        self.warmed_up |= {backward, False}
        self.budget.largest_batch = max(self.budget.largest_batch, len(part))  # memory may run out here already
        with self.budget.evaluating(), self.autocast():
            warm_up(self.model if model is None else model, part, backward=backward)

    def control_generator(self) -> torch.Generator:
        """Return a separate generator for a control, so that its draws change no other draws."""
        return torch.Generator().manual_seed(self.generator.initial_seed() ^ APART)

    def fresh_model(self) -> Classifier:
        """Return the pretrained encoder with the head that f started from."""
        return self._built("pretrained")

    def random_model(self) -> Classifier:
        """Return the same architecture with random weights (Bad-T's incompetent teacher)."""
        return self._built("random")

    def _built(self, weights: Literal["pretrained", "random"]) -> Classifier:
        with self.budget.loading():
            model = self.build_model(weights)
        charge_passes(model, self.budget)
        return model

    def original_logits(self, batch: Batch) -> Float[Tensor, "batch *steps classes"]:
        """Return f's logits in eval mode, without gradient: (B, C), cached, and charged at their measured cost.

        A recognizer's (B, S, V) are computed again and charged each time.
        """
        return self.teacher_logits(batch)

    def evaluate(self, utterances: UtteranceSet) -> Scores:
        """Score the current model on a set; charged as a forward over it.

        Raises:
            BudgetSpent: when the budget is already spent.
        """
        self.budget.check()
        with self.budget.charging(), self.autocast():
            return self.score(self.model, utterances)

    def evaluate_uncharged(self, utterances: UtteranceSet) -> Scores:
        """Score for the harness (curves, objectives): not charged, and no random state changes."""
        with self.budget.evaluating(), self.autocast(), same_draws_again(utterances.device):
            return self.score(self.model, utterances)

    def iterate(
        self, utterances: BatchSource, batch_size: int, *, backward: bool, summed: bool = False
    ) -> Iterator[Batch]:
        """Yield batches for a weight edit or a score; charge the caller's work and check the budget for each.

        `backward` says whether the caller runs backward passes too; samples are charged as models run them.
        The caller runs under the trial's autocast, and disables it where it needs full precision.

        If memory is short, batches are smaller where that changes no result: without a backward, or if the caller
        declares that its results are `summed` over utterances.

        Raises:
            BudgetSpent: when the budget is spent before a batch.
        """
        charge_passes(self.model, self.budget)
        if self.micro_batch is not None and (summed or not backward):
            batch_size = min(batch_size, self.micro_batch)
        for batch in utterances.batches(batch_size):
            self.budget.check()  # before each: an edit whose last batch uses the budget up is made
            self.warm_up(batch, backward=backward)
            with self.budget.charging(len(batch)), self.autocast():
                yield batch

    def part_of_retain(self, share: float, drawn: Literal["once", "each_epoch"]) -> UtteranceSet:
        """Return a share of D_r: one drawn now, or one of which each epoch draws anew."""
        if drawn == "each_epoch":
            return self.retain.drawn_anew(share)
        return self.retain.sample(max(1, round(share * len(self.retain))), self.generator)

    def restricted_to(self, forget: UtteranceSet, retain: UtteranceSet) -> UnlearningProblem:
        """Return the same problem with other D_f and D_r, as RUM passes parts of D_f to other methods."""
        return replace(
            self,
            forget=replace(forget, is_forget=torch.ones_like(forget.is_forget)),
            retain=replace(retain, is_forget=torch.zeros_like(retain.is_forget)),
        )


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A plug-in whose fields are its hyperparameters: one class in a file that is named after the method."""

    label: ClassVar[str]  # as the paper's tables print it
    version: ClassVar[int]  # bumped when its results change
    edits_weights: ClassVar[bool] = False  # True if it yields no pass, so that no modifier has an effect
    edits_last: ClassVar[bool] = False  # True if it edits weights after its last pass: no epoch can be kept instead
    takes_adapters: ClassVar[bool] = True  # false where it puts weights back or draws them anew by their names
    search_space: ClassVar[SearchSpace] = {}  # what `unlearn tune` searches unless the sweep says; empty: nothing
    requires_training: ClassVar[str] = ""  # the training kind whose artifacts it reads; empty: none
    needs_classes: ClassVar[str] = "it is defined for classes only"  # why; empty: it unlearns recognizers too

    def __post_init__(self) -> None:
        check_settings(self)

    def rate(self, problem: UnlearningProblem, name: str = "learning_rate") -> float:
        """Return the learning rate of a setting; `auto` is a share of the rate at which f was trained."""
        return float(
            resolved({f.name: getattr(self, f.name) for f in fields(self)}, problem.training.learning_rate)[name]
        )

    @abstractmethod
    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield the passes lazily: code between two `yield`s may read `problem.model`, score sets, and end early."""

    def reason_unsupported(self, kind: str, settings: Mapping[str, Any]) -> str:
        """Return why it cannot unlearn an original of this training kind with these settings, or an empty string."""
        return (
            ""
            if self.requires_training in ("", kind)
            else f"it needs an original of training kind {self.requires_training}"
        )

    def reason_target_unsupported(self, target: str) -> str:
        """Return why it cannot unlearn models that answer with this target, or an empty string."""
        return "" if target == CLASSES else self.needs_classes

    def reason_model_unsupported(self, model: Classifier) -> str:
        """Return why it cannot unlearn a network of this architecture, or an empty string; weights are not read."""
        return ""


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe(Method):
    """A method over D_r that trains originals and Retrain, and may keep artifacts for later requests.

    Its passes start from `problem.fresh_model()`, train on `problem.retain`, and put tensors into
    `problem.artifacts_to_store` unless that is None (Retrain keeps nothing). The time that this takes belongs inside
    `problem.budget.preparing()`.
    """

    @property
    def kept_models(self) -> int:
        """Number of weight sets kept in addition to f, for the estimate of storage."""
        return 0

    @property
    def changes_classifier(self) -> bool:
        """Whether `classifier` returns a network that is not the backbone's, which transformers cannot save."""
        return False

    def schedule_samples(self, training: Training, utterances: float) -> float:
        """Return the samples that its full schedule is charged, of which budgets in samples are shares."""
        return training.epochs * utterances

    def classifier(self, model: Classifier, num_classes: int) -> Classifier:
        """Return the network to train, made from the backbone's; by default the backbone's own."""
        return model
