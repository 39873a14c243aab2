"""A line that was searched before with another space would have more trials than the others: refused."""

from __future__ import annotations

import pandas as pd
import pytest
from small_sweep import sweep

from orchestrator.plan.spec import canonical
from orchestrator.plan.sweep_schema import SweepError
from orchestrator.results.schema import SCHEMA
from orchestrator.run.search_counts import require_equal_counts
from orchestrator.run.searches import search_grid, searches_of

METHODS = ["retrain", "scrub", "ssd", {"name": "scrub", "superloss": True}]


def searched(**changes):
    made = sweep(**{"methods": METHODS, "unlearning": [{"kind": "class"}], **changes})
    return searches_of(search_grid(made), made, 4, "gap_to_retrain")


def rows_of(searches, *, methods=("scrub", "ssd")):
    """Return rows of the trials of some methods, as a results folder has them."""
    made = [
        {
            "stage": "tune", "study_id": study_id, "task": spec.task.title, "backbone": spec.backbone.title,
            "training": "standard", "unlearning": spec.request["kind"], "method": spec.method.name,
            "superloss": canonical(dict(spec.superloss)) if spec.superloss else "", "lora": "",
            "budget_fraction": spec.budget["fraction"], "recipe": canonical(spec.recipe()),
        }
        for study_id, study in searches.studies.items()
        for spec in study.trials
        if spec.method.name in methods
    ]  # fmt: skip
    return pd.DataFrame(made).reindex(columns=SCHEMA.names)


def test_new_searches_and_those_that_go_on_are_equal():
    searches = searched()
    require_equal_counts(searches, rows_of(searches, methods=()))
    require_equal_counts(searches, rows_of(searches))


def test_a_second_search_of_one_line_is_refused_with_its_number_of_trials():
    earlier = rows_of(searched(), methods=("ssd",))
    again = searched(tuning={"spaces": {"ssd": {"selection": [1.0, 50.0]}}})
    with pytest.raises(SweepError, match=r"for class on espeak_keywords, ssd \(budget 1\) 8 would have more than 4"):
        require_equal_counts(again, earlier)


def test_a_second_search_of_all_lines_is_equal():
    earlier = rows_of(searched(seeds=[5]), methods=("scrub", "ssd"))
    require_equal_counts(searched(tuning={"seeds": [1001]}), earlier)


def test_searches_of_other_variants_of_a_method_are_not_those_of_a_line():
    several = searched(methods=["retrain", {"name": "scrub", "epochs": [2, 4]}])
    require_equal_counts(searched(), rows_of(several, methods=("scrub",)))


def test_a_search_for_one_class_is_none_of_the_search_for_several():
    several = searched(unlearning=[{"kind": "class", "num_classes": 2}])
    require_equal_counts(searched(), rows_of(several, methods=("scrub",)))
