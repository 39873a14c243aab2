"""Requests one after another, through the local executor."""

from __future__ import annotations

import itertools
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from orchestrator import load_sweep, plan_sweep, read_rows, run_sweep, tune_sweep
from orchestrator.errors import DamagedFile
from orchestrator.results.store import open_store
from orchestrator.run.setup import problem
from orchestrator.run.setup.checkpoints import load_logits, load_weights
from orchestrator.run.setup.context import WorkerContext

REQUESTS = "[{kind: sample, forget_ratio: 0.1}, {kind: class, classes: [go]}, {kind: sample, forget_ratio: 0.1}]"
OVERRIDES = [
    f"unlearning=[{{kind: sequence, name: monthly, requests: {REQUESTS}}}]",
    "methods=[original, retrain, {name: grad_ascent, epochs: 0}, {name: scrub, epochs: 1, max_epochs: 1}]",
    "training.epochs=1",
]


@pytest.fixture(scope="module")
def taught():
    """Ids of the trials whose logits were read as a teacher's."""
    return []


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_small, cache_dir, taught):
    folder = tmp_path_factory.mktemp("sequences")
    loaded = load_sweep(write_small(folder), OVERRIDES)
    with pytest.MonkeyPatch.context() as patch:
        real = problem.load_logits
        patch.setattr(problem, "load_logits", lambda store, trial: taught.append(trial) or real(store, trial))
        dispatcher = run_sweep(loaded, folder / "r", executor="local", cache_dir=cache_dir)
    return loaded, folder / "r", dispatcher


def of(results, method) -> pd.DataFrame:
    rows = read_rows(results)
    return rows[(rows["method"] == method) & (rows["stage"] != "train")].sort_values("sequence_step", ignore_index=True)


def outputs(results, trial_id, part) -> pd.DataFrame:
    found = pd.read_parquet(results / "outputs" / f"{trial_id}.parquet")
    return found[found["part"] == part]


def test_every_step_has_a_row_whose_parent_is_the_step_before(finished):
    loaded, results, dispatcher = finished
    assert dispatcher.graph.counts() == {"done": 13}
    assert len(plan_sweep(loaded).grid.trials) == 13
    for method in ("grad_ascent", "scrub"):
        rows = of(results, method)
        assert rows["sequence_step"].tolist() == [1, 2, 3]
        assert set(rows["sequence_steps"]) == {3}
        assert set(rows["sequence"]) == {"monthly"}
        assert rows["parent_step"].tolist()[1:] == rows["trial_id"].tolist()[:2]
        assert json.loads(rows["requests_before"][1]) == [{"kind": "sample", "forget_ratio": 0.1}]


def test_a_step_forgets_among_what_is_left_and_all_lines_forget_the_same(finished):
    _, results, _ = finished
    sets = []
    for method in ("original", "retrain", "grad_ascent", "scrub"):
        rows = of(results, method)
        steps = [set(outputs(results, trial, "forget")["utterance_id"]) for trial in rows["trial_id"]]
        assert not steps[0] & steps[1] | steps[0] & steps[2] | steps[1] & steps[2]
        before = [set(outputs(results, trial, "forgotten_before")["utterance_id"]) for trial in rows["trial_id"]]
        assert before == [set(), steps[0], steps[0] | steps[1]]
        assert rows["num_forget"].tolist() == [len(step) for step in steps]
        gone = np.cumsum(rows["num_forget"])
        assert (rows["num_retain"] == rows["num_train"] - gone).all()
        assert rows["num_train"].nunique() == 1
        sets.append(steps)
    assert all(steps == sets[0] for steps in sets)


def test_what_was_forgotten_before_is_measured_from_the_second_step_on(finished):
    _, results, _ = finished
    for method in ("original", "retrain", "scrub"):
        rows = of(results, method)
        assert rows["forgotten_before_accuracy"].isna().tolist() == [True, False, False]
        for row in rows[1:].to_dict("records"):
            found = outputs(results, row["trial_id"], "forgotten_before")
            correct = np.stack(found["logits"].to_numpy()).argmax(axis=1) == found["label"]
            assert row["forgotten_before_accuracy"] == pytest.approx(correct.mean())
            assert row["num_forgotten_before"] == len(found)


def test_forgotten_classes_stay_forgotten_for_later_requests_and_name_their_own_only(finished):
    _, results, _ = finished
    retrain = of(results, "retrain")
    assert retrain["forget_classes"].tolist() == ["", "go", ""]
    for side in ("kept", "forgotten"):
        assert retrain[f"test_accuracy_{side}_classes"].notna().tolist() == [side == "kept", True, True]
    assert retrain["budget_samples"].isna().all()
    scrub = of(results, "scrub")
    assert scrub["budget_samples"].tolist() == pytest.approx(scrub["num_retain"].tolist())  # one epoch of its own D_r


def test_a_step_starts_from_the_model_and_the_teacher_that_the_step_before_left(finished, taught, cache_dir):
    loaded, results, _ = finished
    store, rows = open_store(results), read_rows(results)
    original = rows[rows["stage"] == "train"]["trial_id"].iloc[0]
    still = of(results, "grad_ascent")["trial_id"].tolist()  # of no epochs: every step leaves what it got
    for trial in still[:2]:
        for name, value in load_weights(store, trial).items():
            assert torch.equal(value, load_weights(store, original)[name])
    first, second, third = of(results, "scrub")["trial_id"]
    moved = [load_weights(store, trial) for trial in (original, first, second)]
    names = [name for name, value in moved[0].items() if value.is_floating_point()]
    for earlier, later in itertools.pairwise(moved):
        assert any(not torch.equal(earlier[name], later[name]) for name in names)
    corpus = WorkerContext(store, cache_dir, torch.device("cpu")).corpus(plan_sweep(loaded).grid.trials[0].task)
    row_of = {name: row for row, name in enumerate(corpus.utterance_ids)}
    kept, logits = outputs(results, first, "test"), load_logits(store, first)[0].numpy()
    assert np.stack(kept["logits"].to_numpy()) == pytest.approx(logits[[row_of[n] for n in kept["utterance_id"]]])
    assert {first, second} < set(taught)  # SCRUB's teacher is the model that it starts from
    assert third not in taught
    for folder in ("models", "logits"):  # kept where a later step needs them
        assert {p.stem for p in (results / folder).iterdir()} == {original, *still[:2], first, second}


def test_lost_logits_between_steps_are_made_again_by_their_trial(finished, cache_dir):
    loaded, results, _ = finished
    before = read_rows(results).set_index("trial_id")
    _, second, third = of(results, "scrub")["trial_id"]
    (results / "logits" / f"{second}.safetensors").unlink()
    (results / "rows" / f"{third}.parquet").unlink()
    with pytest.warns(DamagedFile, match=f"trial {second} runs again, {third} after it"):
        dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert dispatcher.graph.counts() == {"done": 13}
    after = read_rows(results).set_index("trial_id")
    assert {t for t in after.index if after["started_at"][t] != before["started_at"][t]} == {second, third}
    assert after["forget_loss"][third] == before["forget_loss"][third]


def test_a_sequence_goes_on_from_requests_that_were_met_alone(small_sweep, cache_dir, tmp_path):
    alone = ["methods=[original, grad_ascent]", "training.epochs=1"]
    run_sweep(load_sweep(small_sweep, alone), tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert set(read_rows(tmp_path / "r")["sequence"]) == {""}
    requests = "[{kind: sample, forget_ratio: 0.15}, {kind: sample, forget_ratio: 0.1}]"
    longer = load_sweep(small_sweep, [*alone, f"unlearning=[{{kind: sequence, requests: {requests}}}]"])
    dispatcher = run_sweep(longer, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert dispatcher.graph.counts() == {"done": 5}
    assert dispatcher.num_already_done == 2  # the one's model was not kept, so it ran again, and nothing was damaged
    assert not (tmp_path / "r" / "damaged").exists()
    shutil.rmtree(tmp_path / "r" / "models")
    assert (
        run_sweep(longer, tmp_path / "r", executor="local", cache_dir=cache_dir).num_already_done == 5
    )  # nothing needs them


def test_a_finished_row_outlives_a_second_run_that_fails(small_sweep, cache_dir, tmp_path, monkeypatch):
    from methods.grad_ascent import GradAscent

    alone = [*OVERRIDES, "methods=[grad_ascent]", "unlearning=[{kind: sample, forget_ratio: 0.05}]"]
    run_sweep(load_sweep(small_sweep, alone), tmp_path / "r", executor="local", cache_dir=cache_dir)
    before = of(tmp_path / "r", "grad_ascent")
    steps = "[{kind: sample, forget_ratio: 0.05}, {kind: class}]"
    longer = load_sweep(small_sweep, [*alone, f"unlearning=[{{kind: sequence, requests: {steps}}}]"])
    with monkeypatch.context() as patch:
        patch.setattr(GradAscent, "passes", lambda self, problem: 1 / 0)
        dispatcher = run_sweep(longer, tmp_path / "r", executor="local", cache_dir=cache_dir)
    counts = dispatcher.graph.counts()
    assert (counts["failed"], counts["blocked"]) == (1, 1)
    pd.testing.assert_frame_equal(of(tmp_path / "r", "grad_ascent"), before)
    dispatcher = run_sweep(longer, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert set(dispatcher.graph.counts()) == {"done"}


def test_a_step_that_fails_blocks_the_later_ones_of_its_line_only(small_sweep, cache_dir, tmp_path, monkeypatch):
    from methods.grad_ascent import GradAscent

    real = GradAscent.passes

    def broken(self, problem):
        if problem.forgotten_classes:
            raise KeyError("a bug")
        yield from real(self, problem)

    loaded = load_sweep(small_sweep, [*OVERRIDES, "methods=[grad_ascent, {name: fine_tune, epochs: 0}]"])
    with monkeypatch.context() as patch:
        patch.setattr(GradAscent, "passes", broken)
        dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir)
    assert dispatcher.graph.counts() == {"done": 5, "failed": 1, "blocked": 1}
    rows = of(tmp_path / "r", "grad_ascent")
    assert rows["status"].tolist() == ["done", "failed"]
    (blocked,) = dispatcher.graph.blocked.values()
    assert blocked.because_of == rows["trial_id"][1]
    dispatcher = run_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir, retry_failed=True)
    assert dispatcher.graph.counts() == {"done": 7}


def test_a_search_tunes_the_requests_of_a_sequence_alone(small_sweep, cache_dir, tmp_path):
    overrides = [*OVERRIDES, "methods=[retrain, {name: scrub, epochs: 1, max_epochs: 1}]"]
    loaded = load_sweep(small_sweep, overrides)
    lock = tune_sweep(loaded, tmp_path / "r", executor="local", cache_dir=cache_dir, trials=1, lock=None)
    assert {choice.unlearning for choice in lock.choices} == {"sample", "class"}
    assert set(read_rows(tmp_path / "r")["requests_before"]) == {""}
