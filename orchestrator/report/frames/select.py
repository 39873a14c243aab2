"""Which rows are in tables, and on which line: a method, its modifiers, and the settings that differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from methods.engine.rates import SHARES
from orchestrator.results.schema import SCHEMA

REQUEST = ["task", "backbone", "unlearning", "forget_rule", "requested_forget_ratio"]
CELL = ["training", *REQUEST, "requests_before", "forget_classes", "seed"]
"""One forget set of one original, which every method shares."""

PAPER_ORDER = ("original", "retrain", "grad_ascent", "random_label", "bad_teacher", "scrub", "salun")
REFERENCES = ("original", "retrain")
NAMES = {"speaker": "speakers", "entity": "entities", "canary": "canaries", "ids": "utterances"}
"""Kinds of requests that name what they are for, and several of it."""
LISTED = 3  # names in the name of a request


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Convert rows to plain types: numbers as float64, text and truth values without nulls; absent columns are null.

    `task_name` is a copy of `task`, which `scope` may replace by a title. The rule of a request for a part of the
    wrong labels names that part, and of one for classes, speakers, entities, canaries or listed utterances what it is
    for where that differs: such requests are not compared with those for others.
    """
    columns: dict[str, pd.Series[Any]] = {}
    for field in SCHEMA:
        found = (
            rows[field.name] if field.name in rows else pd.Series([None] * len(rows), index=rows.index, dtype=object)
        )
        if pa.types.is_string(field.type):
            columns[field.name] = found.astype(object).where(found.notna(), "").astype(str)
        elif pa.types.is_boolean(field.type):
            columns[field.name] = found.astype(object).where(found.notna(), False).astype(bool)
        else:
            columns[field.name] = pd.to_numeric(found.astype(object).where(found.notna(), float("nan"))).astype(
                "float64"
            )
    frame = pd.DataFrame(columns).reset_index(drop=True)
    frame["seed"] = frame["seed"].fillna(-1).astype(int)
    if "sweeps" in rows:  # joined from the records of launches
        frame["sweeps"] = rows["sweeps"].to_numpy()
    frame["task_name"] = frame["task"]
    shares = frame["known_share"]
    frame["forget_rule"] = frame["forget_rule"].where(shares.isna(), [f"{100 * s:.3g} % known" for s in shares])
    _name_requests(frame)
    frame["training"] = frame["training"].replace("", "standard")  # rows from before there were kinds of training
    return frame


def _name_requests(frame: pd.DataFrame) -> None:
    """Name requests of one kind by what they are for, where that differs within a task: names, or how many."""
    columns = (frame[name] for name in ("unlearning", "forget_classes", "recipe"))
    said = [_request_name(kind, classes, recipe) for kind, classes, recipe in zip(*columns, strict=True)]
    names = pd.Series(said, frame.index, dtype=object)
    mixed = names.groupby([frame["task"], frame["unlearning"]]).transform("nunique") > 1
    frame["forget_rule"] = frame["forget_rule"].where(~(mixed & names.notna()), names)


def _request_name(kind: str, classes: str, recipe: str) -> str | None:
    """Return what a request is for, such as `3 classes`; None for other kinds, and if its classes are not known."""
    if kind == "class" and classes:
        count = classes.count(",") + 1
        return f"{count} {'classes' if count > 1 else 'class'}"
    return request_name(kind, recipe) if kind in NAMES else None


def request_name(kind: str, recipe: str) -> str:
    """Return `2 speakers`, `lisbon`, or for long lists their size and a digest.

    Args:
        kind: one of `NAMES`.
        recipe: of a row.
    """
    settings = (json.loads(recipe or "{}").get("forget") or {}).get("settings", {})
    many = NAMES[kind]
    if named := settings.get("ids" if kind == "ids" else many):
        digest = hashlib.sha256("\n".join(named).encode()).hexdigest()
        return ", ".join(named) if len(named) <= LISTED else f"{len(named)} {many} {digest[:6]}"
    if digest := settings.get("file_sha256"):
        return f"list {digest[:6]}"
    count = settings.get(f"num_{many}", 1)
    return f"{count} {kind if count == 1 else many}"


def reported(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that tables are made of, and those that a newer run supersedes.

    They have five more columns: `variant`, the key of a method with its modifiers and settings; `label`, its name in
    tables, made of the method's label, `modifiers` and `varied` (settings in which lines differ); and `order`.

    Args:
        rows: as `prepare` returns them.
    """
    in_tables = rows["stage"].isin(["retrain", "unlearn"]) & ~rows["tuning"] & ~_only_for_searches(rows)
    frame = rows[in_tables].reset_index(drop=True)
    if frame.empty:
        return frame.assign(variant="", label="", modifiers="", varied="", order=0), frame
    frame["modifiers"] = [" + ".join(modifiers(row)) for row in frame.to_dict("records")]
    varied, names = _varied_settings(frame), _method_labels(frame)
    frame["varied"] = [", ".join(f"{name} {value_text(value)}" for name, value in settings) for settings in varied]
    places = [
        (PAPER_ORDER.index(m) if m in PAPER_ORDER else len(PAPER_ORDER), names[m], modified, _sortable(settings))
        for m, modified, settings in zip(frame["method"], frame["modifiers"], varied, strict=True)
    ]
    ranks = {place: rank for rank, place in enumerate(sorted(set(places)))}
    frame["order"] = [ranks[place] for place in places]
    parts = list(zip(frame["method"], frame["modifiers"], frame["varied"], strict=True))
    frame["variant"] = ["|".join(part) for part in parts]
    frame["label"] = [label_of(names[method], *rest) for method, *rest in parts]
    frame = frame.sort_values(["order", "finished_at", "trial_id"], ignore_index=True)
    older = frame.duplicated(["variant", *CELL], keep="last")
    return frame[~older].reset_index(drop=True), frame[older].reset_index(drop=True)


def label_of(name: str, modifiers: str, varied: str) -> str:
    """Compose a line's label of the parts that are there: `SCRUB + SuperLoss (epochs 3)`."""
    return " + ".join(part for part in (name, modifiers) if part) + (f" ({varied})" if varied else "")


def modifiers(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    """Name what was applied to a row's method: `SuperLoss`, `easy first`, `LoRA`."""
    superloss, curriculum = (json.loads(row[modifier] or "{}") for modifier in ("superloss", "curriculum"))
    found = []
    if superloss:
        code = " (MU-Bench code)" if superloss.get("tau") == "mubench" else ""
        found.append(f"SuperLoss{code}{' (shuffled)' if superloss.get('shuffled') else ''}")
    if curriculum:
        order = curriculum["order"]
        found.append("random order" if order == "random" else order.replace("_", " "))
    return (*found, *(name for key, name in (("lora", "LoRA"), ("best_epoch", "best epoch")) if row[key]))


def with_modifiers(name: str, row: Mapping[Hashable, Any]) -> str:
    """Add a row's modifiers to the name of its method: `SCRUB + SuperLoss + LoRA`."""
    return " + ".join([name, *modifiers(row)])


def _only_for_searches(rows: pd.DataFrame) -> pd.Series[bool]:
    """Find retrained models that only a search needed: tuning seeds are never reported."""
    key = ["training", "task", "backbone", "unlearning", "seed"]
    searched = set(rows.loc[rows["stage"] == "tune", key].itertuples(index=False, name=None))
    unlearned = set(rows.loc[rows["stage"] == "unlearn", key].itertuples(index=False, name=None))
    own = [k in searched and k not in unlearned for k in rows[key].itertuples(index=False, name=None)]
    return (rows["stage"] == "retrain") & pd.Series(own, index=rows.index, dtype=bool)


def _method_labels(frame: pd.DataFrame) -> dict[str, str]:
    """Return a label for every method; a row whose process died has none."""
    labels = {method: method for method in frame["method"]}
    labels.update({m: label for m, label in zip(frame["method"], frame["method_label"], strict=True) if label})
    return labels


def _varied_settings(frame: pd.DataFrame) -> list[list[tuple[str, Any]]]:
    """Return for each row the settings, by name, in which runs of one method on one forget set differ.

    Settings that differ only between cells, such as values tuned for each backbone, do not split a line.
    """
    settings = [_flat(row) for row in frame.to_dict("records")]
    found: list[list[tuple[str, Any]]] = [[] for _ in settings]
    same = ["training", "task", "unlearning", "forget_rule", "method", "modifiers"]
    for _, line in frame.groupby(same, dropna=False):
        varied: set[str] = set()
        for members in line.groupby(CELL, dropna=False).indices.values():
            varied |= differing([settings[line.index[i]] for i in members])
        for i in line.index:
            found[i] = [(name, settings[i][name]) for name in sorted(varied) if name in settings[i]]
    return found


def _flat(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["settings"] or "{}")
    found |= {rate: "auto" for rate, share in SHARES.items() if share in found}  # its number is that of the original
    found |= dict.fromkeys(json.loads(row["tuned_settings"] or "[]"), "tuned")  # a search chose it, cell by cell
    for knob in ("superloss", "curriculum", "lora", "best_epoch"):
        found |= {f"{knob}.{k}": v for k, v in json.loads(row[knob] or "{}").items()}
    found |= {f"training.{k}": v for k, v in json.loads(row["original_settings"] or "{}").items()}
    recipe = json.loads(row["recipe"] or "{}")
    for part in ("clip", "loop"):
        found |= {f"{part}.{k}": v for k, v in recipe.get(part, {}).items() if k != "threads"}  # which only round
    units = [unit for unit in ("samples", "seconds") if pd.notna(row[f"budget_{unit}"])]  # none: it failed before that
    if units:
        found["budget"] = f"{row['budget_fraction']:g} × {units[0]}"
    if pd.notna(row["original_seed"]):
        found["original_seed"] = int(row["original_seed"])
    return found


def differing(several: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the keys in which mappings are not all equal."""
    first, *others = several
    return {key for other in others for key in {*first, *other} if first.get(key) != other.get(key)}


def _sortable(settings: Iterable[tuple[str, Any]]) -> tuple[tuple[str, float, str], ...]:
    """Make settings comparable: numbers by size, anything else by spelling."""
    return tuple((n, v, "") if isinstance(v, int | float) else (n, 0.0, str(v)) for n, v in settings)


def value_text(value: Any) -> str:
    """Write the value of a setting as labels have it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
