"""Whether attacks are sound: Retrain at chance on D_f, Original above it where the two differ, seeds pooled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.evidence.pooled import Attacked, pooled_auc, pooled_difference
from orchestrator.evidence.roc import FEWEST_PAIRS, Estimate
from orchestrator.report.evidence.model_index import ReadOutputs
from orchestrator.report.evidence.table import TOO_FEW
from orchestrator.report.evidence.trial import Models
from orchestrator.report.frames.summary import NOTHING, with_spread
from orchestrator.report.leaderboard.ranking import Cell
from orchestrator.report.tables.caption import REFERENCE_NAMES
from orchestrator.report.tables.columns import quality_of
from orchestrator.report.tables.markdown import escape, grid_markdown
from orchestrator.report.tables.significance import original_minus_retrain

ABOUT_ATTACKS = (
    "Threshold on log p_y, all of D_f against all non-members of the same class, seeds pooled; brackets are 95 % "
    "intervals over utterances (DeLong's). If Retrain is not at chance, D_f and non-members differ in more than "
    "membership and no AUC of that cell can be interpreted; too few: fewer than "
    f"{FEWEST_PAIRS} distinct utterances on a side. The method: 'Pooling over seeds' in docs/evidence.md."
)


@dataclass(frozen=True)
class Sanity:
    """The loss attack on Original and Retrain of one cell, pooled over seeds."""

    cell: Cell
    reference: str  # who the non-members are: holdout or test
    runs: int
    members: int  # distinct utterances of D_f whose class has non-members
    others: int  # distinct non-members of those classes
    retrain: Estimate
    original: Estimate
    difference: Estimate  # Original minus Retrain on the same utterances

    @property
    def few(self) -> bool:
        """Whether there are too few pairs of a member and a non-member for any AUC."""
        return min(self.members, self.others) < FEWEST_PAIRS

    @property
    def at_chance(self) -> bool:
        """Whether Retrain's interval contains 0.5."""
        return self.retrain.low <= 0.5 <= self.retrain.high

    @property
    def above(self) -> bool:
        """Whether Original's interval is above 0.5."""
        return self.original.low > 0.5


def attack_sanity(cells: Sequence[Cell], read: ReadOutputs) -> list[Sanity]:
    """Attack each cell in which both models have outputs; seeds that lack either are left out of both."""
    found = []
    for cell in cells:
        scores = {method: _scores(cell, method, read) for method in ("original", "retrain")}
        seeds = sorted(set(scores["original"]) & set(scores["retrain"]))
        if not seeds:
            continue
        original, retrain = ([scores[method][seed] for seed in seeds] for method in ("original", "retrain"))
        found.append(
            Sanity(
                cell=cell,
                reference=" or ".join(sorted(set(cell.block.rows["mia_reference"]) - {""})),
                runs=len(seeds),
                members=_distinct((run.member_ids, run.member_classes, run.other_classes) for run in retrain),
                others=_distinct((run.other_ids, run.other_classes, run.member_classes) for run in retrain),
                retrain=pooled_auc(retrain),
                original=pooled_auc(original),
                difference=pooled_difference(original, retrain),
            )
        )
    return found


def sanity_markdown(found: Sequence[Sanity]) -> list[str]:
    """Write the section on the loss attack on Retrain and Original; nothing if no model has outputs."""
    if not found:
        return []
    difference = quality_of(found[0].cell.table.rows).difference
    titles = ["Cell", difference, "Non-members", "Runs", "D_f : others", "Retrain: AUC",
              "contains 0.5", "Original: AUC", "above 0.5", "Original − Retrain: AUC"]  # fmt: skip
    grid = []
    for one in found:
        differ = one.cell.forgettable
        row = [
            one.cell.name,
            with_spread(original_minus_retrain(one.cell.block)),
            REFERENCE_NAMES.get(one.reference, one.reference),
        ]
        row += [
            str(one.runs),
            f"{one.members} : {one.others}",
            TOO_FEW if one.few else _interval(one.retrain),
            NOTHING if one.few else "yes" if one.at_chance else "no",
        ]
        row += [
            TOO_FEW if one.few else _interval(one.original),
            ("yes" if one.above else "no") if differ and not one.few else NOTHING,
            TOO_FEW if one.few else _interval(one.difference),
        ]
        grid.append([escape(text) for text in row])
    measured = [one for one in found if not one.few]
    wanted = [one for one in measured if one.cell.forgettable]
    said = (
        f"Loss attack on Retrain: the pooled interval contains 0.5 in {sum(one.at_chance for one in measured)} of "
        f"{len(measured)} cells (19 of 20 should). On Original it is above 0.5 in {sum(one.above for one in wanted)} "
        f"of {len(wanted)} cells in which Original and Retrain differ on D_f by more than noise."
    )
    return [
        "## Are the attacks sound?",
        "",
        escape(said),
        "",
        grid_markdown(titles, grid),
        "",
        escape(ABOUT_ATTACKS),
        "",
    ]


def _distinct(sides: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> int:  # type: ignore[type-arg]
    """Count utterances of a side, over all runs, whose class the other side has."""
    return len({name for ids, own, other in sides for name in ids[np.isin(own, other)]})


def _scores(cell: Cell, method: str, read: ReadOutputs) -> dict[tuple[int, float, str], Attacked]:
    """Return attacks by seed, requested share and forgotten classes: a seed may have several forget sets."""
    rows = cell.block.rows
    own = rows[(rows["method"] == method) & (rows["status"] == "done")]
    keys = zip(own["seed"], own["requested_forget_ratio"].fillna(0.0), own["forget_classes"], strict=True)
    runs = (Models(row, read).loss_attack() for row in own.to_dict("records"))  # type: ignore[arg-type]
    return {key: run for key, run in zip(keys, runs, strict=True) if run is not None and run.measured}


def _interval(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" if found.value == found.value else NOTHING
