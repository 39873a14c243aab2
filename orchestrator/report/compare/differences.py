"""Compare results: settings that differ, figures with intervals of their differences, and trials that only one has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.evidence.paired import ALPHA, Paired, compare_paired, holm
from orchestrator.report.charts.data import block_key
from orchestrator.report.compare.sources import Source
from orchestrator.report.frames.gaps import DECIMALS
from orchestrator.report.frames.summary import Summary, summarize
from orchestrator.report.tables.columns import FORGET, GAP, MIA, RETAIN, SECONDS, TEST, Measure
from orchestrator.report.tables.model import Block, Line

MEASURES = (TEST, FORGET, RETAIN, MIA, SECONDS, GAP)
UNSET = "unset"


@dataclass(frozen=True)
class Setting:
    """A setting in which sources differ; a value for each source."""

    where: str
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """A source's figure minus the first source's, over the seeds and backbones that both have."""

    found: Paired
    adjusted: float = float("nan")  # p-value after Holm's correction over all differences of the measure

    @property
    def apart(self) -> bool:
        """Whether the two are statistically distinguishable."""
        return self.adjusted < ALPHA


@dataclass(frozen=True)
class Figure:
    """One measure of one line of a table, in the measure's unit; None where a source does not have it."""

    task: str
    block: str
    line: str
    measure: Measure
    values: tuple[Summary | None, ...]
    differences: tuple[Difference | None, ...]  # of the sources after the first


@dataclass(frozen=True)
class Comparison:
    """What changed."""

    sources: tuple[Source, ...]
    settings: tuple[Setting, ...]
    figures: tuple[Figure, ...]
    only: tuple[pd.DataFrame, ...]  # rows of trials that no other source has
    shared: int  # trials that all have


def compare(sources: Sequence[Source]) -> Comparison:
    """Compare sources with the first of them."""
    ids = [set(source.report.selected.rows["trial_id"]) for source in sources]
    only = []
    for place, source in enumerate(sources):
        others = set().union(*(own for other, own in enumerate(ids) if other != place))
        rows = source.report.selected.rows
        only.append(rows[~rows["trial_id"].isin(others)].reset_index(drop=True))
    shared = len(set.intersection(*ids))
    settings = (*_of_sweeps(sources), *_of_lines(sources))
    return Comparison(tuple(sources), settings, tuple(_figures(sources)), tuple(only), shared)


def _of_sweeps(sources: Sequence[Source]) -> list[Setting]:
    """Compare the values of the sweeps that launches recorded, joined where a source has several."""
    flat = []
    for source in sources:
        own: dict[str, set[str]] = {}
        for record in source.report.selected.records:
            if not record.is_search:
                for name, value in _flat(record.values):
                    own.setdefault(name, set()).add(value)
        flat.append({name: " or ".join(sorted(values)) for name, values in own.items()})
    return _differing("sweep", flat)


def _of_lines(sources: Sequence[Source]) -> list[Setting]:
    """Compare the settings of lines of the same name, as their rows have them."""
    tables = [_settings_of_lines(source) for source in sources]
    shared = [line for line in tables[0] if all(line in other for other in tables[1:])]
    return [setting for line in shared for setting in _differing(line, [table[line] for table in tables])]


def _settings_of_lines(source: Source) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, set[str]]] = {}
    for row in source.report.lines.to_dict("records"):
        own = found.setdefault(f"{row['task']}, {row['label']}", {})
        parts: dict[str, Any] = json.loads(row["settings"] or "{}")
        for name in ("superloss", "curriculum", "lora", "best_epoch"):
            parts |= {name: json.loads(row[name])} if row[name] else {}
        parts |= {"training": json.loads(row["original_settings"] or "{}")}
        for name, value in _flat(parts):
            own.setdefault(name, set()).add(value)
    return {line: {name: " or ".join(sorted(v)) for name, v in own.items()} for line, own in found.items()}


def _differing(where: str, several: Sequence[Mapping[str, str]]) -> list[Setting]:
    names = sorted({name for own in several for name in own})
    rows = [Setting(where, name, tuple(own.get(name, UNSET) for own in several)) for name in names]
    return [row for row in rows if len(set(row.values)) > 1]


def _flat(values: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield names with dots for depth, and values as text; a list is one value."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _flat(value, f"{at}.{name}" if at else str(name))
    else:
        yield at, values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)


def _figures(sources: Sequence[Source]) -> list[Figure]:
    lines = [_lines(source) for source in sources]
    keys = list(dict.fromkeys(key for own in lines for key in own))
    found = []
    for measure in MEASURES:
        of_measure = [figure for key in keys if (figure := _figure(key, measure, lines)) is not None]
        found += _corrected(of_measure)
    return sorted(found, key=lambda one: keys.index((one.task, one.block, one.line)))


def _lines(source: Source) -> dict[tuple[str, str, str], tuple[Block, Line]]:
    """Return the lines of each task's first table, and of each sequence's, by task, block and label."""
    found: dict[tuple[str, str, str], tuple[Block, Line]] = {}
    seen = set()
    for table in source.report.tables:
        if (table.task, table.sequence) in seen:
            continue
        seen.add((table.task, table.sequence))
        for block in table.blocks:
            for line in block.lines:
                task = f"{table.task}, {table.sequence}" if table.sequence else table.task
                found[task, block_key(block), line.label] = (block, line)
    return found


def _figure(
    key: tuple[str, str, str], measure: Measure, lines: Sequence[Mapping[Any, tuple[Block, Line]]]
) -> Figure | None:
    there = [own.get(key) for own in lines]
    units = [None if one is None else _units(*one, measure) for one in there]
    values = tuple(None if own is None or own.empty else summarize(_means(own).to_numpy()) for own in units)
    if all(value is None for value in values):
        return None
    first = units[0]
    apart = [None if first is None or own is None else _paired(own, first) for own in units[1:]]
    return Figure(*key, measure, values, tuple(apart))


def _units(block: Block, line: Line, measure: Measure) -> pd.Series[float]:
    """Return a measure's values by backbone and seed, in its unit."""
    return block.means.units(line.variant, "seeds")[measure.column].dropna() * measure.scale


def _means(values: pd.Series[float]) -> pd.Series[float]:
    """Average over the seeds of each backbone, if there are several backbones."""
    by_backbone = values.groupby(level="backbone").mean()
    return by_backbone if len(by_backbone) > 1 else values


def _paired(mine: pd.Series[float], first: pd.Series[float]) -> Difference | None:
    """Subtract on the seeds and backbones that both have; None if there are none."""
    apart = (mine - first).dropna().round(DECIMALS)
    return None if apart.empty else Difference(compare_paired(_means(apart).to_numpy()))


def _corrected(figures: Sequence[Figure]) -> list[Figure]:
    """Correct p-values for the number of differences of a measure."""
    places = [
        (number, place)
        for number, figure in enumerate(figures)
        for place, one in enumerate(figure.differences)
        if one is not None
    ]
    raw = [one.found.p for figure in figures for one in figure.differences if one is not None]
    adjusted = dict(zip(places, holm(raw), strict=True))
    return [
        replace(
            figure,
            differences=tuple(
                None if one is None else replace(one, adjusted=adjusted[number, place])
                for place, one in enumerate(figure.differences)
            ),
        )
        for number, figure in enumerate(figures)
    ]


def is_changed(figure: Figure) -> bool:
    """Return whether a figure differs at all between sources, or is missing in one."""
    missing = any(value is None for value in figure.values)
    return missing or any(one is None or not np.isclose(one.found.mean, 0, atol=1e-9) for one in figure.differences)
