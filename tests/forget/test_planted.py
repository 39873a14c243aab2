"""The verdict on planted cases, of which it is known whether the model still holds the recordings."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from orchestrator.evidence.removal import CANNOT_TELL, EVIDENCE, NO_EVIDENCE

SOURCE = Path(__file__).with_name("planted.py")
IN_CI, ALL = 20, 335  # two hundred of them hold the recordings: 0 cleared are at most 1.5 % at 95 % confidence
HOLDING = ("unchanged", "trained further on D_f", "other recordings removed")


@pytest.fixture(scope="module")
def cases(cache_dir):
    """Plants a number of cases, each kind and each way to name D_f in alternation."""
    import sys

    spec = importlib.util.spec_from_file_location("planted", SOURCE)
    planted = importlib.util.module_from_spec(spec)
    sys.modules["planted"] = planted
    spec.loader.exec_module(planted)
    torch.set_num_threads(1)
    x, words = planted.embeddings(cache_dir)

    def plant(count):
        kinds = planted.KINDS
        found = [planted.plant(kinds[n % len(kinds)], n // len(kinds), x, words) for n in range(count)]
        print(planted.table(found))
        return found

    return plant


def verdicts(found, *kinds, measurable=False):
    return [c.decision.verdict for c in found if c.kind in kinds and (c.measurable or not measurable)]


def check(found, count):
    assert len(found) == count
    assert NO_EVIDENCE not in verdicts(found, *HOLDING)
    assert set(verdicts(found, "too few recordings")) == {CANNOT_TELL}
    unchanged, good = verdicts(found, "unchanged", measurable=True), verdicts(found, "good removal")
    assert unchanged.count(EVIDENCE) >= 0.95 * len(unchanged) > 0
    return good.count(NO_EVIDENCE), len(good)


def test_no_model_that_holds_the_recordings_is_cleared_in_twenty_cases(cases):
    cleared, good = check(cases(IN_CI), IN_CI)
    assert cleared >= good / 2


@pytest.mark.slow
def test_no_model_that_holds_the_recordings_is_cleared_in_two_hundred_and_most_good_removals_are(cases):
    cleared, good = check(cases(ALL), ALL)
    assert cleared >= 0.8 * good
