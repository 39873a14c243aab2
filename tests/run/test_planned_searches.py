"""`unlearn plan` counts the searches of a sweep that has no lock file yet, and says on which recordings they are."""

from __future__ import annotations

from orchestrator import load_sweep
from orchestrator.run.planned_searches import plan_searches


def test_searches_are_counted_with_what_only_they_need(small_sweep, tmp_path):
    overrides = ["methods=[original, retrain, scrub, salun]", "tuning={trials: 5}", "tasks.0.tune_on={seed: 3}"]
    planned = plan_searches(load_sweep(small_sweep, overrides), cache_dir=tmp_path)
    assert (planned.searches, planned.trials_each) == (2, 5)
    assert planned.estimate.trials == 2 + 2 * 5  # an original, a retrained model, and the searches
    said = planned.sentences()
    assert said[0].startswith("searches, by `unlearn tune`: 2 of 5 trials each")
    assert said[1] == "tune_on of espeak_keywords: {'seed': 3}"


def test_a_sweep_that_says_nothing_of_tuning_plans_no_search(small_sweep, tmp_path):
    assert plan_searches(load_sweep(small_sweep), cache_dir=tmp_path) is None


def test_refused_searches_are_named_unless_the_plan_did(small_sweep, tmp_path):
    overrides = ["unlearning=[{kind: mislabeled}]", "tuning={trials: 5}"]
    planned = plan_searches(load_sweep(small_sweep, overrides), cache_dir=tmp_path)
    assert "has no wrong labels" in planned.sentences()[0]
    assert "has no wrong labels" not in " ".join(planned.sentences(planned.refused))
