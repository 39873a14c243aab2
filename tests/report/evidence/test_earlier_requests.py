"""After each request of a sequence, all that was forgotten before is measured again, next to Retrain."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from orchestrator.report.evidence.earlier_requests import REVIVED, earlier_requests, earlier_requests_markdown

REQUESTS = [{"kind": "class", "classes": [name]} for name in ("a", "b", "c")]
CLASSES, EACH = 4, 12  # three are forgotten, one after another
WRONG, RIGHT = -4.0, 4.0


def row(method, step, seed, **more):
    made = {
        "trial_id": f"{method}-{step}-{seed}", "method": method, "label": method.title(), "variant": method,
        "task": "t", "backbone": "b", "training": "standard", "seed": seed, "original_seed": seed, "status": "done",
        "unlearning": "class", "mia_reference": "holdout", "sequence": "three", "sequence_steps": 3.0,
        "requests_before": json.dumps(REQUESTS[: step - 1]) if step > 1 else "",
        "recipe": json.dumps({"forget": {"settings": REQUESTS[step - 1]}}),
    }  # fmt: skip
    return {**made, **more}


def outputs_after(outputs_of, step, revives):
    """Return outputs in which all that was forgotten is misclassified, but what the first request forgot revives."""
    labels = np.repeat(np.arange(CLASSES), 2 * EACH)
    inside = np.tile(np.repeat([True, False], EACH), CLASSES)
    known = (labels >= step) | (revives & (labels == 0) & (step > 1))
    logits = np.zeros((len(labels), CLASSES))
    logits[np.arange(len(labels)), labels] = np.where(known & inside, RIGHT, WRONG)
    parts = np.where(inside, "retain", "holdout").astype("U20")
    parts[inside & (labels < step - 1)] = "forgotten_before"
    parts[inside & (labels == step - 1)] = "forget"
    return replace(outputs_of(logits, labels), parts=parts)


@pytest.fixture(scope="module")
def found(outputs_of):
    rows = pd.DataFrame(
        [row(method, step, seed) for seed in (0, 1) for method in ("retrain", "scrub") for step in (1, 2, 3)]
    )
    stored = {
        one["trial_id"]: outputs_after(outputs_of, int(one["trial_id"].split("-")[1]), one["method"] == "scrub")
        for one in rows.to_dict("records")
    }
    return earlier_requests(rows, stored.get)


def test_every_model_is_measured_on_what_each_request_up_to_its_own_forgot(found) -> None:
    own = found[(found["method"] == "scrub") & (found["seed"] == 0)]
    pairs = list(zip(own["request"], own["earlier"], strict=True))
    assert pairs == [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]
    assert set(own["num_earlier"]) == {EACH}


def test_what_revives_is_seen_next_to_retrain(found) -> None:
    last = found[(found["request"] == 3) & (found["earlier"] == 1)].set_index(["method", "seed"])
    assert set(last.loc["scrub", "accuracy"]) == {1.0}
    assert set(last.loc["scrub", "loss_auc"]) == {1.0}
    assert set(last.loc["scrub", REVIVED]) == {100.0}
    assert set(last.loc["scrub", "retrain_accuracy"]) == {0.0}
    assert set(last.loc["scrub", "retrain_loss_auc"]) == {0.5}
    assert set(last.loc["retrain", REVIVED]) == {0.0}


def test_the_table_has_a_column_for_each_request_and_the_mean_that_revived(found) -> None:
    text = "\n".join(earlier_requests_markdown(found))
    scrub = next(line for line in text.splitlines() if line.startswith("| Scrub"))
    assert [cell.strip() for cell in scrub.split("|")[2:-1]] == [
        "100.0 [100.0, 100.0]", "0.0 [0.0, 0.0]", "0.0 [0.0, 0.0]", "50.0 [50.0, 50.0]",
    ]  # fmt: skip
    assert "sequence three, after request 3" in text


def test_rows_without_sequences_have_nothing(found) -> None:
    alone = pd.DataFrame([row("scrub", 1, 0)])
    assert earlier_requests(alone, lambda _: None).empty
    assert earlier_requests_markdown(found.iloc[:0]) == []
