"""Accuracy by group: of the value that each seed forgets, apart from those that stay; nothing of recognizers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from report.evidence.test_recognition import outputs as of_recognizer

from orchestrator.evidence.outputs import parse_outputs
from orchestrator.report.evidence.groups import COLUMNS, accuracy_by_group, accuracy_by_group_markdown

SAID = {"a": 0.25, "b": 0.5, "x = y": 1.0}  # share of each group that is classified as labeled


def outputs():
    """Twelve test utterances in three groups."""
    groups, n = np.repeat(list(SAID), 4), 12
    right = np.concatenate([np.arange(4) < 4 * share for share in SAID.values()])
    logits = np.where(right[:, None], [1.0, 0.0], [0.0, 1.0]).reshape(-1)
    zeros = np.zeros(n, dtype=np.int64)
    table = pa.table({
        "utterance_id": [str(m) for m in range(n)], "part": ["test"] * n, "label": zeros, "true_label": zeros,
        "logits": pa.FixedSizeListArray.from_arrays(pa.array(logits), 2), "speaker": ["s"] * n,
        "speaker_role": ["kept"] * n, "num_samples": zeros, "level_db": zeros.astype(float), "group": groups,
    })  # fmt: skip
    return parse_outputs(table)


def rows(*forgotten: str) -> pd.DataFrame:
    """One run a seed, which forgets the value."""
    known = {"unlearning": "attribute", "forget_rule": "accent", "task": "t", "training": "standard", "backbone": "b"}
    known |= {"variant": "v", "label": "Retrain", "method": "retrain"}
    return pd.DataFrame([
        known | {"trial_id": str(seed), "seed": seed, "forget_attribute": f"accent = {value}"}
        for seed, value in enumerate(forgotten)
    ])  # fmt: skip


def means(text: str) -> list[str]:
    """The means of the only line of a table."""
    line = next(line for line in text.splitlines() if line.startswith("| Retrain"))
    return [cell.split()[0] for cell in line.strip("|").split("|")[1:]]


def test_a_value_that_all_seeds_forget_has_one_column() -> None:
    found = accuracy_by_group(rows("x = y", "x = y"), lambda _: outputs())
    assert list(found.columns) == COLUMNS
    assert set(found.loc[found["forgotten"], "group"]) == {"x = y"}
    text = "\n".join(accuracy_by_group_markdown(found))
    assert "x = y (forgotten) [4]" in text
    assert means(text) == ["25.0", "50.0", "100.0"]


def test_values_that_differ_between_seeds_are_one_column_and_no_mean_mixes_forgotten_with_kept() -> None:
    found = accuracy_by_group(rows("a", "b"), lambda _: outputs())
    text = "\n".join(accuracy_by_group_markdown(found))
    assert "forgotten [4]" in text
    assert means(text) == ["25.0", "50.0", "37.5", "100.0"]


def test_recognizers_have_no_accuracy_by_group() -> None:
    assert accuracy_by_group(rows("a"), lambda _: of_recognizer(1.0, 0)).empty
