"""Sequences of requests among the rows: which rows are steps of one, by what was forgotten before each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

History = tuple[str, ...]  # requests as canonical JSON, a row's own last


@dataclass(frozen=True)
class RequestSequence:
    """Requests that were applied one after another."""

    name: str
    steps: int  # as many as were planned
    rows: pd.DataFrame  # of its steps, with `request`: 1 for the first


def sequences(rows: pd.DataFrame) -> list[RequestSequence]:
    """Find sequences of which a second request has a row, by name; the beginning of a longer one is part of that.

    Sequences with the same beginning share its trials, and a request alone is the beginning of a sequence,
    so a row may be a step of several.

    Args:
        rows: of one task, as `select.prepare` returns them.
    """
    if not (rows["requests_before"] != "").any():
        return []
    histories = [_history(row) for row in rows.to_dict("records")]
    known = {history for history in histories if len(history) > 1}
    found = []
    for history in sorted(known):
        if any(other[: len(history)] == history != other for other in known):
            continue
        length = [len(h) if h and history[: len(h)] == h else 0 for h in histories]
        own = rows.assign(request=length)
        own = own[own["request"] > 0]
        last = own[own["request"] == len(history)]
        steps = max([len(history), *(int(planned) for planned in last["sequence_steps"].dropna())])
        found.append(RequestSequence(max(last["sequence"]), steps, own))
    return _with_names_of_their_own(sorted(found, key=lambda one: one.name))


def is_later_request(rows: pd.DataFrame) -> pd.Series[bool]:
    """Find rows of second and later requests: they are compared within their own sequence only."""
    return rows["requests_before"] != ""


def _history(row: Mapping[Hashable, Any]) -> History:
    """Return a row's requests; empty if the row does not contain its own."""
    forget = json.loads(row["recipe"] or "{}").get("forget")
    if not forget:
        return ()
    requests = [*json.loads(row["requests_before"] or "[]"), forget["settings"]]
    return tuple(json.dumps(request, sort_keys=True) for request in requests)


def _with_names_of_their_own(found: list[RequestSequence]) -> list[RequestSequence]:
    """Make names unique: if two sweeps give different sequences one name, the second becomes `name (2)`."""
    times: Counter[str] = Counter()
    named = []
    for one in found:
        times[one.name] += 1
        name = one.name if times[one.name] == 1 else f"{one.name} ({times[one.name]})"
        named.append(RequestSequence(name, one.steps, one.rows))
    return named
