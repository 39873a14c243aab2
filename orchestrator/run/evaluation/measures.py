"""From logits of the whole corpus to the measures of a row, and to the outputs that attacks read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import logsumexp
from torch import Tensor

from methods.engine.loop import Diverged
from orchestrator.evidence import accuracy as acc
from orchestrator.evidence import membership
from orchestrator.evidence.groups import accuracy_of_groups, group_gap
from orchestrator.evidence.speaker_roles import speaker_roles
from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.plan.spec import stage_seed
from orchestrator.results.store import Store
from orchestrator.run.assignment import Assignment
from orchestrator.run.setup.problem import TrialSplit
from orchestrator.tasks.corpus import Corpus

WIDEST = 64  # classes: up to this number all logits are kept, above it a summary
PARTS = ("forget", "retain", "test", "validation", "holdout", "before")  # of `TrialSplit`
RETAIN_KEPT = 2_000  # utterances of D_r whose outputs are kept


def measures(assignment: Assignment, corpus: Corpus, parts: TrialSplit, logits: Tensor) -> dict[str, Any]:
    """Return accuracy, macro-F1 and loss on every part, the split by forgotten classes, baselines and attacks.

    Raises:
        Diverged: the loss on a part is not finite.
    """
    y, found = corpus.labels, acc.answers(logits.numpy(), corpus.labels)
    for name in PARTS:
        if not np.isfinite(found.losses[getattr(parts, name)]).all():
            raise Diverged(f"a loss on the {name} set is not finite at evaluation")
    predicted, trained = found.predicted, np.concatenate([parts.forget, parts.retain, parts.before])
    row: dict[str, Any] = {
        "num_train": parts.num_train,
        "num_classes": len(corpus.classes),
        "forget_ratio": parts.forget_ratio,
        "forget_classes": ",".join(corpus.classes[c] for c in parts.request_classes),
        "chance_accuracy": acc.chance_accuracy(len(corpus.classes)),
        "constant_predictor_accuracy": acc.constant_predictor_accuracy(y[trained], y[parts.test]),
    }
    for name in PARTS[:-1]:
        rows = getattr(parts, name)
        scores = acc.score_set(found, y, rows)
        row[f"num_{name}"] = len(rows)
        row.update({f"{name}_{measure}": value for measure, value in asdict(scores).items()})
    if len(parts.before):
        row["num_forgotten_before"] = len(parts.before)
        row["forgotten_before_accuracy"] = acc.accuracy(predicted[parts.before], y[parts.before])
    row["forget_true_label_accuracy"] = acc.accuracy(predicted[parts.forget], corpus.true_labels[parts.forget])
    if assignment.spec.request.get("known_share") is not None:
        unknown = parts.retain[corpus.labels[parts.retain] != corpus.true_labels[parts.retain]]
        row["num_unknown"] = len(unknown)
        row["unknown_accuracy"] = acc.accuracy(predicted[unknown], y[unknown])
        row["unknown_true_label_accuracy"] = acc.accuracy(predicted[unknown], corpus.true_labels[unknown])
    if parts.attribute is not None:
        row |= _with_attribute(corpus, parts, predicted)
    if len(parts.triggered):
        row["num_triggered"] = len(parts.triggered)
        row["attack_success"] = acc.accuracy(predicted[parts.triggered], y[parts.triggered])  # labeled as the target
        row["triggered_accuracy"] = acc.accuracy(predicted[parts.triggered], corpus.true_labels[parts.triggered])
    for name in ("test", "validation"):
        rows = getattr(parts, name)
        kept, forgotten = acc.accuracy_by_class_group(predicted[rows], y[rows], parts.forgotten_classes)
        row[f"{name}_accuracy_kept_classes"], row[f"{name}_accuracy_forgotten_classes"] = kept, forgotten
    row["test_largest_prediction_share"] = acc.largest_prediction_share(predicted[parts.test], y[parts.test])
    judged = parts.validation if len(parts.validation) else parts.test
    row["collapsed"] = acc.is_collapsed(predicted[judged], y[judged])
    return {**row, **membership_columns(assignment, corpus, parts, found.losses)}


def _with_attribute(corpus: Corpus, parts: TrialSplit, predicted: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return accuracy on D_t with and without the forgotten attribute, and how far its groups are apart."""
    assert parts.attribute is not None
    column, y = corpus.attributes[parts.attribute.name][parts.test], corpus.labels[parts.test]
    has, said = parts.attribute.holds(column), predicted[parts.test]
    groups = parts.attribute.groups(column)
    others, found = ~has & (groups != ""), accuracy_of_groups(said == y, groups)
    return {
        "forget_attribute": str(parts.attribute),
        "num_test_attribute": int(has.sum()),
        "test_accuracy_attribute": acc.accuracy(said[has], y[has]),
        "test_accuracy_others": acc.accuracy(said[others], y[others]),
        "test_group_gap": group_gap(found),
    }


def membership_columns(
    assignment: Assignment, corpus: Corpus, parts: TrialSplit, losses: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Return the attacks that read (N,) losses of the corpus; none without a D_f."""
    if not len(parts.forget):
        return {}
    reference = "holdout" if len(parts.holdout) else "test"
    outside, y = _outsiders(assignment, corpus, parts, reference), corpus.labels
    seed = stage_seed("membership", assignment.spec.task.title, assignment.spec.seed) % 2**32
    svc = membership.svc_nonmember_share(
        forget=membership.label_confidence(losses[parts.forget]),
        retain=membership.label_confidence(losses[parts.retain]),
        nonmembers=membership.label_confidence(losses[outside]),
        seed=seed,
    )
    attack = membership.loss_attack(
        losses[parts.forget],
        y[parts.forget],
        losses[outside],
        y[outside],
        seed=seed,
    )
    return {
        "mia_nonmember": svc,
        "mia_auc": attack.auc,
        "mia_accuracy": attack.accuracy,
        "mia_reference": reference,
    }


def _outsiders(assignment: Assignment, corpus: Corpus, parts: TrialSplit, reference: str) -> npt.NDArray[np.int64]:
    """Return non-members: held-out utterances; for mislabeled D_f, those whose labels were corrupted so."""
    rows: npt.NDArray[np.int64] = getattr(parts, reference)
    wrong = corpus.labels[rows] != corpus.true_labels[rows]
    if assignment.spec.request.get("kind") in WRONG_LABELS and wrong.any():
        rows = rows[wrong]
    return rows


def keep_outputs(store: Store, trial_id: str, corpus: Corpus, parts: TrialSplit, logits: Tensor) -> None:
    """Write `outputs/<trial_id>.parquet`, which attacks read, with logits.

    Up to 64 classes it has all logits; above that, the label's logit, logsumexp, entropy (nats) and the top five
    classes.
    """
    rows, columns = output_columns(corpus, parts)
    z = logits.numpy()
    if z.shape[1] <= WIDEST:
        columns["logits"] = pa.FixedSizeListArray.from_arrays(pa.array(z[rows].reshape(-1)), z.shape[1])
    else:
        pieces = [_summary(z[rows[of]], corpus.labels[rows[of]]) for of in acc.chunks(len(rows), z.shape[1])]
        columns.update({name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]})
        columns.update({name: list(columns[name]) for name in ("top_classes", "top_logits")})
    store.write_table(store.outputs.path(trial_id), pa.table(columns), compression="zstd")


def output_columns(corpus: Corpus, parts: TrialSplit) -> tuple[npt.NDArray[np.int64], dict[str, Any]]:
    """Return the rows of the corpus whose outputs are kept, and what is known of them: who they are and their part.

    They are D_f, D_v, D_t, holdout and a fixed sample of D_r; in a sequence also what earlier requests forgot. Attacks
    on speakers need who speaks and whether training knows the speaker; attacks on matched recordings need length and
    level.
    """
    rng = np.random.default_rng(0)
    sample = np.sort(rng.permutation(parts.retain)[:RETAIN_KEPT])
    named = [("forget", parts.forget), ("retain", sample), ("validation", parts.validation), ("test", parts.test)]
    named += [("holdout", parts.holdout), ("forgotten_before", parts.before)]
    rows = np.concatenate([part for _, part in named])
    columns: dict[str, Any] = {
        "utterance_id": corpus.utterance_ids[rows].astype(str),
        "part": np.repeat([name for name, _ in named], [len(part) for _, part in named]),
        "label": corpus.labels[rows],
        "true_label": corpus.true_labels[rows],
        "speaker": (speakers := corpus.speakers.astype(str))[rows],
        "speaker_role": speaker_roles(
            speakers[rows], *(speakers[p] for p in (parts.forget, parts.retain, parts.before))
        ),
        "num_samples": corpus.num_samples[rows].astype(np.int32),
        "level_db": corpus.levels_db(rows),
    }
    if parts.attribute is not None:
        columns["group"] = parts.attribute.groups(corpus.attributes[parts.attribute.name][rows]).astype(str)
    return rows, columns


def _summary(z: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    wide = z.astype(np.float64)
    normaliser = logsumexp(wide, axis=1)
    probability = np.exp(wide - normaliser[:, None])
    top = np.argsort(-wide, axis=1)[:, :5]
    return {
        "label_logit": wide[np.arange(len(labels)), labels],
        "logsumexp": normaliser,
        "entropy": -np.sum(probability * (wide - normaliser[:, None]), axis=1),
        "top_classes": top,
        "top_logits": np.take_along_axis(wide, top, axis=1),
    }
