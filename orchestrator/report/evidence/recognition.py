"""Recognizers by trial: canaries against controls, and WER on D_t by speaker role and by attributes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from orchestrator.evidence.canary_tests import (
    EXACT,
    EXPOSURE,
    MASKED_EXPOSURE,
    PLAYED,
    RECOVERED,
    against_never,
)
from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.speaker_roles import FORGOTTEN, KEPT, UNHEARD
from orchestrator.evidence.wer import edits, errors_by_group
from orchestrator.evidence.wer_intervals import wer_difference
from orchestrator.plan.spec import stage_seed
from orchestrator.report.evidence.audit_columns import ROLES
from orchestrator.report.evidence.model_index import ReadOutputs, Row
from orchestrator.report.evidence.probes import ReadTable
from orchestrator.report.evidence.table import Column
from orchestrator.report.frames.gaps import reference_ids
from orchestrator.report.frames.recognition import TRANSCRIPTS, WORDS

PREFIXES = ("canary_", "wer_by_", "wer_minus_", "wer_of_")
"""What the names of all these columns begin with."""
GROUPS = {"forgotten": "forgotten", "kept": "kept", "never": "never trained on"}
PARTS = {"forget": "D_f", "test": "D_t"}
MOST_VALUES = 12  # of an attribute that has a column for each
NO_GROUPS = ("canary", "template")  # attributes that say what is said
FEWEST_WORDS = 100  # of a group in the spread of WER between groups


def with_recognition(rows: pd.DataFrame, read: ReadOutputs, read_tests: ReadTable) -> pd.DataFrame:
    """Add columns of canaries and of groups; return the rows unchanged if there is nothing of a recognizer.

    `canary_TEST_GROUP` is the mean over the canaries of D_f, of D_r, or those never trained on, `canary_TEST_auc` how
    well the test separates the canaries of D_f from those never trained on, `canary_TEST_kept_auc` those of D_r.
    `wer_of_ROLE` is WER on D_t by the speaker's role, `wer_by_ATTRIBUTE_VALUE` by an attribute of up to twelve values,
    and `wer_by_ATTRIBUTE` the largest minus the smallest of groups with a hundred words or more.
    `wer_minus_retrain_PART` is WER on D_f or D_t minus Retrain's, in points, with a paired interval over speakers.

    Args:
        rows: of `select.reported`.
        read: stored outputs of a trial by id, None where there are none.
        read_tests: its tests, likewise: columns test, measure, value.
    """
    found = []
    done = rows.assign(retrained=reference_ids(rows))[(rows["status"] == "done") & (rows["task_kind"] == TRANSCRIPTS)]
    for row in done.to_dict("records"):
        outputs, tests = read(row["trial_id"]), read_tests(row["trial_id"])
        figures = {} if tests is None else canary_figures(tests)
        figures |= {} if outputs is None or outputs.hypotheses is None else _by_group(outputs.part("test"))
        figures |= {} if outputs is None else _against_retrain(row, outputs, read(str(row["retrained"])))  # type: ignore[arg-type]
        if figures:
            found.append({"trial_id": row["trial_id"], **figures})
    return rows.merge(pd.DataFrame(found), on="trial_id", how="left") if found else rows


def canary_figures(tests: pd.DataFrame) -> dict[str, float]:
    """Return one trial's figures of canaries: means over a canary's recordings first, then over canaries."""
    own = tests[tests["measure"].str.fullmatch(rf"(?:{'|'.join(GROUPS)})/.+", na=False)]
    figures: dict[str, float] = {}
    for test, of_test in own.groupby("test"):
        name, by_canary = f"canary_{_slug(str(test))}", of_test.groupby("measure")["value"].mean()
        groups = {g: by_canary[by_canary.index.str.startswith(f"{g}/")].to_numpy(dtype=np.float64) for g in GROUPS}
        figures |= {f"{name}_{g}": float(np.nanmean(values)) for g, values in groups.items() if len(values)}
        for group, title in (("forgotten", ""), ("kept", "kept_")):
            if len(groups[group]) and len(groups["never"]):
                separated = against_never(groups[group], groups["never"]).auc
                found = {"auc": separated.value, "low": separated.low, "high": separated.high}
                figures |= {f"{name}_{title}{key}": value for key, value in found.items()}
    return figures


def recognition_columns(figures: Sequence[str]) -> dict[str, tuple[Column, ...]]:
    """Group the columns that the rows have into tables, by title."""
    groups = {
        "Canary exposure with the secret masked, in bits": _of_test(MASKED_EXPOSURE, 2, 1),
        "Canary exposure on the recording itself, in bits": _of_test(EXPOSURE, 2, 1),
        **{f"Secrets of canaries recovered, secret {played}, in %": _recovered(played) for played in PLAYED[1:]},
        "WER minus Retrain's, in points": tuple(
            Column(f"wer_minus_retrain_{part}", title, 1, against_retrain=True, interval=f"wer_minus_retrain_{part}")
            for part, title in PARTS.items()
        ),
        "WER on D_t by speaker, in %": tuple(Column(f"wer_of_{role}", title, 1, 100) for role, title in ROLES.items()),
    }
    of_values = [name for name in figures if name.startswith("wer_by_")]
    if of_values:
        titles = {name: name.removeprefix("wer_by_").replace("_", " ") for name in of_values}
        groups["WER on D_t by group, in %"] = tuple(Column(name, title, 1, 100) for name, title in titles.items())
    found = {title: tuple(c for c in columns if c.name in figures) for title, columns in groups.items()}
    return {title: columns for title, columns in found.items() if columns}


def canary_column(test: str, group: str) -> str:
    """Return the name of a column of means: of a test, and a key of `GROUPS`."""
    return f"canary_{_slug(test)}_{group}"


def _of_test(test: str, digits: int, scale: float) -> tuple[Column, ...]:
    name = f"canary_{_slug(test)}"
    means = [Column(canary_column(test, group), title, digits, scale) for group, title in GROUPS.items()]
    return (
        *means,
        Column(f"{name}_auc", "AUC, forgotten", 2, interval=name),
        Column(f"{name}_kept_auc", "AUC, kept", 2, interval=f"{name}_kept"),
    )


def _recovered(played: str) -> tuple[Column, ...]:
    """Return shares of words and of whole secrets; those of other secrets are in evidence.csv."""
    words, exact = (_of_test(f"{what}, {played}", 1, 100) for what in (RECOVERED, EXACT))
    exact = tuple(replace(column, title=f"whole: {column.title}") for column in exact[: len(GROUPS)])
    words = tuple(replace(column, title=f"words: {column.title}") for column in words)
    return (*words[: len(GROUPS)], *exact, *words[len(GROUPS) :])


def _by_group(tested: Outputs) -> dict[str, float]:
    if not len(tested) or tested.references is None or tested.hypotheses is None:
        return {}
    found = edits(tested.references, tested.hypotheses, tested.utterance_ids)
    figures: dict[str, float] = {}
    if tested.speaker_roles is not None:
        by_role = errors_by_group(found, tested.speaker_roles)
        for role in (r for r in (KEPT, FORGOTTEN, UNHEARD) if r in by_role):
            figures |= {f"wer_of_{role}": by_role[role].wer, f"wer_of_{role}{WORDS}": by_role[role].words}
    about: Any = tested.attributes if tested.attributes is not None else []
    for attribute in sorted({name for one in about for name in one} - set(NO_GROUPS)):
        values = np.array([str(one.get(attribute) or "") for one in about])
        if 1 < len(set(values)) <= MOST_VALUES:
            groups = errors_by_group(found, values)
            named = {f"wer_by_{attribute}_{value or 'none'}": errors.wer for value, errors in groups.items()}
            rates = [errors.wer for value, errors in groups.items() if value and errors.words >= FEWEST_WORDS]
            figures |= {f"wer_by_{attribute}": max(rates) - min(rates) if len(rates) > 1 else np.nan, **named}
    return figures


def _against_retrain(row: Row, own: Outputs, target: Outputs | None) -> dict[str, float]:
    """Subtract Retrain's WER on the same utterances; nothing for Retrain itself."""
    if row["method"] == "retrain" or target is None or own.hypotheses is None or target.hypotheses is None:
        return {}
    seed = stage_seed("word errors", row["task_name"], row["seed"]) % 2**32
    figures: dict[str, float] = {}
    for part in PARTS:
        mine, theirs = own.part(part), target.part(part)
        if len(mine) and set(mine.utterance_ids) == set(theirs.utterance_ids):
            units = mine.utterance_ids if mine.speakers is None else mine.speakers
            this, that = (
                edits(side.references, side.hypotheses, side.utterance_ids)  # type: ignore[arg-type]
                for side in (mine, theirs.at(mine.utterance_ids))
            )
            found = wer_difference(this, that, units, seed=seed)
            values = {"": found.value, "_low": found.low, "_high": found.high}
            figures |= {f"wer_minus_retrain_{part}{end}": 100 * value for end, value in values.items()}
            figures[f"wer_minus_retrain_{part}{WORDS}"] = int(this.words.sum())
    return figures


def _slug(test: str) -> str:
    return re.sub(r"\W+", "_", test)
