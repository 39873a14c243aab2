"""The report compares what a request costs others with random requests, and a warning names both figures."""

from __future__ import annotations

import json

from orchestrator.evidence.harm import Harm
from orchestrator.forget.harm import warning_of


def test_the_harm_to_others_is_compared_with_random_requests_of_the_same_size(first):
    harm = json.loads((first.folder / "report.json").read_text())["collateral"]["harm"]
    assert harm["utterances"] > 0
    assert harm["much"] == (harm["rise"] > 2 * max(harm["random"], 0.0) and harm["rise"] > 0)


def test_a_warning_names_both_figures():
    said = warning_of(Harm(rise=0.31, random=0.04, utterances=9))
    assert "rises by 31.0%, and by at most 4.0% in 50 random" in said
