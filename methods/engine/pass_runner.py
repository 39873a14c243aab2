"""Run one pass: epochs and steps, SuperLoss, clipping, micro-batches, the budget, and the choice of the best epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from methods.base import Batch, Classifier, Pass, Scores, UnlearningProblem
from methods.engine.budget import BudgetSpent
from methods.engine.compiled import CompiledModel
from methods.engine.epoch_state import epoch_state, restore_epoch_state
from methods.engine.records import Diverged, EpochStore, LoopSettings, Outcome, Progress
from methods.engine.schedule import learning_rate_factor
from methods.engine.transfer import sent
from methods.engine.warm_up import same_draws_again
from methods.modifiers.superloss import SuperLossWeights


def moving_parameters(model: Classifier, current: Pass) -> list[torch.nn.Parameter]:
    """Return the parameters that the pass trains."""
    return [p for p in (current.parameters or model.parameters()) if p.requires_grad]


def _rank(scores: Scores) -> float:
    """Order epochs by accuracy; of equal accuracies, the smaller loss wins."""
    return scores.accuracy - 1e-6 * min(scores.loss, 1e3)


@dataclass
class PassRunner:
    """The run of one pass; it changes the model, the optimizer, the budget and the outcome in place."""

    problem: UnlearningProblem
    current: Pass
    optimizer: torch.optim.Optimizer
    settings: LoopSettings
    superloss: SuperLossWeights | None
    outcome: Outcome
    store: EpochStore | None
    compiled: CompiledModel | None

    def run(self) -> Iterator[Progress]:
        """Train epoch by epoch, from a stored epoch if there is one; yield a `Progress` after each.

        Raises:
            BudgetSpent: when the budget is spent.
            Diverged: when a loss or a gradient norm is NaN or infinite.
        """
        current, budget = self.current, self.problem.budget
        per_epoch = math.ceil(len(current.over) / current.batch_size)
        steps, first_epoch, best, best_weights = per_epoch * current.epochs, 0, -math.inf, None
        if self.store and (state := self.store.load()):
            first_epoch, best, best_weights = restore_epoch_state(state, self.problem, self.optimizer, self.outcome)
        spent, ended = False, first_epoch
        for epoch in range(first_epoch, current.epochs):
            self.problem.model.train()
            total, count = 0.0, 0
            for index, batch in enumerate(current.over.batches(current.batch_size, self.problem.generator)):
                if spent := budget.spent:
                    break
                at = epoch * per_epoch + index
                factor = learning_rate_factor(at, steps, current.schedule, current.warmup_share, epoch, current.epochs)
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
                self.store.save(epoch_state(self.problem, self.optimizer, self.outcome, epoch + 1, best, best_weights))
            accuracy = None if scores is None else scores.accuracy
            loss = total / max(1, count)
            ended += not spent
            yield Progress(
                current.name, epoch, current.epochs, self.outcome.steps, loss, budget.used, accuracy, whole=not spent
            )
            if spent := spent or budget.spent:
                break
        if best_weights is not None:
            self.problem.model.load_state_dict(best_weights)
        if current.at_end and ended == current.epochs:
            with budget.charging():
                current.at_end(self.problem.model)
        if spent:
            raise BudgetSpent

    def _step(self, batch: Batch) -> float:
        model, current = self.problem.model, self.current
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(batch)
        if current.before_step:
            current.before_step(model)
        norm = torch.nn.utils.clip_grad_norm_(moving_parameters(model, current), self.settings.clip_norm)
        self.optimizer.step()
        if current.after_step:
            current.after_step(model, self.optimizer)
        # Read both at once and last, because each read waits for the device. A step that diverges is the trial's last.
        value, size = torch.stack([loss.double(), sent(norm, loss.device).double()]).tolist()
        if not (math.isfinite(value) and math.isfinite(size)):
            raise Diverged(f"the loss is {value} at step {self.outcome.steps + 1} of pass {current.name}")
        return float(value)

    def _backward(self, batch: Batch) -> Tensor:
        """Compute the gradients of the batch's loss and return the loss.

        Where the pass combines two gradients and the batch has utterances of D_f and of D_r, each set's is that of its
        own mean.
        """
        halves = [batch.forget_on_host, ~batch.forget_on_host]
        if self.current.combine is None or not all(bool(half.any()) for half in halves):
            return self._accumulate(batch)
        moving = moving_parameters(self.problem.model, self.current)
        losses, gradients = [], []
        for half in halves:
            losses.append(self._accumulate(batch.select(half)))
            gradients.append([torch.zeros_like(p) if p.grad is None else p.grad for p in moving])
            self.optimizer.zero_grad(set_to_none=True)
        for p, gradient in zip(moving, self.current.combine(*gradients), strict=True):
            p.grad = gradient
        return losses[0] + losses[1]

    def _accumulate(self, batch: Batch) -> Tensor:
        """Add the gradients of the batch's mean loss to those of the weights and return it; micro-batches are added up.

        The sums equal the whole batch's, except for dropout and SpecAugment, which draw in another order.
        """
        model, current = self.problem.model, self.current
        parts = batch.parts(self.settings.micro_batch)
        sigmas = self._sigmas(parts, batch) if self.superloss and len(parts) > 1 else None
        total: Tensor | None = None
        for number, part in enumerate(parts):
            difficulty = self._difficulty(part)
            if sigmas is not None:
                sigma = sigmas[number]
            elif self.superloss:
                sigma = self.superloss.weights(difficulty, part.forget_on_host)
            else:
                sigma = torch.ones_like(difficulty)
            scale = torch.full_like(difficulty, current.retain_weight).masked_fill(part.is_forget, current.forget_sign)
            loss = (scale * sigma * difficulty).sum() / len(batch)
            if current.l1_penalty and number == 0:
                loss = (
                    loss
                    + current.l1_penalty * torch.stack([p.abs().sum() for p in moving_parameters(model, current)]).sum()
                )
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
        """Compile the model, or load a GPU's first kernels, without charging the time."""
        part = batch.parts(self.settings.micro_batch)[0]
        if self.compiled and len(part) == self._full_size and self.compiled.is_new(part):
            self.problem.warm_up(part, backward=True, model=self.compiled.for_part(part, self._full_size))
        self.problem.warm_up(part, backward=True)

    def _sigmas(self, parts: list[Batch], batch: Batch) -> Sequence[Tensor]:
        """Compute σ of each micro-batch before the first backward.

        τ needs the losses of the whole batch, so a forward without gradients computes them first, with the random draws
        that the steps repeat. Its seconds are charged, its samples are not: memory is not part of the algorithm.
        """
        assert self.superloss is not None
        with torch.no_grad(), same_draws_again(batch.features.device), self.problem.budget.uncounted():
            difficulty = torch.cat([self._difficulty(part) for part in parts])
        return torch.split(self.superloss.weights(difficulty, batch.forget_on_host), [len(part) for part in parts])

    def _may_score(self) -> bool:
        """Return whether the budget allows scoring the epoch; without any score, the last weights are kept."""
        return not (self.current.choice_charged and self.problem.budget.spent)

    def _scores(self) -> Scores:
        problem = self.problem
        return (problem.evaluate if self.current.choice_charged else problem.evaluate_uncharged)(problem.validation)
