"""What each request of a sequence forgot, after every later request: accuracy and loss attack, next to Retrain's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from orchestrator.evidence.outputs import Outputs
from orchestrator.evidence.roc import FEWEST_PAIRS, auc_value
from orchestrator.evidence.wer import edits
from orchestrator.forgetting.requests import WRONG_LABELS
from orchestrator.report.evidence.model_index import ReadOutputs
from orchestrator.report.evidence.trial import corrupted_alike
from orchestrator.report.frames.sequences import sequences
from orchestrator.report.frames.summary import summarize, with_spread
from orchestrator.report.tables.markdown import escape, grid_markdown

RUN = ["training", "backbone", "original_seed", "seed"]
MEASURES = {"accuracy": 100, "loss_auc": 1}
REVIVED = "revived"
"""Points of accuracy on an earlier D_f that a model gained since the request that forgot it."""
COLUMNS = [
    "task", "sequence", *RUN, "variant", "label", "method", "request", "earlier", "num_earlier", *MEASURES,
    *(f"retrain_{measure}" for measure in MEASURES), REVIVED,
]  # fmt: skip
ABOUT = (
    "Mean over seeds, ± as in the report. Column k: on what request k forgot, after the last request. Revived: "
    "accuracy gained on earlier D_f since the request that forgot each, mean over these, in points; Retrain's is the "
    "target of every column."
)


def earlier_requests(rows: pd.DataFrame, read: ReadOutputs) -> pd.DataFrame:
    """Measure every model of a sequence on what each request up to its own forgot; empty without sequences.

    The attack is a threshold on the loss, against non-members of the same classes. NaN where it has too few pairs.

    Args:
        rows: of trials that finished, as `select.reported` returns them.
        read: stored outputs of a trial by id, None where there are none.

    Returns:
        One row for each trial and request up to its own (`earlier`), with Retrain's measures on the same utterances.
    """
    records: list[dict[str, Any]] = []
    for task, of_task in rows.groupby("task"):
        for one in sequences(of_task):
            for _, run in one.rows.groupby(RUN, dropna=False):
                records += [{"task": task, "sequence": one.name, **found} for found in _of_run(run, read)]
    found = pd.DataFrame(records, columns=COLUMNS[:-3])
    if found.empty:
        return found.reindex(columns=COLUMNS)
    place = ["task", "sequence", *RUN, "request", "earlier"]
    target = found[found["method"] == "retrain"].drop_duplicates(place)[[*place, *MEASURES]]
    found = found.merge(target.rename(columns={m: f"retrain_{m}" for m in MEASURES}), on=place, how="left")
    own = ["task", "sequence", *RUN, "variant", "earlier"]
    at_once = found[found["request"] == found["earlier"]].drop_duplicates(own).set_index(own)["accuracy"]
    before = at_once.reindex(pd.MultiIndex.from_frame(found[own])).to_numpy()
    found[REVIVED] = 100 * (found["accuracy"].to_numpy() - before)
    return found[COLUMNS]


def earlier_requests_markdown(found: pd.DataFrame) -> list[str]:
    """Write, for each sequence and backbone, accuracy and attack on each earlier D_f after the last request."""
    parts: list[str] = []
    for (task, name, training, backbone), own in found.groupby(["task", "sequence", "training", "backbone"]):
        last = own[own["request"] == own["request"].max()]
        where = ", ".join([str(task), str(backbone), *([] if training == "standard" else [str(training)])])
        parts += [f"## {escape(f'{where}: sequence {name}, after request {int(last.request.iloc[0])}')}", ""]
        for measure, scale in MEASURES.items():
            said = "Accuracy in %" if measure == "accuracy" else "Loss AUC"
            parts += [f"{said} on what each request forgot:", "", _table(last, measure, scale), ""]
        parts += [ABOUT, ""]
    return parts


def _table(last: pd.DataFrame, measure: str, scale: int) -> str:
    requests = sorted(last["earlier"].unique())
    revived = last[last["earlier"] < last["request"]]
    digits = 1 if scale == 100 else 2
    grid = []
    for variant, own in last.groupby("variant", sort=False):
        cells = [
            with_spread(summarize(own.loc[own["earlier"] == request, measure]), digits, scale) for request in requests
        ]
        gained = revived[revived["variant"] == variant].groupby("seed")[REVIVED].mean()
        cells += [with_spread(summarize(gained.to_numpy()))] if measure == "accuracy" else []
        grid.append([escape(str(own["label"].iloc[0])), *map(escape, cells)])
    more = ["Revived"] if measure == "accuracy" else []
    return grid_markdown(["Method", *(str(int(request)) for request in requests), *more], grid)


def _of_run(run: pd.DataFrame, read: ReadOutputs) -> Iterator[dict[str, Any]]:
    """Measure all models of one seed; what a request forgot is read from any model that it is the last request of."""
    forgotten: dict[int, tuple[npt.NDArray[Any], bool]] = {}
    for row in run.sort_values("request").to_dict("records"):
        outputs = read(str(row["trial_id"]))
        if outputs is None:
            continue
        number = int(row["request"])
        if number not in forgotten:
            forgotten[number] = outputs.part("forget").utterance_ids, row["unlearning"] in WRONG_LABELS
        outside = outputs.part(str(row["mia_reference"]) or "holdout")
        for earlier, (ids, mislabeled) in forgotten.items():
            if earlier <= number:
                own = {name: row[name] for name in (*RUN, "variant", "label", "method")}
                measured = _measured(outputs.at(ids), outside, mislabeled=mislabeled)
                yield {**own, "request": number, "earlier": earlier, **measured}


def _measured(members: Outputs, outside: Outputs, *, mislabeled: bool) -> Mapping[str, float]:
    """Return accuracy (of recognizers 1 − WER), and the AUC against non-members of the same classes; corrupted ones if
    the members are."""
    others = corrupted_alike(outside, mislabeled=mislabeled)
    mine, theirs = (np.isin(side.labels, other.labels) for side, other in ((members, others), (others, members)))
    few = min(int(mine.sum()), int(theirs.sum())) < FEWEST_PAIRS
    scores = members.label_log_probability[mine], others.label_log_probability[theirs]
    return {
        "num_earlier": len(members),
        "accuracy": _accuracy(members),
        "loss_auc": float("nan") if few else auc_value(*scores),
    }


def _accuracy(members: Outputs) -> float:
    if members.references is not None and members.hypotheses is not None:
        return 1 - edits(members.references, members.hypotheses, members.utterance_ids).total().wer
    predicted = members.classes[np.arange(len(members)), members.log_probabilities.argmax(axis=1)]
    return float(np.mean(predicted == members.labels)) if len(members) else float("nan")
