"""The one loop that runs a method's passes; budget, SuperLoss, clipping, precision and schedule are written here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from methods.base import Batch, Classifier, Method, Pass, Scores, UnlearningProblem
from methods.engine.budget import BudgetSpent
from methods.engine.charged_passes import charge_passes, stop_charging
from methods.engine.compiled import CompiledModel
from methods.engine.transfer import sent
from methods.engine.warm_up import same_draws_again
from methods.modifiers.curriculum import ForgetCurriculum, with_curriculum
from methods.modifiers.lora import Lora, add_adapters, merge_adapters
from methods.modifiers.superloss import SuperLoss, SuperLossWeights


class Diverged(Exception):
    """A loss or a weight is no longer finite: a result, not an error."""


@dataclass(frozen=True)
class Progress:
    """Progress of a run; yielded at the end of each epoch of each pass."""

    pass_name: str
    epoch: int  # from 0
    epochs: int  # of the pass
    steps: int
    loss: float  # mean over the epoch of the batch losses
    budget_used: float  # 0-1; 0 without a budget
    accuracy: float | None = None  # on D_v, where the pass keeps its best epoch


@dataclass
class Outcome:
    """What the loop did; filled while it runs."""

    steps: int = 0
    stop_reason: Literal["finished", "budget"] = "finished"
    parameters: int = 0  # weights that could move


class EpochStore(Protocol):
    """Where a long training keeps its last finished epoch, so that it can go on after its process died."""

    def load(self) -> dict[str, Any] | None:
        """The newest state, or None."""

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state, whole or not at all."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What is the same for every method of a sweep."""

    clip_norm: float = 1.0  # of the gradient, over all moving weights
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: autocast; weights and optimizer stay fp32
    micro_batch: int | None = None  # utterances through the model at once; gradients add up to the whole batch's
    compile: bool = False  # torch.compile, with static shapes


def run_method(
    method: Method,
    problem: UnlearningProblem,
    *,
    settings: LoopSettings,
    superloss: SuperLoss | None = None,
    forget_curriculum: ForgetCurriculum | None = None,
    lora: Lora | None = None,
    epochs: EpochStore | None = None,
    outcome: Outcome,
) -> Iterator[Progress]:
    """Run the method's passes over `problem.model`, in place, until they end or the budget is spent.

    Yields a `Progress` after each epoch. `epochs` resumes inside the first pass only: trainings have just one.
    With `lora` the model carries adapters until the end, and plain weights after it.

    Raises:
        Diverged: when a loss or a gradient norm is not finite.
    """
    charge_passes(problem.model, problem.budget)
    optimizer: torch.optim.Optimizer | None = None
    curriculum = SuperLossWeights(superloss, problem.num_classes, problem.control_generator()) if superloss else None
    moved = add_adapters(problem.model, lora) if lora else None
    outcome.parameters = sum(p.numel() for p in problem.model.parameters() if p.requires_grad)
    compiled = CompiledModel(problem.model, problem.budget) if settings.compile else None
    try:
        problem.precision = settings.precision
        if forget_curriculum:
            with problem.budget.charging():
                problem = with_curriculum(problem, forget_curriculum)
        for number, current in enumerate(_charged_passes(method, problem)):
            if optimizer is None or current.optimizer == "fresh":
                optimizer = _optimizer(problem.model, current)
            store = epochs if number == 0 else None
            runner = _PassRunner(problem, current, optimizer, settings, curriculum, outcome, store, compiled)
            yield from runner.run()
    except BudgetSpent:
        outcome.stop_reason = "budget"
    stop_charging(problem.budget)  # what follows only looks at the model
    for p in problem.model.parameters():
        p.grad = None
    if moved is not None:
        merge_adapters(problem.model, moved)
    if not bool(torch.stack([torch.isfinite(p).all() for p in problem.model.parameters()]).all()):
        raise Diverged(f"a weight is not finite after step {outcome.steps}")


def _charged_passes(method: Method, problem: UnlearningProblem) -> Iterator[Pass]:
    """The method's passes; its own code before, between and after them is charged."""
    with problem.budget.charging():
        passes = iter(method.passes(problem))
    while True:
        with problem.budget.charging():
            current = next(passes, None)
        if current is None:
            return
        yield current


def _moving(model: Classifier, current: Pass) -> list[torch.nn.Parameter]:
    return [p for p in (current.parameters or model.parameters()) if p.requires_grad]


def _optimizer(model: Classifier, current: Pass) -> torch.optim.Optimizer:
    parameters = _moving(model, current)
    return torch.optim.AdamW(
        parameters, lr=current.learning_rate, weight_decay=current.weight_decay, fused=_fused(parameters)
    )


def _fused(parameters: list[torch.nn.Parameter]) -> bool:
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)


def _draws(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's own generators, the host's and the device's: dropout draws from them."""
    host = {"cpu": torch.get_rng_state()}
    return {**host, "cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else host


def _draw_on(draws: dict[str, Tensor], device: torch.device) -> None:
    """Go on from there; a device of another kind than before keeps its own."""
    torch.set_rng_state(draws["cpu"])
    if device.type == "cuda" and "cuda" in draws:
        torch.cuda.set_rng_state(draws["cuda"], device)


def _rank(scores: Scores) -> float:
    """Order epochs by accuracy; ties go to the smaller loss."""
    return scores.accuracy - 1e-6 * min(scores.loss, 1e3)


def learning_rate_factor(step: int, steps: int, schedule: str, warmup_share: float) -> float:
    """Factor of the learning rate at `step` (from 0) of `steps`: linear warm-up, then constant or linear to 0."""
    warmup = math.ceil(warmup_share * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 1.0 if schedule == "constant" else max(0.0, (steps - step) / max(1, steps - warmup))


@dataclass
class _PassRunner:
    """One pass under way."""

    problem: UnlearningProblem
    current: Pass
    optimizer: torch.optim.Optimizer
    settings: LoopSettings
    curriculum: SuperLossWeights | None
    outcome: Outcome
    store: EpochStore | None
    compiled: CompiledModel | None

    def run(self) -> Iterator[Progress]:
        current, budget = self.current, self.problem.budget
        per_epoch = math.ceil(len(current.over) / current.batch_size)
        steps, first_epoch, best, best_weights = per_epoch * current.epochs, 0, -math.inf, None
        if self.store and (state := self.store.load()):
            first_epoch, best, best_weights = self._restore(state)
        spent = False
        for epoch in range(first_epoch, current.epochs):
            self.problem.model.train()
            total, count = 0.0, 0
            for index, batch in enumerate(current.over.batches(current.batch_size, self.problem.generator)):
                if spent := budget.spent:
                    break
                factor = learning_rate_factor(epoch * per_epoch + index, steps, current.schedule, current.warmup_share)
                for group in self.optimizer.param_groups:
                    group["lr"] = current.learning_rate * factor
                self._warm_up(batch)
                with budget.charging(len(batch)):
                    loss = self._step(batch)
                total, count = total + loss, count + 1
                self.outcome.steps += 1
            scores = self._scores() if current.keep_best and not spent and self._may_score() else None
            if scores is not None and (rank := _rank(scores)) > best:
                best = rank
                best_weights = {name: value.detach().clone() for name, value in self.problem.model.state_dict().items()}
            if self.store and not spent:
                self.store.save(self._state(epoch + 1, best, best_weights))
            accuracy = None if scores is None else scores.accuracy
            loss = total / max(1, count)
            yield Progress(current.name, epoch, current.epochs, self.outcome.steps, loss, budget.used, accuracy)
            if spent := spent or budget.spent:
                break
        if best_weights is not None:
            self.problem.model.load_state_dict(best_weights)
        if spent:
            raise BudgetSpent

    def _step(self, batch: Batch) -> float:
        model, current = self.problem.model, self.current
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(batch)
        if current.before_step:
            current.before_step(model)
        norm = torch.nn.utils.clip_grad_norm_(_moving(model, current), self.settings.clip_norm)
        self.optimizer.step()
        if current.after_step:
            current.after_step(model, self.optimizer)
        # Read last, and together: each read waits for the device. A step that diverged is the trial's last.
        value, size = torch.stack([loss.double(), sent(norm, loss.device).double()]).tolist()
        if not (math.isfinite(value) and math.isfinite(size)):
            raise Diverged(f"the loss is {value} at step {self.outcome.steps + 1} of pass {current.name}")
        return float(value)

    def _backward(self, batch: Batch) -> Tensor:
        """Leave the gradients of the batch's loss, which is returned; micro-batches add up to the same sums.

        Only dropout and SpecAugment tell them from the whole batch: their draws come in another order.
        """
        model, current = self.problem.model, self.current
        parts = batch.parts(self.settings.micro_batch)
        ahead = self._sigma_ahead(parts, batch) if self.curriculum and len(parts) > 1 else None
        total: Tensor | None = None
        for number, part in enumerate(parts):
            difficulty = self._difficulty(part)
            if ahead is not None:
                sigma = ahead[number]
            elif self.curriculum:
                sigma = self.curriculum.weights(difficulty, part.forget_on_host)
            else:
                sigma = torch.ones_like(difficulty)
            scale = torch.full_like(difficulty, current.retain_weight).masked_fill(part.is_forget, current.forget_sign)
            loss = (scale * sigma * difficulty).sum() / len(batch)
            if current.l1_penalty and number == 0:
                loss = loss + current.l1_penalty * torch.stack([p.abs().sum() for p in _moving(model, current)]).sum()
            if loss.requires_grad:  # a batch of D_r alone with λ = 0 has no gradient
                loss.backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        return total

    def _difficulty(self, part: Batch) -> Tensor:
        model = self.compiled.for_part(part, self._full_size) if self.compiled else self.problem.model
        with self.problem.autocast():
            return self.current.loss(model, part)

    @property
    def _full_size(self) -> int:
        return min(self.current.batch_size, self.settings.micro_batch or self.current.batch_size)

    def _warm_up(self, batch: Batch) -> None:
        """Compile, or run the first kernels of a GPU, off the clock."""
        part = batch.parts(self.settings.micro_batch)[0]
        if self.compiled and len(part) == self._full_size and self.compiled.is_new(part):
            self.problem.warm_up(part, backward=True, model=self.compiled.for_part(part, self._full_size))
        self.problem.warm_up(part, backward=True)

    def _sigma_ahead(self, parts: list[Batch], batch: Batch) -> Sequence[Tensor]:
        """σ of each micro-batch.

        τ needs the whole batch's losses, so a forward without gradients finds them first, with the random draws that
        the steps will repeat. Its seconds are charged, its samples are not: memory is no part of the algorithm.
        """
        assert self.curriculum is not None
        with torch.no_grad(), same_draws_again(batch.features.device), self.problem.budget.uncounted():
            difficulty = torch.cat([self._difficulty(part) for part in parts])
        return torch.split(self.curriculum.weights(difficulty, batch.forget_on_host), [len(part) for part in parts])

    def _may_score(self) -> bool:
        """Whether the budget leaves room to score an epoch; one without a score is kept if no other has one."""
        return not (self.current.choice_charged and self.problem.budget.spent)

    def _scores(self) -> Scores:
        problem = self.problem
        return (problem.evaluate if self.current.choice_charged else problem.evaluate_uncharged)(problem.validation)

    @property
    def _device(self) -> torch.device:
        return next(self.problem.model.parameters()).device

    def _state(self, epoch: int, best: float, best_weights: dict[str, Tensor] | None) -> dict[str, Any]:
        budget = self.problem.budget
        return {
            "epoch": epoch,
            "best": best,
            "best_weights": best_weights or {},
            "steps": self.outcome.steps,
            "weights": self.problem.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.problem.generator.get_state(),
            "draws": _draws(self._device),
            "meter": [budget.seconds, budget.thirds, budget.evaluation_seconds, budget.preparation_seconds],
            "stored": self.problem.artifacts_to_store or {},
        }

    def _restore(self, state: dict[str, Any]) -> tuple[int, float, dict[str, Tensor] | None]:
        budget = self.problem.budget
        self.problem.model.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.problem.generator.set_state(state["generator"])
        _draw_on(state["draws"], self._device)
        budget.seconds, budget.thirds, budget.evaluation_seconds, budget.preparation_seconds = state["meter"]
        if self.problem.artifacts_to_store is not None:
            self.problem.artifacts_to_store.update({name: value.clone() for name, value in state["stored"].items()})
        self.outcome.steps = state["steps"]
        return state["epoch"], state["best"], state["best_weights"] or None
