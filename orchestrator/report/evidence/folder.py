"""All evidence of a results folder: measured on its outputs and tests, or kept from a compacted file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import pandas as pd

from orchestrator.evidence.embeddings import Embeddings, parse_embeddings
from orchestrator.evidence.outputs import Outputs, parse_outputs
from orchestrator.evidence.roc import FEWEST_PAIRS
from orchestrator.report.charts.progress import ReadCurves
from orchestrator.report.evidence.audits import PREFIXES, with_audits
from orchestrator.report.evidence.embedded import ReadEmbeddings
from orchestrator.report.evidence.model_index import ReadOutputs
from orchestrator.report.evidence.probes import ReadTable, with_probes
from orchestrator.report.evidence.recognition import PREFIXES as OF_RECOGNIZERS
from orchestrator.report.evidence.recognition import with_recognition
from orchestrator.report.evidence.relative import CHECKS
from orchestrator.report.evidence.trial import with_evidence
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.scope import EVERYTHING, Selected, Selection, select_stored
from orchestrator.report.frames.select import reported
from orchestrator.results.curves import read_curves
from orchestrator.results.store import Store

FIGURES = "figures.parquet"
"""Of trials whose outputs are not in the folder: `trial_id`, `finished_at`, and a column for each figure."""
FROM_PAIRS = {
    "attack_pairs": ("loss_", "entropy_", "modified_entropy_", "rmia_", "mia_auc", "mia_accuracy", "cgum"),
    "ulira_utterances": ("ulira_",),
}
"""Columns that count pairs of a member and a non-member, and prefixes of the columns measured on these pairs."""
COUNTS = ("attack_pairs", "rmia_references", "ulira_shadows", "ulira_utterances")
KEPT, KEPT_EMBEDDINGS = 256, 16  # parsed files at once


@dataclass(frozen=True)
class FolderEvidence:
    """A folder's rows with evidence of forgetting, and readers of its outputs and tests."""

    rows: pd.DataFrame  # of `select.reported`, with a column for each figure
    figures: tuple[str, ...]  # the columns that are evidence
    read_outputs: ReadOutputs
    read_tests: ReadTable
    selected: Selected  # all selected rows, and what launches planned

    @property
    def done(self) -> pd.DataFrame:
        """Rows of trials that finished."""
        return self.rows[self.rows["status"] == "done"]


@dataclass(frozen=True)
class Readers:
    """Readers of what trials stored next to their rows; None where there is nothing."""

    outputs: ReadOutputs
    embeddings: ReadEmbeddings
    tests: ReadTable
    maps: ReadTable
    curves: ReadCurves


def readers_of(store: Store) -> Readers:
    """Make readers of a results folder; outputs are kept for a while once read."""

    @lru_cache(maxsize=KEPT)
    def outputs(trial_id: str) -> Outputs | None:
        found = store.read_table(store.outputs.path(trial_id)) if trial_id in known() else None
        return None if found is None else parse_outputs(found)

    @cache
    def known() -> set[str]:
        return store.outputs.ids()

    @lru_cache(maxsize=KEPT_EMBEDDINGS)
    def embeddings(trial_id: str) -> Embeddings | None:
        found = store.read_table(store.embeddings.path(trial_id)) if trial_id in embedded() else None
        return None if found is None else parse_embeddings(found)

    @cache
    def embedded() -> set[str]:
        return store.embeddings.ids()

    def table(name: str) -> pd.DataFrame | None:
        found = store.read_table(name)
        return None if found is None else found.to_pandas()

    @cache
    def tested() -> set[str]:
        return store.tests.ids()

    def tests(trial_id: str) -> pd.DataFrame | None:
        return table(store.tests.path(trial_id)) if trial_id in tested() else None

    def maps(trial_id: str) -> pd.DataFrame | None:
        return table(store.attribution_maps.path(trial_id))

    @cache
    def drawn() -> set[str]:
        return store.curves.ids()

    def curves(trial_ids: Sequence[str]) -> pd.DataFrame:
        return read_curves(store, [trial_id for trial_id in trial_ids if trial_id in drawn()])

    return Readers(outputs, embeddings, tests, maps, curves)


def folder_evidence(store: Store, selection: Selection = EVERYTHING) -> FolderEvidence:
    """Measure the evidence in a folder; nothing is trained.

    Raises:
        ValueError: there is no finished trial that forgot anything, or none of the selection.
    """
    selected = select_stored(store, selection)
    rows, _ = reported(with_gaps(selected.rows))
    if rows[rows["status"] == "done"].empty:
        raise ValueError(
            "There is no evidence: no finished trial forgot anything. Run one: `unlearn run SWEEP --results DIR`."
        )

    read, kept = readers_of(store), store.read_table(FIGURES)
    found = with_probes(with_evidence(rows, read.outputs), read.tests, read.maps)
    found = with_recognition(with_audits(found, read.outputs, read.embeddings), read.outputs, read.tests)
    found = with_kept(found, None if kept is None else kept.to_pandas())
    audits = sorted(
        name for name in map(str, found) if name.startswith((*PREFIXES, *OF_RECOGNIZERS))
    )  # those kept come in another order
    found = found[[name for name in found if name not in audits] + audits]
    figures = tuple(name for name in found.columns if name not in rows.columns)
    found = without_few_pairs(found.astype(dict.fromkeys(figures, "float64")))
    return FolderEvidence(found, figures, read.outputs, read.tests, selected)


def without_few_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Remove figures of attacks on fewer than `FEWEST_PAIRS` pairs; the numbers of pairs remain."""
    found = rows.copy()
    for counts, attacks in FROM_PAIRS.items():
        if counts in rows:
            names = [name for name in rows.columns if name.startswith(attacks) and name not in COUNTS]
            found.loc[rows[counts] < FEWEST_PAIRS, names] = float("nan")
    return found


def with_kept(found: pd.DataFrame, kept: pd.DataFrame | None) -> pd.DataFrame:
    """Fill in kept figures where none could be measured, except for trials that ran again."""
    if kept is None:
        return found
    own = found[["trial_id", "finished_at"]].merge(kept, on=["trial_id", "finished_at"], how="left")
    own.index = found.index
    names = [name for name in kept.columns if name not in ("trial_id", "finished_at")]
    filled = {name: found[name].combine_first(own[name]) if name in found else own[name] for name in names}
    for count in CHECKS:  # compacted files have fewer outputs to check with
        if count in found and count in names:
            more = own[count] > found[count].fillna(0)
            filled |= {n: filled[n].where(~more, own[n]) for n in (count, f"{count}_closer")}
    order = [*found.columns, *(name for name in filled if name not in found)]
    others = found.drop(columns=[name for name in filled if name in found])
    return pd.concat([others, pd.DataFrame(filled, index=found.index)], axis=1)[order]  # at once: there are hundreds
