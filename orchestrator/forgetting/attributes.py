"""Attributes of recordings, such as accent, pitch or noise: a value or a band of numbers that some of them have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.forgetting.requests import ForgetRequest
from orchestrator.tasks.sources.tables import text

OTHERS = "others"  # the group of recordings outside a band
SHOWN = 20  # values in a message

Column = npt.NDArray[Any]


@dataclass(frozen=True)
class Attribute:
    """A value of a column, or a band of numbers: `at_least` ≤ x < `below`."""

    name: str
    value: str = ""
    at_least: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        if self.value:
            return f"{self.name} = {self.value}"
        low = "" if self.at_least is None else f"{self.at_least:g} ≤ "
        high = "" if self.below is None else f" < {self.below:g}"
        return f"{low}{self.name}{high}"

    def holds(self, column: Column) -> npt.NDArray[np.bool_]:
        """Return which of N utterances have it, from the column (N,); a missing value has it never."""
        if self.value:
            return np.array([text(found) == self.value for found in column], dtype=bool)
        numbers = column.astype(np.float64)
        low = -np.inf if self.at_least is None else self.at_least
        high = np.inf if self.below is None else self.below
        return np.asarray((numbers >= low) & (numbers < high))  # NaN is in no band

    def groups(self, column: Column) -> npt.NDArray[Any]:
        """Return the group (N,) of each utterance: its own value, or in or outside the band; empty where missing."""
        values = np.array([text(found) for found in column], dtype=object)
        if self.value:
            return values
        return np.where(self.holds(column), str(self), np.where(values == "", "", OTHERS)).astype(object)


def attribute_of(
    request: ForgetRequest, columns: Mapping[str, Column], rows: npt.NDArray[np.int64], rng: np.random.Generator
) -> Attribute:
    """Return the attribute that a request names, with a value drawn among those of `rows` where it leaves that open.

    Raises:
        ValueError: there is no such column, no utterance with that value, or a band of a column that has no numbers.
    """
    name = str(request.attribute)
    if name not in columns:
        known = ", ".join(columns) or "none"
        raise ValueError(f"the corpus has no attribute {name!r}; its attributes: {known}. Name one of them")
    column = columns[name]
    has_numbers = np.issubdtype(column.dtype, np.number)
    banded = request.at_least is not None or request.below is not None
    if banded:
        if not has_numbers:
            raise ValueError(f"attribute {name} has no numbers, so it has no band; give `value:`, or leave it out")
        return Attribute(name, at_least=request.at_least, below=request.below)
    values = sorted({text(value) for value in column[rows]} - {""})
    if request.value is None:
        if has_numbers:
            raise ValueError(f"attribute {name} has numbers; give a band with `at_least:` or `below:`, or a `value:`")
        if not values:
            raise ValueError(f"no utterance that is left has attribute {name}; name another one")
        return Attribute(name, str(rng.permutation(values)[0]))
    wanted = text(request.value)
    if wanted not in values:
        shown = ", ".join(values[:SHOWN]) + (", …" if len(values) > SHOWN else "")
        raise ValueError(f"no utterance that is left has {name} = {wanted}; values: {shown or 'none'}")
    return Attribute(name, wanted)
