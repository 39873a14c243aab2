"""Tests that trials ran on their models (relearning, probe, attribution, ZRF), compared with Retrain's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from orchestrator.evidence.attribution import attribution_similarity
from orchestrator.evidence.relearning import excess, recovery, relearning_delay
from orchestrator.report.evidence.table import Column
from orchestrator.report.frames.gaps import original_ids, reference_ids

ReadTable = Callable[[str], pd.DataFrame | None]
"""A trial's table by its id, or None: `evidence/<trial_id>.parquet`, or its attributions."""


def with_probes(rows: pd.DataFrame, read_tests: ReadTable, read_maps: ReadTable) -> pd.DataFrame:
    """Add what trials measured on their models as columns; return the rows unchanged if none did.

    `relearned_k` is accuracy on the 80 % of D_f that are never trained on, after the last epoch with k forgotten
    utterances, `recovery_k` the share of the lost accuracy that came back, `excess_k` that minus Retrain's.
    `attribution_forget` is the mean cosine with Original's attributions on D_f, `attribution_retain` on D_r.

    Args:
        rows: of `select.reported`.
        read_tests: columns test, measure, forgotten, epoch, value, utterances.
        read_maps: columns utterance_id, part, attribution.
    """
    done = rows[rows["status"] == "done"]
    tests = {str(trial): found for trial in done["trial_id"] if (found := read_tests(trial)) is not None}
    if not tests:
        return rows
    originals, retrained = (
        dict(zip(rows["trial_id"], ids(rows), strict=True)) for ids in (original_ids, reference_ids)
    )
    figures = {}
    for trial, found in tests.items():
        of_original = tests.get(str(originals[trial]))
        original = float("nan") if of_original is None else _value(of_original, "before relearning", "accuracy")
        figures[trial] = _figures(found, original)
        if trial != originals[trial]:
            figures[trial] |= _attributions(read_maps(trial), read_maps(str(originals[trial])))
    for trial, own in figures.items():
        target = figures.get(str(retrained[trial]), {}) if retrained[trial] != trial else {}
        shared = [name for name in own if name.startswith("recovery_") and name in target]
        own |= {name.replace("recovery", "excess"): excess(own[name], target[name]) for name in shared}
        if target:
            own |= _delays(
                found=tests[trial], retrained=tests[str(retrained[trial])], original=tests.get(str(originals[trial]))
            )
    table = pd.DataFrame([{"trial_id": trial, **own} for trial, own in figures.items()])
    return rows.merge(table, on="trial_id", how="left")


def probe_columns(columns: Sequence[str]) -> dict[str, tuple[Column, ...]]:
    """Group the columns of probes that the rows have into tables, by title."""

    def of(kind: str) -> list[tuple[str, str]]:
        return [(name, found[1]) for name in columns if (found := re.fullmatch(rf"{kind}_(\d+)", name))]

    relearned = [Column(name, f"k = {k}", 1, 100) for name, k in of("relearned")]
    back = [Column(name, f"k = {k}", 2) for name, k in of("recovery")]
    more = [Column(name, f"k = {k}", 2, against_retrain=True) for name, k in of("excess")]
    later = [Column(name, f"k = {k}", 1, against_retrain=True) for name, k in of("delay")]
    return {
        "Accuracy after relearning, in %": tuple(relearned),
        "Recovery": tuple(back),
        "Memorization recovery: recovery minus Retrain's": tuple(more),
        "Delay of relearning: epochs to 95 % of Original, minus Retrain's": tuple(later),
        "Representations": (
            Column("probe_auc", "probe AUC"), Column("attribution_forget", "attribution kept, D_f"),
            Column("attribution_retain", "attribution kept, D_r"),
        ),
    }  # fmt: skip


def relearning_curves(rows: pd.DataFrame, read: ReadTable) -> pd.DataFrame:
    """Return accuracy on the unseen 80 % of D_f after each epoch of relearning: one row a trial, k and epoch."""
    lead = ["trial_id", "training", "task", "backbone", "unlearning", "requested_forget_ratio"]
    lead += ["method", "label", "seed"]
    parts = []
    for trial in rows["trial_id"]:
        tests = read(str(trial))
        if tests is not None:
            own = tests[tests["test"] == "relearning"]
            parts.append(own[["forgotten", "epoch", "value", "utterances"]].assign(trial_id=trial))
    if not parts:
        return pd.DataFrame()
    curves = pd.concat(parts, ignore_index=True).rename(columns={"value": "accuracy"})
    return curves.merge(rows[lead], on="trial_id")[[*lead, "forgotten", "epoch", "accuracy", "utterances"]]


def _figures(tests: pd.DataFrame, original: float) -> dict[str, float]:
    """Return one trial's figures by column name; `original` is Original's accuracy on the same 80 % of D_f."""
    figures: dict[str, float] = {}
    before = _value(tests, "before relearning", "accuracy")
    for k, steps in tests[tests["test"] == "relearning"].groupby("forgotten"):
        after = float(steps.sort_values("epoch")["value"].iloc[-1])
        figures |= {f"relearned_{k:g}": after, f"recovery_{k:g}": recovery(after, before, original)}
    for test in ("probe", "zrf"):
        own = tests[tests["test"] == test]
        if len(own):
            figures["probe_auc" if test == "probe" else test] = float(own["value"].iloc[0])
    return figures


def _delays(found: pd.DataFrame, retrained: pd.DataFrame, original: pd.DataFrame | None) -> dict[str, float]:
    """Return how much later than Retrain a model relearns, by k that both were given."""
    if original is None:
        return {}
    before = _value(original, "before relearning", "accuracy")
    own, target = (_curves(tests) for tests in (found, retrained))
    return {f"delay_{k}": relearning_delay(own[k], target[k], before) for k in own if k in target}


def _curves(tests: pd.DataFrame) -> dict[str, list[float]]:
    """Return accuracies by epoch, for each k as columns name it."""
    relearning = tests[tests["test"] == "relearning"].sort_values("epoch")
    return {f"{k:g}": steps["value"].tolist() for k, steps in relearning.groupby("forgotten")}


def _value(tests: pd.DataFrame, test: str, measure: str) -> float:
    own = tests[(tests["test"] == test) & (tests["measure"] == measure)]["value"]
    return float(own.iloc[0]) if len(own) else float("nan")


def _attributions(these: pd.DataFrame | None, those: pd.DataFrame | None) -> dict[str, float]:
    """Average the similarity over the utterances that both have."""
    if these is None or those is None:
        return {}
    both = these.merge(those, on=["utterance_id", "part"], suffixes=("", "_original"))
    found = {}
    for part, own in both.groupby("part"):
        maps = (np.stack(list(own[name])) for name in ("attribution", "attribution_original"))
        found[f"attribution_{part}"] = float(np.nanmean(attribution_similarity(*maps)))
    return found
