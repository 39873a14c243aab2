"""Evidence of forgetting by trial: attacks on stored outputs, and distances to the Retrain of the same D_f."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestrator.evidence.distances import ks_distance, output_divergence, streisand
from orchestrator.evidence.lira import u_lira
from orchestrator.evidence.membership import matched_by_class
from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.pooled import Attacked
from orchestrator.evidence.rmia import rmia
from orchestrator.evidence.roc import auc, tpr_at_fpr
from orchestrator.evidence.signals import signals
from orchestrator.evidence.utility import conjunctive_gum, tug_of_war
from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.plan.spec import stage_seed
from orchestrator.report.evidence.model_index import CORPUS, REQUEST, ReadOutputs, RetrainedModels, Row, Shadows, key_of
from orchestrator.report.frames.gaps import original_ids, reference_ids
from orchestrator.report.frames.select import REFERENCES

RATES = {"tpr_at_1_percent": 0.01, "tpr_at_0.1_percent": 0.001}


def with_evidence(rows: pd.DataFrame, read: ReadOutputs) -> pd.DataFrame:
    """Add columns of evidence; null where a figure cannot be measured.

    Args:
        rows: of `gaps.with_gaps`, as `select.reported` picks them.
        read: stored outputs of a trial by id, None where there are none.
    """
    done = rows.assign(retrained=reference_ids(rows), untouched=original_ids(rows))[rows["status"] == "done"]
    records: list[Any] = done.to_dict("records")
    by_id: dict[str, Row] = {str(row["trial_id"]): row for row in records}
    retrained = RetrainedModels(records, read)
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(records, key=lambda row: str(row["retrained"])):  # whose Retrain is the same stay together
        models = Models(row, read, by_id.get(row["retrained"]))
        numbers = _in_one_number(row, models.target, by_id.get(row["untouched"]))
        found[row["trial_id"]] = {**models.attacks(retrained), **models.distances(), **numbers}
    for trial_id, figures in _ulira(records, by_id, read).items():
        found[trial_id] |= figures
    return rows.merge(pd.DataFrame([{"trial_id": t, **f} for t, f in found.items()]), on="trial_id", how="left")


def _ulira(records: Sequence[Row], by_id: Mapping[str, Row], read: ReadOutputs) -> dict[str, dict[str, Any]]:
    """Compute the AUC of U-LiRA: each model against its Retrain on D_f, by other seeds that forgot the same."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in records:
        if row["method"] not in REFERENCES and row["retrained"] in by_id:
            groups[key_of(row, (*CORPUS, *REQUEST))].append(row)
    found = {}
    for group in groups.values():
        shadows = Shadows.of(group, read)
        for row in group:
            sides = shadows.against(row)
            if sides is None:
                continue
            mine, target, unlearned, retrained = sides
            scores = [u_lira(phi, unlearned, retrained) for phi in (mine, target)]
            there = ~np.isnan(scores).any(axis=0)
            estimate = auc(*(side[there] for side in scores))
            figures = {"ulira_auc": estimate.value, "ulira_low": estimate.low, "ulira_high": estimate.high}
            counts = {"ulira_shadows": len(unlearned), "ulira_utterances": int(there.sum())}
            found[row["trial_id"]] = {**figures, **counts}
    return found


def corrupted_alike(outside: Outputs, *, mislabeled: bool) -> Outputs:
    """Return the non-members to compare D_f with: for mislabeled D_f the mislabeled ones, if there are any."""
    wrong = outside.labels != outside.true_labels
    return outside.where(wrong) if mislabeled and wrong.any() else outside


def attacked_by_loss(members: Outputs, others: Outputs) -> Attacked:
    """Return what the loss attack on two sets of outputs of one model compares."""
    return Attacked(
        members=signals(members)["loss"],
        others=signals(others)["loss"],
        member_ids=members.utterance_ids,
        other_ids=others.utterance_ids,
        member_classes=members.labels,
        other_classes=others.labels,
    )


@dataclass(frozen=True)
class Models:
    """One trial, and the Retrain of its forget set."""

    row: Row
    read: ReadOutputs
    target: Row | None = None  # the row of its Retrain

    @property
    def attacked(self) -> Outputs | None:
        """Outputs of the utterances that attacks compare; None without outputs."""
        outputs = self.read(self.row["trial_id"])
        return None if outputs is None else outputs.without_canaries()

    def attacks(self, retrained: RetrainedModels) -> dict[str, Any]:
        """Compute AUC, interval and true positive rates of every attack on D_f, on as many non-members a class."""
        outputs = self.attacked
        if outputs is None or not (outputs.parts == "forget").any():
            return {}
        members, others, population = self.sides(outputs)
        figures: dict[str, Any] = {"attack_pairs": len(members)}
        scores = {name: (score, signals(others)[name]) for name, score in signals(members).items()}
        ids = retrained.references(self.row, outputs.part("forget").utterance_ids)
        references = [other for trial_id in ids if (other := self.read(trial_id)) is not None]
        figures["rmia_references"] = len(references)
        if references and len(population):
            scores["rmia"] = tuple(_rmia(part, population, references) for part in (members, others))  # type: ignore[assignment]
        for name, sides in scores.items():
            estimate = auc(*sides)
            figures |= {f"{name}_auc": estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            figures |= {f"{name}_{title}": tpr_at_fpr(*sides, rate).value for title, rate in RATES.items()}
        return figures

    def loss_attack(self) -> Attacked | None:
        """Return the loss attack on all of D_f and all non-members, for pooling over seeds; None without outputs."""
        outputs = self.attacked
        if outputs is None:
            return None
        return attacked_by_loss(outputs.part("forget"), self.nonmembers(outputs))

    def nonmembers(self, outputs: Outputs) -> Outputs:
        """Return the non-members of the row's own attack; for mislabeled D_f, those corrupted the same way."""
        outside = outputs.part(self.row["mia_reference"] or "holdout")
        return corrupted_alike(outside, mislabeled=self.row["unlearning"] in WRONG_LABELS)

    def sides(self, outputs: Outputs) -> tuple[Outputs, Outputs, Outputs]:
        """Return D_f and equally many non-members of each class, sampled as for `mia_auc`, and a population.

        Canaries are in none of them.
        """
        outputs = outputs.without_canaries()
        inside, outside = outputs.part("forget"), self.nonmembers(outputs)
        seed = stage_seed("membership", self.row["task_name"], self.row["seed"]) % 2**32
        mine, theirs = matched_by_class(inside.labels, outside.labels, np.random.default_rng(seed))
        population = outputs.part(*({"validation", "test"} - {self.row["mia_reference"] or "holdout"}))
        return inside.where(mine), outside.where(theirs), population

    def distances(self) -> dict[str, float]:
        """Compute Jensen–Shannon on D_f and D_t, Kolmogorov–Smirnov and Streisand on D_f; none for Retrain itself."""
        if self.row["method"] == "retrain" or self.target is None:
            return {}
        outputs, target = self.read(self.row["trial_id"]), self.read(self.target["trial_id"])
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
            **_js_on_test(outputs.part("test"), target.part("test")),
        }


def _js_on_test(mine: Outputs, theirs: Outputs) -> dict[str, float]:
    if not len(mine) or set(mine.utterance_ids) != set(theirs.utterance_ids):
        return {}
    return {"js_retrain_test": float(output_divergence(mine, theirs.at(mine.utterance_ids)).mean())}


def _rmia(part: Outputs, population: Outputs, references: Sequence[Outputs]) -> npt.NDArray[np.float64]:
    def confidence(outputs: Outputs, ids: Any) -> Any:
        return np.exp(outputs.at(ids).label_log_probability)

    return rmia(
        np.exp(part.label_log_probability),
        np.stack([confidence(outputs, part.utterance_ids) for outputs in references]),
        np.exp(population.label_log_probability),
        np.stack([confidence(outputs, population.utterance_ids) for outputs in references]),
    )


def _in_one_number(row: Row, target: Row | None, original: Row | None) -> dict[str, float]:
    """Compute ToW and CGUM."""
    if target is None or row["method"] == "retrain":
        return {}
    sets = ("forget", "retain", "test")
    accuracies, wanted = ({name: float(of[f"{name}_accuracy"]) for name in sets} for of in (row, target))
    found = {"tow": tug_of_war(accuracies, wanted)}
    if original is not None and row["method"] not in REFERENCES and not np.isnan(row["num_classes"]):
        found["cgum"] = conjunctive_gum(
            macro_f1=(row["test_macro_f1"], target["test_macro_f1"]),
            attack=(row["mia_accuracy"], target["mia_accuracy"], original["mia_accuracy"]),
            seconds=(row["optimization_seconds"], target["optimization_seconds"]),
            num_classes=int(row["num_classes"]),
        )
    return found
