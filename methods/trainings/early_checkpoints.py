"""Early checkpoints: standard training that also keeps intermediate weights and the loss of each utterance.

Source: Mu and Klabjan, Rewind-to-Delete, NeurIPS 2025 (arXiv 2409.09778): unlearning that starts from an earlier step;
Toneva et al., ICLR 2019 (arXiv 1812.05159): trajectories of utterances during training.
Differs: losses are those of the training steps (with dropout, before the step), which cost no forward of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from methods.base import Batch, Classifier, Pass, TrainingRecipe, UnlearningProblem
from methods.retrain import Retrain


@dataclass(frozen=True, kw_only=True)
class EarlyCheckpoints(TrainingRecipe):
    """Standard training, bit for bit, with artifacts for `rewind`.

    Kept: `at/<share>/<weight>` for each share; `losses` (epochs, n) in nats and `utterances` (n,), the rows of the
    corpus that its columns belong to.
    """

    label: ClassVar[str] = "early checkpoints"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = ""

    keep_at: tuple[float, ...] = (0.2, 0.4, 0.6)  # shares of the schedule's steps

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.keep_at or not all(0 < share < 1 for share in self.keep_at):
            raise ValueError(f"keep_at must be shares strictly between 0 and 1, got {list(self.keep_at)}")

    @property
    def kept_models(self) -> int:
        """One per share."""
        return len(self.keep_at)

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Yield Retrain's one pass, whose losses and weights are recorded."""
        for current in Retrain().passes(problem):
            yield (
                current
                if problem.artifacts_to_store is None
                else self._recorded(current, problem, problem.artifacts_to_store)
            )

    def _recorded(self, current: Pass, problem: UnlearningProblem, stored: dict[str, Tensor]) -> Pass:
        rows = problem.retain.utterances.sort().values
        per_epoch = -(-len(rows) // current.batch_size)
        due = {share: max(1, round(share * per_epoch * current.epochs)) for share in self.keep_at}
        stored.update(
            utterances=rows,
            losses=torch.full((current.epochs, len(rows)), torch.nan),
            steps=torch.zeros((), dtype=torch.int64),
        )

        seen: list[tuple[Tensor, Tensor]] = []  # utterances and losses of this epoch, which stay on the device

        def loss(model: Classifier, batch: Batch) -> Tensor:
            values = current.loss(model, batch)
            seen.append((batch.utterances, values.detach()))
            return values

        def after_step(model: Classifier, optimizer: torch.optim.Optimizer) -> None:
            stored["steps"] += 1
            step = int(stored["steps"])
            if step % per_epoch and step not in due.values():
                return
            with problem.budget.preparing():
                if step % per_epoch == 0:
                    columns = torch.searchsorted(stored["utterances"], torch.cat([rows for rows, _ in seen]))
                    losses = torch.cat([values for _, values in seen]).float().cpu()
                    stored["losses"][step // per_epoch - 1, columns] = losses
                    seen.clear()
                for share in (share for share, step in due.items() if step == int(stored["steps"])):
                    weights = model.state_dict().items()
                    stored.update({f"at/{share:g}/{name}": value.detach().cpu().clone() for name, value in weights})

        return replace(current, loss=loss, after_step=after_step)


def checkpoint(prepared: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the weights that were kept at a share of the schedule.

    Raises:
        ValueError: if none were kept at it.
    """
    lead = f"at/{share:g}/"
    found = {name.removeprefix(lead): value for name, value in prepared.items() if name.startswith(lead)}
    if not found:
        kept = sorted({name.split("/")[1] for name in prepared if name.startswith("at/")})
        raise ValueError(
            f"share must be one at which training kept weights ({', '.join(kept) or 'none'}), got {share:g}"
        )
    return found
