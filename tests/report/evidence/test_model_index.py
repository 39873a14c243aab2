"""References and shadow models come from indexes: the right ones, each output read a bounded number of times."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.report.evidence.model_index import MOST_REFERENCES, RetrainedModels, Shadows
from orchestrator.report.evidence.trial import with_evidence
from orchestrator.report.frames.gaps import with_gaps
from orchestrator.report.frames.select import prepare, reported


def row(trial_id: str, seed: int, method: str = "retrain", **more) -> dict:
    return {"trial_id": trial_id, "seed": seed, "method": method, "task": "t", "backbone": "b", "training": "standard",
            "corpus_fingerprint": "c", "retrained": None, **more}  # fmt: skip


@pytest.fixture
def forgetting(outputs_of):
    """Outputs of a model that forgot these utterances, with random logits."""

    def build(ids, seed: int = 0):
        ids = np.array(list(ids))
        logits = np.random.default_rng(seed).normal(size=(len(ids), 3))
        found = outputs_of(logits, np.zeros(len(ids), dtype=np.int64))
        return replace(found, utterance_ids=ids, parts=np.full(len(ids), "forget"))

    return build


def test_references_saw_none_of_the_forget_set_and_the_own_one_comes_first(forgetting) -> None:
    outputs = {"r0": forgetting("ab"), "r1": forgetting("abc"), "r2": forgetting("ac"), "r3": forgetting("abcd")}
    models = RetrainedModels([row(name, seed) for seed, name in enumerate(outputs)] + [row("gone", 9)], outputs.get)
    attacked = row("x", 3, "scrub", retrained="r3")
    assert models.references(attacked, np.array(["a", "b"])) == ["r3", "r0", "r1"]
    assert models.references(row("r0", 0), np.array(["a", "b"])) == ["r1", "r3"]  # never the attacked model
    assert models.references(attacked, np.array(["a", "z"])) == []
    assert models.references({**attacked, "corpus_fingerprint": "other"}, np.array(["a"])) == []


def test_no_more_references_are_taken_than_serve(forgetting) -> None:
    models = RetrainedModels([row(f"r{n}", n) for n in range(9)], lambda _: forgetting("ab"))
    assert len(models.references(row("x", 0, "scrub"), np.array(["a"]))) == MOST_REFERENCES


def test_shadows_are_models_of_other_seeds_and_nan_where_they_kept_the_utterance(forgetting) -> None:
    sets = {0: "ab", 1: "abc", 2: "ac"}
    outputs = {f"{kind}{seed}": forgetting(ids, seed) for seed, ids in sets.items() for kind in ("u", "r")}
    rows = [row(f"u{seed}", seed, "scrub", retrained=f"r{seed}") for seed in sets]
    sides = Shadows.of(rows, outputs.get).against(rows[0])
    assert sides is not None
    mine, target, unlearned, retrained = sides
    assert mine == pytest.approx(target)  # the same outputs stand for both kinds here
    assert np.isnan(unlearned).tolist() == [[False, False], [False, True]]
    assert np.array_equal(unlearned, retrained, equal_nan=True)


def test_each_output_is_read_a_bounded_number_of_times_however_many_seeds_there_are(make_rows, outputs_of) -> None:
    rows = make_rows(kinds=["sample"], methods=["original", "retrain", "scrub"], seeds=list(range(24)))
    rows = rows.assign(num_classes=12, mia_accuracy=0.5, test_macro_f1=0.5)
    parts = np.repeat(["forget", "holdout", "test"], 8)
    found = outputs_of(np.random.default_rng(0).normal(size=(24, 3)), np.zeros(24, dtype=np.int64))
    found = replace(found, parts=parts, utterance_ids=np.array([f"u{n}" for n in range(24)]))
    reads: Counter[str] = Counter()

    def read(trial_id: str):
        reads[trial_id] += 1
        return found

    evidence = with_evidence(reported(with_gaps(prepare(rows)))[0], read)
    assert (evidence.loc[evidence["method"] == "scrub", "ulira_shadows"] == 23).all()
    assert sum(reads.values()) <= 10 * len(rows)
