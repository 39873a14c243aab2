"""Evidence of forgetting, trial by trial: attacks on stored outputs, and distances to the Retrain of the same D_f."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestrator.evidence.distances import ks_distance, output_divergence, streisand
from orchestrator.evidence.lira import FEWEST, u_lira
from orchestrator.evidence.membership import matched_by_class
from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.pooled import Attacked
from orchestrator.evidence.rmia import rmia
from orchestrator.evidence.roc import auc, tpr_at_fpr
from orchestrator.evidence.signals import scaled_confidence, signals
from orchestrator.evidence.utility import conjunctive_gum, tug_of_war
from orchestrator.plan.spec import stage_seed
from orchestrator.report.compare import original_ids, reference_ids
from orchestrator.report.lines import REFERENCES

RATES = {"tpr_at_1_percent": 0.01, "tpr_at_0.1_percent": 0.001}
MOST_REFERENCES = 4  # of RMIA
MOST_SHADOWS = 64  # of U-LiRA, of either kind: the budget of models
CORPUS = ["task", "backbone", "corpus_fingerprint", "training"]
"""Trials that agree in these have seen the same utterances through the same front end, in the same kind of training."""

ReadOutputs = Callable[[str], Outputs | None]
Row = Mapping[str, Any]


def with_evidence(rows: pd.DataFrame, read: ReadOutputs) -> pd.DataFrame:
    """The rows with columns of evidence; null where a figure cannot be measured.

    Args:
        rows: of `compare.with_gaps`, as `lines.reported` picks them.
        read: stored outputs of a trial by id, None where there are none.
    """
    done = rows.assign(retrained=reference_ids(rows), untouched=original_ids(rows))[rows["status"] == "done"]
    records: list[Any] = done.to_dict("records")
    by_id: dict[str, Row] = {str(row["trial_id"]): row for row in records}
    found = []
    for trial_id, row in by_id.items():
        models = Models(row, by_id, read)
        figures = {"trial_id": trial_id, **models.attacks(), **models.distances(), **models.ulira()}
        found.append(figures | _in_one_number(row, by_id.get(row["retrained"]), by_id.get(row["untouched"])))
    return rows.merge(pd.DataFrame(found), on="trial_id", how="left")


@dataclass(frozen=True)
class Models:
    """One trial among those of its results folder."""

    row: Row
    others: Mapping[str, Row]  # by trial id
    read: ReadOutputs

    def attacks(self) -> dict[str, Any]:
        """AUC with interval, and true positive rates, of every attack on D_f against as many non-members a class."""
        outputs = self.read(self.row["trial_id"])
        if outputs is None or not (outputs.parts == "forget").any():
            return {}
        members, others, population = self._sides(outputs)
        figures: dict[str, Any] = {"attack_pairs": len(members)}
        scores = {name: (score, signals(others)[name]) for name, score in signals(members).items()}
        references = self._references(outputs.part("forget"))
        figures["rmia_references"] = len(references)
        if references and len(population):
            scores["rmia"] = tuple(_rmia(part, population, references) for part in (members, others))  # type: ignore[assignment]
        for name, sides in scores.items():
            estimate = auc(*sides)
            figures |= {f"{name}_auc": estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            figures |= {f"{name}_{title}": tpr_at_fpr(*sides, rate).value for title, rate in RATES.items()}
        return figures

    def loss_attack(self) -> Attacked | None:
        """The loss attack on all of D_f and all non-members, to be pooled over seeds; None without outputs."""
        outputs = self.read(self.row["trial_id"])
        if outputs is None:
            return None
        members, others = outputs.part("forget"), self._nonmembers(outputs)
        return Attacked(
            members=signals(members)["loss"],
            others=signals(others)["loss"],
            member_ids=members.utterance_ids,
            other_ids=others.utterance_ids,
            member_classes=members.labels,
            other_classes=others.labels,
        )

    def _nonmembers(self, outputs: Outputs) -> Outputs:
        """As the row's own attack takes them: of mislabelled D_f, those that were corrupted the same way."""
        outside = outputs.part(self.row["mia_reference"] or "holdout")
        wrong = outside.labels != outside.true_labels
        return outside.where(wrong) if self.row["unlearning"] == "mislabelled" and wrong.any() else outside

    def _sides(self, outputs: Outputs) -> tuple[Outputs, Outputs, Outputs]:
        """D_f and as many non-members of each class, drawn as for the row's `mia_auc`; a population that is neither."""
        inside, outside = outputs.part("forget"), self._nonmembers(outputs)
        seed = stage_seed("membership", self.row["task"], self.row["seed"]) % 2**32
        mine, theirs = matched_by_class(inside.labels, outside.labels, np.random.default_rng(seed))
        population = outputs.part(*({"validation", "test"} - {self.row["mia_reference"] or "holdout"}))
        return inside.where(mine), outside.where(theirs), population

    def _references(self, inside: Outputs) -> list[Outputs]:
        """Retrained models that never saw any of D_f: its own first, then by seed; never the attacked one."""
        own = [other for other in self.others.values() if other["method"] == "retrain" and self._same_corpus(other)]
        own.sort(key=lambda other: (other["trial_id"] != self.row["retrained"], other["seed"], other["trial_id"]))
        found: list[Outputs] = []
        for other in own:
            if other["trial_id"] == self.row["trial_id"] or len(found) == MOST_REFERENCES:
                continue
            outputs = self.read(other["trial_id"])
            if outputs is not None and np.isin(inside.utterance_ids, outputs.part("forget").utterance_ids).all():
                found.append(outputs)
        return found

    def _same_corpus(self, other: Row) -> bool:
        return all(other[name] == self.row[name] for name in CORPUS)

    def distances(self) -> dict[str, float]:
        """Jensen–Shannon, Kolmogorov–Smirnov and Streisand figures against Retrain on D_f; none for Retrain itself."""
        if self.row["method"] == "retrain" or self.row["retrained"] not in self.others:
            return {}
        outputs, target = self.read(self.row["trial_id"]), self.read(self.row["retrained"])
        if outputs is None or target is None:
            return {}
        mine, theirs = outputs.part("forget"), target.part("forget")
        if not len(mine) or set(mine.utterance_ids) != set(theirs.utterance_ids):
            return {}
        theirs = theirs.at(mine.utterance_ids)
        apart = streisand(np.exp(mine.label_log_probability), np.exp(theirs.label_log_probability))
        return {
            "js_retrain": float(output_divergence(mine, theirs).mean()),
            "ks_retrain": ks_distance(mine.label_log_probability, theirs.label_log_probability),
            **{f"streisand_{name}": value for name, value in asdict(apart).items()},
        }

    def ulira(self) -> dict[str, Any]:
        """AUC of telling this model from its Retrain on D_f by runs of other seeds that forgot the same utterances."""
        if self.row["method"] in REFERENCES or self.row["retrained"] not in self.others:
            return {}
        shadows = [other for other in self.others.values() if self._shadows(other)]
        pairs = [other for other in shadows if self.read(other["trial_id"]) is not None][:MOST_SHADOWS]
        outputs, target = self.read(self.row["trial_id"]), self.read(self.row["retrained"])
        if len(pairs) < FEWEST or outputs is None or target is None:
            return {}
        mine = outputs.part("forget")
        unlearned, retrained = (
            np.stack([_scaled_on(self.read(other[name]), mine.utterance_ids) for other in pairs])
            for name in ("trial_id", "retrained")
        )
        scores = [
            u_lira(phi, unlearned, retrained)
            for phi in (scaled_confidence(mine), _scaled_on(target, mine.utterance_ids))
        ]
        there = ~np.isnan(scores).any(axis=0)
        estimate = auc(*(side[there] for side in scores))
        figures = {"ulira_auc": estimate.value, "ulira_low": estimate.low, "ulira_high": estimate.high}
        return {**figures, "ulira_shadows": len(pairs), "ulira_utterances": int(there.sum())}

    def _shadows(self, other: Row) -> bool:
        same = ["line", "unlearning", "forget_rule", "requests_before"]
        ratios = [row["requested_forget_ratio"] for row in (self.row, other)]
        return (
            other["seed"] != self.row["seed"]
            and self._same_corpus(other)
            and all(other[name] == self.row[name] for name in same)
            and (ratios[0] == ratios[1] or bool(np.isnan(ratios).all()))
            and other["retrained"] in self.others
        )


def _rmia(part: Outputs, population: Outputs, references: Sequence[Outputs]) -> npt.NDArray[np.float64]:
    def confidence(outputs: Outputs, ids: Any) -> Any:
        return np.exp(outputs.at(ids).label_log_probability)

    return rmia(
        np.exp(part.label_log_probability),
        np.stack([confidence(outputs, part.utterance_ids) for outputs in references]),
        np.exp(population.label_log_probability),
        np.stack([confidence(outputs, population.utterance_ids) for outputs in references]),
    )


def _scaled_on(outputs: Outputs | None, utterance_ids: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """φ on these utterances; NaN where they are not in that model's own D_f."""
    values: dict[Any, float] = {}
    if outputs is not None:
        forgotten = outputs.part("forget")
        values = dict(zip(forgotten.utterance_ids, scaled_confidence(forgotten), strict=True))
    return np.array([values.get(name, np.nan) for name in utterance_ids])


def _in_one_number(row: Row, target: Row | None, original: Row | None) -> dict[str, float]:
    """ToW and CGUM."""
    if target is None or row["method"] == "retrain":
        return {}
    sets = ("forget", "retain", "test")
    accuracies, wanted = ({name: float(of[f"{name}_accuracy"]) for name in sets} for of in (row, target))
    found = {"tow": tug_of_war(accuracies, wanted)}
    if original is not None and row["method"] not in REFERENCES:
        found["cgum"] = conjunctive_gum(
            macro_f1=(row["test_macro_f1"], target["test_macro_f1"]),
            attack=(row["mia_accuracy"], target["mia_accuracy"], original["mia_accuracy"]),
            seconds=(row["optimisation_seconds"], target["optimisation_seconds"]),
            num_classes=int(row["num_classes"]),
        )
    return found
