"""Attribute unlearning from sweep to evidence: rows, probe, and accuracy by group."""

from __future__ import annotations

import pandas as pd
import pytest

from orchestrator import load_sweep, read_rows, run_sweep, write_report
from orchestrator.report.evidence.write import write_evidence
from orchestrator.results.store import open_store
from orchestrator.run.evaluation.row import rule_of

KEYS = [
    "unlearning=[{kind: attribute, attribute: noise, value: hum}, {kind: attribute, attribute: pitch, at_least: 60}]",
    "methods=[original, retrain, {name: grad_ascent, learning_rate: 1.0e-3}]",
    "evidence={probe: true}",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache_dir, write_small):
    folder = tmp_path_factory.mktemp("attributes")
    run_sweep(load_sweep(write_small(folder), KEYS), folder / "r", executor="local", cache_dir=cache_dir)
    return folder / "r"


@pytest.fixture(scope="module")
def rows(finished):
    return read_rows(finished)[lambda found: found["stage"] != "train"]


def test_rows_say_what_was_forgotten_and_how_the_test_set_fares_with_and_without_it(rows) -> None:
    assert set(rows["status"]) == {"done"}
    assert set(rows["forget_rule"]) == {"noise hum", "pitch at_least 60"}
    assert set(rows["forget_attribute"]) == {"noise = hum", "60 ≤ pitch"}
    with_it = rows["num_test_attribute"] * rows["test_accuracy_attribute"]
    without = (rows["num_test"] - rows["num_test_attribute"]) * rows["test_accuracy_others"]
    whole = rows["num_test"] * rows["test_accuracy"]
    every = rows["forget_rule"] == "noise hum"  # every recording has a noise, and not every one a pitch
    pd.testing.assert_series_equal((with_it + without)[every], whole[every], check_names=False)


def test_the_two_requests_are_two_blocks_of_the_report(finished, tmp_path) -> None:
    text = write_report(finished, tmp_path / "report")[0].read_text(encoding="utf-8")
    assert "Attribute Unlearning (noise hum; " in text
    assert "Attribute Unlearning (pitch at_least 60; " in text


def test_the_evidence_has_a_probe_for_the_attribute_and_accuracy_by_group(finished, rows, tmp_path) -> None:
    write_evidence(open_store(finished), tmp_path)
    groups = pd.read_csv(tmp_path / "groups.csv")
    hum = groups[groups["forget_rule"] == "noise hum"]
    assert set(hum["group"]) == {"white", "pink", "brown", "hum", "babble"}
    assert set(hum.loc[hum["forgotten"], "group"]) == {"hum"}
    assert hum.groupby(["method"])["utterances"].sum().nunique() == 1
    assert set(groups.loc[groups["forget_rule"] != "noise hum", "group"]) == {"60 ≤ pitch", "others"}
    assert "hum (forgotten)" in (tmp_path / "evidence.md").read_text(encoding="utf-8")
    probes = pd.concat(pd.read_parquet(finished / "evidence" / f"{trial}.parquet") for trial in rows["trial_id"])
    assert probes.loc[probes["test"] == "probe", "value"].between(0, 1).all()
    assert len(probes) == len(rows)


def test_recordings_without_a_pitch_are_no_evidence_for_its_absence(finished, rows) -> None:
    probes = {
        rule: pd.read_parquet(finished / "evidence" / f"{trial}.parquet")["utterances"].iloc[0]
        for rule, trial in zip(rows["forget_rule"], rows["trial_id"], strict=True)
    }
    assert probes["pitch at_least 60"] < probes["noise hum"]  # in some of which nobody speaks


def test_a_rule_names_what_the_request_names() -> None:
    assert rule_of({"kind": "sample", "rule": "balanced"}) == "balanced"
    assert rule_of({"kind": "attribute", "attribute": "accent", "value": None, "rule": "random"}) == "accent"
