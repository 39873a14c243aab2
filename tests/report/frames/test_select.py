"""Which rows stand on which line of a table."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from pandas.api.types import is_bool_dtype, is_float_dtype

from orchestrator.report.frames.select import prepare, reported, request_name
from orchestrator.results.schema import SCHEMA


def labels(rows: pd.DataFrame) -> list[str]:
    """Line labels in the order of the table."""
    lines, _ = reported(prepare(rows))
    return lines.sort_values("order")["label"].drop_duplicates().tolist()


def with_settings(rows: pd.DataFrame, suffix: str, **columns) -> pd.DataFrame:
    """The same runs again, under other ids and with other settings."""
    return rows.assign(trial_id=rows["trial_id"] + suffix, **columns)


def test_prepared_rows_have_plain_types() -> None:
    rows = pd.DataFrame({"trial_id": ["x"], "collapsed": [None], "seed": [3], "error": [None], "test_accuracy": [None]})
    found = prepare(rows)
    assert list(found.columns) == [*SCHEMA.names, "task_name"]
    assert found["error"].item() == ""
    assert is_bool_dtype(found["collapsed"])
    assert is_float_dtype(found["test_accuracy"])
    assert found["seed"].item() == 3


def test_lines_stand_in_the_order_of_the_paper_with_superloss_beside_its_method(make_rows) -> None:
    assert labels(make_rows(superloss=["scrub"])) == [
        "Original", "Retrain", "GradAscent", "RandLabel", "Bad-T", "SCRUB", "SCRUB + SuperLoss", "SalUn",
    ]  # fmt: skip


def test_settings_tuned_for_each_backbone_do_not_split_a_line(make_rows) -> None:
    rows = make_rows(backbones=["a", "b"], methods=["retrain", "scrub"])
    rows.loc[rows["backbone"] == "b", "settings"] = json.dumps({"learning_rate": 3e-5})
    assert labels(rows) == ["Retrain", "SCRUB"]


def test_swept_settings_split_a_line_and_are_named_by_size(make_rows) -> None:
    rows = make_rows(methods=["retrain", "scrub"], kinds=["sample"])
    scrub = rows[rows["method"] == "scrub"]
    more = [with_settings(scrub, f"-{lr}", settings=json.dumps({"learning_rate": lr})) for lr in (1e-3, 2e-5)]
    assert labels(pd.concat([rows, *more])) == [
        "Retrain", "SCRUB (learning_rate 2e-05)", "SCRUB (learning_rate 0.0001)", "SCRUB (learning_rate 0.001)",
    ]  # fmt: skip


def test_rates_that_follow_each_original_do_not_split_a_line_but_swept_shares_do(make_rows) -> None:
    rows = make_rows(backbones=["a", "b"], methods=["retrain", "scrub"], kinds=["sample"])
    scrub = rows["method"] == "scrub"
    for backbone, rate in (("a", 2e-4), ("b", 1e-5)):
        settings = json.dumps({"learning_rate": rate, "rate_share": 0.1})
        rows.loc[scrub & (rows["backbone"] == backbone), "settings"] = settings
    assert labels(rows) == ["Retrain", "SCRUB"]
    faster = with_settings(rows[scrub], "-f", settings=json.dumps({"learning_rate": 9e-4, "rate_share": 0.45}))
    number = with_settings(rows[scrub], "-n", settings=json.dumps({"learning_rate": 9e-4}))
    assert labels(pd.concat([rows, faster])) == ["Retrain", "SCRUB (rate_share 0.1)", "SCRUB (rate_share 0.45)"]
    assert labels(pd.concat([rows, number])) == [
        "Retrain", "SCRUB (learning_rate auto, rate_share 0.1)", "SCRUB (learning_rate 0.0009)",
    ]  # fmt: skip


def test_two_strengths_of_superloss_are_two_lines(make_rows) -> None:
    rows = make_rows(methods=["retrain"], superloss=["scrub"], kinds=["sample"])
    weak = with_settings(
        rows[rows["method"] == "scrub"], "-weak", superloss=json.dumps({"strength": 0.1, "tau": "moving_average"})
    )
    assert labels(pd.concat([rows, weak]))[1:] == [
        "SCRUB + SuperLoss (superloss.strength 0.1)", "SCRUB + SuperLoss (superloss.strength 1)",
    ]  # fmt: skip


def test_two_trainings_or_budgets_are_never_averaged(make_rows) -> None:
    rows = make_rows(methods=["retrain", "scrub"], kinds=["sample"])
    longer = with_settings(rows, "-longer", original_settings=json.dumps({"epochs": 30}))
    half = with_settings(rows[rows["method"] == "scrub"], "-half", budget_fraction=0.5)
    assert "Retrain (training.epochs 30)" in labels(pd.concat([rows, longer]))
    assert "SCRUB (budget 0.5 × samples)" in labels(pd.concat([rows, half]))


def test_requests_for_one_class_and_for_several_are_never_averaged(make_rows) -> None:
    one = make_rows(kinds=["class"], methods=["scrub"]).assign(forget_classes="yes")
    ten = with_settings(one, "-ten", forget_classes="yes,no,up")
    found = prepare(pd.concat([one, ten], ignore_index=True))
    assert found.groupby("forget_classes")["forget_rule"].unique().map(list).to_dict() == {
        "yes": ["1 class"],
        "yes,no,up": ["3 classes"],
    }
    assert set(prepare(one)["forget_rule"]) == set(one["forget_rule"])  # named where they differ


def test_of_two_equal_runs_the_later_stands_and_the_other_is_told(make_rows) -> None:
    rows = make_rows(methods=["retrain", "scrub"], kinds=["sample"], seeds=[0])
    again = with_settings(rows[rows["method"] == "scrub"], "-again", finished_at="2027-01-01", package_version="9")
    lines, superseded = reported(prepare(pd.concat([rows, again])))
    assert lines[lines["method"] == "scrub"]["trial_id"].tolist() == again["trial_id"].tolist()
    assert superseded["trial_id"].tolist() == rows[rows["method"] == "scrub"]["trial_id"].tolist()


def test_searches_and_what_only_they_needed_stand_in_no_table(make_rows, make_search_rows) -> None:
    rows = make_rows(kinds=["sample"], backbones=["whisper_nano"])
    needed = with_settings(rows[(rows["method"] == "retrain") & (rows["seed"] == 0)], "-tuning", seed=1000)
    lines, _ = reported(prepare(pd.concat([rows, make_search_rows(), needed])))
    assert set(lines["seed"]) == {0, 1, 2, 3, 4}
    assert set(lines["stage"]) == {"retrain", "unlearn"}


def test_originals_as_trained_stand_in_no_table(make_rows, change) -> None:
    rows = make_rows(methods=["original"], kinds=["sample"])
    lines, _ = reported(prepare(change(rows, {"seed": 0}, stage="train", unlearning="none")))
    assert 0 not in set(lines["seed"])


def test_a_lost_row_takes_its_methods_label_from_the_others(make_rows, change) -> None:
    rows = change(make_rows(kinds=["sample"]), {"method": "scrub", "seed": 1}, method_label=None, status="failed")
    assert labels(rows).count("SCRUB") == 1
    assert "scrub" not in labels(rows)


def test_curricula_presets_and_adapters_are_lines_of_their_own(make_rows) -> None:
    rows = make_rows(methods=["retrain", "scrub"], kinds=["sample"])
    scrub = rows[rows["method"] == "scrub"]
    easy, hard = ({"order": order, "start_share": 1.0} for order in ("easy_first", "hard_first"))
    laid = [
        {"curriculum": json.dumps(easy)},
        {"curriculum": json.dumps(hard)},
        {"lora": json.dumps({"rank": 8})},
        {"best_epoch": json.dumps({"rule": "rewind"})},
        {"superloss": json.dumps({"strength": 10.0, "tau": "mubench"})},
        {"superloss": json.dumps({"strength": 1.0, "tau": "fixed"}), "curriculum": json.dumps(hard)},
    ]
    more = [with_settings(scrub, f"-{n}", **columns) for n, columns in enumerate(laid)]
    assert labels(pd.concat([rows, *more])) == [
        "Retrain", "SCRUB", "SCRUB + LoRA", "SCRUB + SuperLoss (MU-Bench code)", "SCRUB + SuperLoss + hard first",
        "SCRUB + best epoch", "SCRUB + easy first", "SCRUB + hard first",
    ]  # fmt: skip


def test_two_paces_of_a_curriculum_are_two_lines(make_rows) -> None:
    rows = make_rows(methods=["retrain"], kinds=["sample"])
    scrub = make_rows(methods=["scrub"], kinds=["sample"])
    paced = [
        with_settings(scrub, f"-{share}", curriculum=json.dumps({"order": "random", "start_share": share}))
        for share in (0.5, 1.0)
    ]
    assert labels(pd.concat([rows, *paced]))[1:] == [
        "SCRUB + random order (curriculum.start_share 0.5)", "SCRUB + random order (curriculum.start_share 1)",
    ]  # fmt: skip


def test_requests_for_one_speaker_and_for_several_are_never_averaged(make_rows) -> None:
    def recipe(**forget: object) -> str:
        return json.dumps({"forget": {"name": "speaker", "settings": {"kind": "speaker", **forget}}})

    one = make_rows(kinds=["speaker"], methods=["scrub"]).assign(recipe=recipe())
    parts = [with_settings(one, f"-{n}", recipe=recipe(num_speakers=n)) for n in (2, 10)]
    found = prepare(pd.concat([one, *parts], ignore_index=True))
    assert set(found["forget_rule"]) == {"1 speaker", "2 speakers", "10 speakers"}
    assert found.groupby("recipe")["forget_rule"].nunique().tolist() == [1, 1, 1]
    assert set(prepare(one)["forget_rule"]) == set(one["forget_rule"])


@pytest.mark.parametrize(
    ("kind", "first", "second", "names"),
    [
        ("entity", {"entities": ["lisbon"]}, {"entities": ["oslo"]}, {"lisbon", "oslo"}),
        ("entity", {}, {"num_entities": 2}, {"1 entity", "2 entities"}),
        ("canary", {"num_canaries": 2}, {"canaries": ["planted-00"]}, {"2 canaries", "planted-00"}),
        ("speaker", {"speakers": ["ann"]}, {"speakers": ["bob"]}, {"ann", "bob"}),
        ("ids", {"ids": ["a", "b"]}, {"file_sha256": "abcdef01"}, {"a, b", "list abcdef"}),
    ],
)
def test_no_request_supersedes_one_of_its_kind_for_something_else(make_rows, kind, first, second, names) -> None:
    one = make_rows(kinds=["speaker"], methods=["retrain", "scrub"], seeds=[0]).assign(unlearning=kind)
    parts = [
        with_settings(one, f"-{n}", recipe=json.dumps({"forget": {"settings": {"kind": kind, **settings}}}))
        for n, settings in enumerate((first, second))
    ]
    rows = prepare(pd.concat(parts, ignore_index=True))
    lines, superseded = reported(rows)
    assert set(lines["forget_rule"]) == names
    assert superseded.empty
    assert len(lines) == len(rows)
    assert set(prepare(parts[0])["forget_rule"]) == set(one["forget_rule"])  # named where they differ


def test_a_run_that_failed_is_no_request_for_another_number_of_classes(make_rows) -> None:
    ten = make_rows(kinds=["class"], methods=["scrub"]).assign(forget_classes="yes,no,up")
    failed = with_settings(ten, "-failed", forget_classes="")
    assert set(prepare(pd.concat([ten, failed]))["forget_rule"]) == set(ten["forget_rule"])


def test_many_names_are_a_number_and_a_digest_of_them() -> None:
    def name(*speakers: str) -> str:
        return request_name("speaker", json.dumps({"forget": {"settings": {"speakers": list(speakers)}}}))

    assert name("a", "b", "c") == "a, b, c"
    assert name(*"abcd").startswith("4 speakers ")
    assert name(*"abcd") != name(*"abce")
