"""Targets that differ for D_f: rows of a table by utterance, inserted into a batch without waiting for the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from methods.base import Batch
from methods.engine.transfer import sent


@dataclass(frozen=True)
class ForgetTable:
    """A table with one row of values per utterance of D_f, on the host or the device."""

    utterances: Int[Tensor, " n"]  # ascending, on the host
    values: Float[Tensor, "n *steps classes"]

    @classmethod
    def of(cls, utterances: Int[Tensor, " n"], values: Float[Tensor, "n *steps classes"]) -> ForgetTable:
        """Make a table from utterances in any order."""
        order = utterances.argsort()
        return cls(utterances[order], values[sent(order, values.device)])

    def put(self, batch: Batch, target: Float[Tensor, "batch *steps classes"]) -> Float[Tensor, "batch *steps classes"]:
        """Return `target` with the rows of D_f's utterances replaced by the table's."""
        own = batch.forget_on_host
        at = torch.searchsorted(self.utterances, batch.utterances[own])
        values = self.values[sent(at, self.values.device)]
        return target.index_copy(0, batch.places(own), sent(values, target.device).to(target.dtype))
