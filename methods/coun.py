"""CoUn: train on D_r with labels and contrast between views, so that D_f falls to where D_r is like it.

Source: Khalil, Setayesh and Li, NeurIPS 2025 (arXiv 2509.16391): cross-entropy on D_r + λ_c · InfoNCE between two
augmented views of each utterance of D_r; D_f is not used. No code of the authors was found; the values of τ and λ_c
are this project's.
Differs: a view is masked in time and, where features have channels, over channels, by the utterance's mean
(SpecAugment, arXiv 1904.08779), which fits waveforms, log-mel and frames alike. The negatives are a queue of the last
views, held fixed (as in MoCo, arXiv 1911.05722, without its second encoder), not the rest of the batch, so that an
utterance's loss does not depend on its batch. The contrast is on what the head reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from methods.base import Batch, Classifier, Method, Pass, SearchSpace, UnlearningProblem
from methods.engine.losses import label_loss
from methods.engine.rates import Rate
from methods.engine.schedule import RateSchedule, epoch_factor
from methods.engine.setting_rules import added_later
from methods.engine.transfer import sent

SPANS = 2  # masks on each axis of a view


def masked_view(
    features: Float[Tensor, "batch time ..."],
    lengths: Int[Tensor, " batch"],
    places: Float[Tensor, "batch spans axes"],
    time_share: float,
    channel_share: float,
) -> Float[Tensor, "batch time ..."]:
    """Return features with spans of the given shares replaced by the utterance's mean; places are in [0, 1)."""
    steps = torch.arange(features.shape[1], device=features.device)
    shape = (len(features), -1, *[1] * (features.ndim - 2))
    valid = (steps < lengths[:, None]).view(shape)
    mean = (features * valid).sum(dim=1, keepdim=True) / lengths.clamp(min=1).view(shape)
    masked = _spans(places[..., 0], lengths, time_share, steps).view(shape)
    if features.ndim > 2:
        channels = torch.arange(features.shape[-1], device=features.device)
        counts = torch.full_like(lengths, features.shape[-1])
        over = _spans(places[..., 1], counts, channel_share, channels)
        masked = masked | over.view(len(features), *[1] * (features.ndim - 2), -1)
    return torch.where(masked & valid, mean.to(features.dtype), features)


def _spans(places: Tensor, lengths: Tensor, share: float, steps: Tensor) -> Tensor:
    """Return a (batch, steps) mask that is true in one of the spans, each `share` of its row's length, rounded down."""
    width = (share * lengths).floor()[:, None]
    starts = (places * (lengths[:, None] - width + 1)).floor()[..., None]
    return ((steps >= starts) & (steps < starts + width[..., None])).any(dim=1)


def info_nce(
    view: Float[Tensor, "batch width"], other: Float[Tensor, "batch width"], negatives: Float[Tensor, "batch n"]
) -> Float[Tensor, " batch"]:
    """Return −log of the share of e^(view · other) among it and e^negatives; all are divided by τ before."""
    same = (view * other).sum(dim=1, keepdim=True)
    return torch.cat([same, negatives], dim=1).logsumexp(dim=1) - same.squeeze(1)


@dataclass
class ViewQueue:
    """The last views of D_r, normalized, which later views are told from."""

    size: int
    utterances: Int[Tensor, " n"]  # on the host
    views: Float[Tensor, "n width"]
    waiting: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # of this step

    def likeness(self, view: Tensor, batch: Batch) -> Float[Tensor, "batch n"]:
        """Return the products with the queue, −∞ with views of the same utterance."""
        same = sent(batch.utterances[:, None] == self.utterances, view.device)
        return (view @ self.views.to(view.dtype).T).masked_fill(same, -torch.inf)

    def note(self, batch: Batch, view: Tensor) -> None:
        """Keep a view of a step's utterances until the step is made."""
        if torch.is_grad_enabled():  # SuperLoss calls a loss once more, without
            self.waiting.append((batch.utterances, view.detach()))

    def move(self) -> None:
        """Take in the views of the step, and drop the oldest."""
        rows, views = zip(*self.waiting, strict=True)
        self.utterances = torch.cat([self.utterances, *rows])[-self.size :]
        self.views = torch.cat([self.views, *(view.to(self.views) for view in views)])[-self.size :]
        self.waiting.clear()


@dataclass(frozen=True, kw_only=True)
class CoUn(Method):
    """Epochs over D_r; an utterance costs two."""

    label: ClassVar[str] = "CoUn"
    version: ClassVar[int] = 1
    needs_classes: ClassVar[str] = "its head reads one vector per utterance, but a recognizer's reads each step"
    search_space: ClassVar[SearchSpace] = {
        "rate_share": (0.005, 1.0),
        "contrast_weight": (0.1, 10.0),
        "epochs": [1, 2, 3],
    }

    learning_rate: Rate = "auto"
    rate_share: float = 0.2  # of the original's own rate, while learning_rate is auto
    epochs: int = 2  # epochs over D_r
    batch_size: int = 32
    contrast_weight: float = 1.0  # λ_c
    temperature: float = 0.1  # τ
    queue: int = 256  # views of other utterances of D_r, at most all of it
    time_share: float = 0.1  # of an utterance, in each of two masks
    channel_share: float = 0.1  # of the channels, likewise
    retain_share: float = added_later(1.0)  # of D_r, drawn anew each epoch
    rate_schedule: RateSchedule = added_later("constant")  # falling: × (1 − e/E) in epoch e of E

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.queue < 1:
            raise ValueError(f"queue must be 1 or more, got {self.queue}")
        if self.contrast_weight < 0:
            raise ValueError(f"contrast_weight must be 0 or more, got {self.contrast_weight}")
        for name in ("time_share", "channel_share"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise ValueError(f"{name} must be in [0, 0.5], got {getattr(self, name)}")

    def passes(self, problem: UnlearningProblem) -> Iterator[Pass]:
        """Fill the queue, which is charged as a forward, then yield one pass per epoch."""
        rows, queue = problem.retain.utterances.sort().values, self.filled(problem)
        for epoch in range(self.epochs):
            drawn = torch.rand(len(rows), 2, SPANS, 2, generator=problem.generator)

            def contrast(model: Classifier, batch: Batch, drawn: Tensor = drawn) -> Tensor:
                places = sent(drawn[torch.searchsorted(rows, batch.utterances)], batch.features.device)
                shares = (self.time_share, self.channel_share)
                one, two = (masked_view(batch.features, batch.lengths, places[:, v], *shares) for v in (0, 1))
                embedded = model.embed(one, batch.lengths)
                losses = label_loss(model.head(embedded), batch.labels)
                views = [functional.normalize(e, dim=1) for e in (embedded, model.embed(two, batch.lengths))]
                queue.note(batch, views[1])
                scaled = [view / self.temperature for view in views]
                apart = [info_nce(s, views[1 - v], queue.likeness(s, batch)) for v, s in enumerate(scaled)]
                return losses + self.contrast_weight * (apart[0] + apart[1]) / 2

            yield Pass(
                name=f"contrast {epoch + 1}",
                over=problem.retain.drawn_anew(self.retain_share),
                loss=contrast,
                learning_rate=self.rate(problem) * epoch_factor(self.rate_schedule, epoch, self.epochs),
                batch_size=self.batch_size,
                after_step=lambda model, optimizer: queue.move(),
            )

    def filled(self, problem: UnlearningProblem) -> ViewQueue:
        """Return a queue of drawn utterances of D_r, as they are, in eval mode."""
        problem.model.eval()
        rows, views = [], []
        for batch in problem.iterate(
            problem.retain.sample(self.queue, problem.generator), self.batch_size, backward=False
        ):
            with torch.no_grad():
                views.append(functional.normalize(problem.model.embed(batch.features, batch.lengths), dim=1))
            rows.append(batch.utterances)
        return ViewQueue(self.queue, torch.cat(rows), torch.cat(views))
