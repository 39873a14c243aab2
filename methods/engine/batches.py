"""What a model reads: one batch of utterances, and sets of utterances that passes iterate over in batches.

Notation (docs/glossary.md): D_f forget set, D_r retain set, D_v validation set; B utterances in a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from methods.engine.length_buckets import bucketed, cut
from methods.engine.prefetch import one_ahead
from methods.engine.transfer import sent


class Classifier(Protocol):
    """The interface of a trainable speech classifier, which is also an `nn.Module`; every backbone builds one."""

    head: nn.Module
    adapter_targets: tuple[str, ...]

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Blocks from input to output, the head last (CF-k and EU-k take the last k)."""

    def __call__(
        self, features: Float[Tensor, "batch ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"]:
        """Return logits z."""

    def embed(
        self, features: Float[Tensor, "batch ..."], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Return what the head reads: one vector per utterance."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...  # noqa: D102
    def named_parameters(  # noqa: D102
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]: ...
    def train(self, mode: bool = True) -> Any: ...  # noqa: D102
    def eval(self) -> Any: ...  # noqa: D102
    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state_dict: Any, strict: bool = True) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class Batch:
    """B utterances, ready for a `Classifier`."""

    features: Float[Tensor, "batch ..."]
    lengths: Int[Tensor, " batch"]  # valid frames (or samples) of each row of `features`
    labels: Int[Tensor, "batch ..."]  # classes; or a recognizer's tokens (B, L), as `methods.engine.answers` has them
    is_forget: Bool[Tensor, " batch"]  # whether the utterance belongs to D_f
    utterances: Int[Tensor, " batch"]  # row in the corpus: a stable key for caches and label tables; on the host
    forget_on_host: Bool[Tensor, " batch"] = None  # type: ignore[assignment]  # `is_forget`, to be read without a wait

    def __post_init__(self) -> None:
        if self.forget_on_host is None:
            object.__setattr__(self, "forget_on_host", self.is_forget.cpu())

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, keep: Bool[Tensor, " batch"]) -> Batch:
        """Return the utterances for which `keep`, on the host, is true, in the same order."""
        places = self.places(keep)
        return Batch(
            features=self.features[places],
            lengths=self.lengths[places],
            labels=self.labels[places],
            is_forget=self.is_forget[places],
            utterances=self.utterances[keep],
            forget_on_host=self.forget_on_host[keep],
        )

    def places(self, keep: Bool[Tensor, " batch"]) -> Int[Tensor, " kept"]:
        """Return the rows for which `keep`, on the host, is true, as an index on the device."""
        return sent(keep.nonzero().flatten(), self.features.device)

    def cut(self, start: int, stop: int | None = None) -> Batch:
        """Return the utterances from `start` up to `stop`, without a copy."""
        return Batch(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})

    def parts(self, size: int | None) -> list[Batch]:
        """Return micro-batches of at most `size` utterances, in order; the batch itself if it is no larger."""
        if size is None or size >= len(self):
            return [self]
        return [self.cut(at, at + size) for at in range(0, len(self), size)]


class BatchSource(Protocol):
    """What a pass can iterate over: an `UtteranceSet`, or batches that a method made itself."""

    def __len__(self) -> int:
        """Return the number of utterances in one epoch."""

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield one epoch; shuffled if a generator is given. The last batch may be smaller; none is dropped."""


@dataclass(frozen=True)
class UtteranceSet:
    """A set of utterances of the corpus: D_f, D_r, D_v or a union of them."""

    utterances: Int[Tensor, " n"]
    labels: Int[Tensor, "n ..."]  # as in `Batch`
    is_forget: Bool[Tensor, " n"]
    fetch: Callable[..., tuple[Tensor, Tensor]]  # rows of the corpus (B,) -> features (B, ...), lengths (B,)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    durations: Int[Tensor, " n"] | None = None  # in any unit; when given, shuffled batches are of similar length
    prefetch: bool = False  # read and copy one batch ahead: for a GPU that features do not fit on
    retain_share: float = 1.0  # of its D_r part, drawn anew in each shuffled epoch; in order it is always whole
    random_crops: bool = False  # `fetch` takes a seed beside the rows, another one each epoch: random crops
    reorder: Callable[[UtteranceSet, Tensor], Tensor] | None = None  # a curriculum's order, made from a shuffled one

    def __len__(self) -> int:
        """Return the number of utterances in a shuffled epoch."""
        if self.retain_share == 1:
            return len(self.utterances)
        return int(self.is_forget.sum()) + self._drawn_count

    @property
    def _drawn_count(self) -> int:
        retain = int((~self.is_forget).sum())
        return min(retain, max(1, round(self.retain_share * retain)))

    def drawn_anew(self, retain_share: float) -> UtteranceSet:
        """Return the same set, of whose D_r part each shuffled epoch draws another share, without replacement."""
        return self if retain_share == self.retain_share else replace(self, retain_share=retain_share)

    def __add__(self, other: UtteranceSet) -> UtteranceSet:
        """Return the union, first `self` and then `other`; epochs shuffle it."""
        return replace(
            self,
            utterances=torch.cat([self.utterances, other.utterances]),
            labels=torch.cat([self.labels, other.labels]),
            is_forget=torch.cat([self.is_forget, other.is_forget]),
            durations=_joined(self.durations, other.durations),
            retain_share=min(self.retain_share, other.retain_share),  # D_f has none to draw
            reorder=self.reorder or other.reorder,
        )

    def select(self, keep: Bool[Tensor, " n"]) -> UtteranceSet:
        """Return the utterances for which `keep` is true, in the same order."""
        return replace(
            self,
            utterances=self.utterances[keep],
            labels=self.labels[keep],
            is_forget=self.is_forget[keep],
            durations=None if self.durations is None else self.durations[keep],
        )

    def sample(self, count: int, generator: torch.Generator) -> UtteranceSet:
        """Draw at most `count` utterances without replacement; they stay in the set's own order."""
        keep = torch.zeros(len(self.utterances), dtype=torch.bool)
        keep[torch.randperm(len(keep), generator=generator)[:count]] = True
        return self.select(keep)

    def _drawn(self, generator: torch.Generator) -> UtteranceSet:
        """Draw the part of one epoch, as a whole set."""
        keep, retain = self.is_forget.clone(), torch.nonzero(~self.is_forget).flatten()
        keep[retain[torch.randperm(len(retain), generator=generator)[: self._drawn_count]]] = True
        return replace(self, retain_share=1.0).select(keep)

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Yield one epoch over the set; if a generator is given, shuffled or in the order of the curriculum.

        One batch may be smaller; none is dropped.
        """
        picks: Sequence[Tensor]
        if generator is not None and self.retain_share < 1:
            yield from self._drawn(generator).batches(batch_size, generator)
            return
        if generator is None:
            picks = torch.split(torch.arange(len(self.utterances)), batch_size)
        elif self.durations is None:
            picks = torch.split(torch.randperm(len(self), generator=generator), batch_size)
        else:
            picks = bucketed(self.durations, batch_size, generator)
        if generator is not None and self.reorder is not None:
            picks = torch.split(self.reorder(self, torch.cat(list(picks))), batch_size)
        seed = [int(torch.randint(2**62, (), generator=generator)) if generator else 0] if self.random_crops else []
        made = (self._batch(picked, *seed) for picked in picks)
        yield from one_ahead(made) if self.prefetch else made

    def _batch(self, picked: Tensor, *seed: int) -> Batch:
        features, lengths = self.fetch(self.utterances[picked], *seed)
        if self.durations is not None:
            features = cut(features, lengths)
        return Batch(
            features=sent(features, self.device),
            lengths=sent(lengths, self.device),
            labels=sent(self.labels[picked], self.device),
            is_forget=sent(self.is_forget[picked], self.device),
            utterances=self.utterances[picked],
            forget_on_host=self.is_forget[picked],
        )


def _joined(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return None if one is None or other is None else torch.cat([one, other])
