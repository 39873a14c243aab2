"""Which rows a page shows: of one sweep, or tuned ones only; titles for different things of one name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from orchestrator.report.frames.quality import without_weak_recognizers
from orchestrator.report.frames.select import differing, prepare
from orchestrator.report.frames.tuned import is_untuned_run
from orchestrator.results.store import Store
from orchestrator.results.sweep_records import SweepRecord, only_in_replaced, recorded_sweeps, records_of, with_sweeps

LOST = ("failed", "diverged", "blocked")


@dataclass(frozen=True)
class Selection:
    """What a page shows; everything by default."""

    sweep: str | None = None  # a name, or the title of an earlier plan (`keywords@1a2b3c4d`)
    tuned_only: bool = False


EVERYTHING = Selection()


@dataclass(frozen=True)
class Selected:
    """Rows of a results folder that a page shows, and the plans that they belong to."""

    rows: pd.DataFrame  # as `select.prepare` returns them, with `sweeps`
    records: tuple[SweepRecord, ...]  # of the sweeps that they are of; without plans that were replaced
    left_out: int  # runs of earlier plans only that failed, diverged or were blocked
    weak: tuple[str, ...] = ()  # which recognizers are not reported, and why

    @property
    def planned_seeds(self) -> dict[str, set[int]]:
        """Seeds to report, by task, of the sweeps that have rows of the task; the record of a search is left out."""
        seeds: dict[str, set[int]] = {}
        for task, of_task in self.rows.groupby("task"):
            have = set(of_task["trial_id"])
            for record in self.records:
                if not record.is_search and have & set(record.trials):
                    seeds.setdefault(str(task), set()).update(int(seed) for seed in record.values.get("seeds", ()))
        return seeds


def select(rows: pd.DataFrame, records: Sequence[SweepRecord] = (), selection: Selection = EVERYTHING) -> Selected:
    """Select rows; failures that only a replaced plan contains are left out, unless that plan is selected.

    Args:
        rows: as `Store.rows` returns them.
        records: as `sweep_records.recorded_sweeps` returns them.
        selection: what to keep.

    Raises:
        ValueError: no row belongs to the sweep, none is of a tuned run, or all are of recognizers that are too weak.
    """
    found = prepare(with_sweeps(rows, records))
    chosen = tuple(record for record in records if not record.replaced)
    given_up = only_in_replaced(records)
    if selection.sweep is not None:
        mine = tuple(records_of(records, selection.sweep))
        trials = {trial for record in mine for trial in record.trials}
        own = found["trial_id"].isin(trials) if mine else found["sweep"] == selection.sweep
        if not own.any():
            known = sorted({record.title for record in records} | set(found["sweep"]) - {""})
            raise ValueError(
                f"No run belongs to the sweep {selection.sweep!r}. Sweeps in this folder: {', '.join(known) or 'none'}."
            )
        found, chosen = found[own], mine
        given_up -= trials
    if selection.tuned_only:
        found = found[~is_untuned_run(found)]
        if not (found["lock"] != "").any():
            raise ValueError("No run has tuned settings; `unlearn tune SWEEP --results DIR` searches for them.")
    lost = found["trial_id"].isin(given_up) & found["status"].isin(LOST)
    kept, weak = without_weak_recognizers(found[~lost].reset_index(drop=True))
    if weak and kept.empty:
        raise ValueError(" ".join(weak))
    return Selected(with_own_titles(kept), chosen, int(lost.sum()), weak)


def select_stored(store: Store, selection: Selection = EVERYTHING) -> Selected:
    """Choose rows of a results folder by what its launches planned; see `select`.

    Raises:
        ValueError: no row belongs to the sweep, or none is of a tuned run.
    """
    return select(store.rows(), recorded_sweeps(store.files), selection)


def with_own_titles(rows: pd.DataFrame) -> pd.DataFrame:
    """Give tasks and backbones of one name but different settings or content titles of their own.

    Two sweeps of one folder may call two corpora alike; in one table, the later would replace the other. `task_name`
    remains the plug-in's name, from which seeds are derived. A corpus that only searches used has no title of its own.
    """
    recipes = [json.loads(text or "{}") for text in rows["recipe"]]
    corpora = _identities(recipes, "task", rows["corpus_fingerprint"])
    backbones = _identities(recipes, "backbone", rows["backbone_content"])
    titles = {
        "task": _titles(rows["task"], corpora, "corpus", _of_searches(rows, corpora)),
        "backbone": _titles(rows["backbone"], backbones, "weights", [False] * len(rows)),
    }
    return rows.assign(**titles)


def _of_searches(rows: pd.DataFrame, corpora: Sequence[Mapping[str, str]]) -> list[bool]:
    """Return whether a row's corpus is one on which searches ran, and no unlearning that is reported."""
    keys = [(name, *sorted(corpus.items())) for name, corpus in zip(rows["task"], corpora, strict=True)]
    of_stage = {
        stage: {key for key, own in zip(keys, rows["stage"], strict=True) if own == stage}
        for stage in ("tune", "unlearn")
    }
    only_searched = of_stage["tune"] - of_stage["unlearn"]
    return [key in only_searched for key in keys]


def _identities(recipes: Sequence[Mapping[str, Any]], part: str, content: pd.Series[str]) -> list[dict[str, str]]:
    """Return settings and content by name, as text; content alone if a row has no recipe."""
    found = []
    for recipe, fallback in zip(recipes, content, strict=True):
        plugin = recipe.get(part) or {}
        settings = {name: json.dumps(value, sort_keys=True) for name, value in plugin.get("settings", {}).items()}
        found.append({**settings, "": str(plugin.get("content") or fallback)})
    return found


def _titles(
    names: pd.Series[str], identities: Sequence[Mapping[str, str]], content: str, aside: Sequence[bool]
) -> list[str]:
    """Add to each name the settings in which its namesakes differ, or its content if only that differs.

    Rows that are left `aside` keep their name.
    """
    kinds: dict[str, dict[tuple[tuple[str, str], ...], Mapping[str, str]]] = {}
    keys = [tuple(sorted(identity.items())) for identity in identities]
    for name, key, identity, apart in zip(names, keys, identities, aside, strict=True):
        if not apart:
            kinds.setdefault(name, {})[key] = identity
    varied = {name: differing(list(several.values())) for name, several in kinds.items()}
    titles = []
    for name, key, apart in zip(names, keys, aside, strict=True):
        if apart:
            titles.append(name)
            continue
        own = dict(key)
        parts = [f"{part} {own.get(part, 'unset')}" for part in sorted(varied[name] - {""})]
        same_settings = [k for k in kinds[name] if all(dict(k).get(p) == own.get(p) for p in varied[name] - {""})]
        parts += [f"{content} {own[''][:8] or 'unknown'}"] if len(same_settings) > 1 else []
        titles.append(f"{name} ({', '.join(parts)})" if parts else name)
    return titles
