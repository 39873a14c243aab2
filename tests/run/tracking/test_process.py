"""A tracker that fails is named once and dropped; the others get everything."""

from __future__ import annotations

import io
import json

import pytest

from orchestrator.results.curves import read_curve
from orchestrator.run.tracking import process, records


class Recording:
    """A tracker that remembers calls, and fails at some."""

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at, self.calls = fails_at, []

    def __getattr__(self, what):
        def call(*values):
            if what == self.fails_at:
                raise RuntimeError("no connection\nmore")
            self.calls.append((what, *values))

        return call


@pytest.fixture
def trackers(monkeypatch):
    made = {"good": Recording(), "broken": Recording(fails_at="point")}

    def open_tracker(name, folder):
        if name == "gone":
            raise ConnectionError("http://ann:SECRET@host refused")
        return made[name]

    monkeypatch.setattr(process, "open_tracker", open_tracker)
    return made


def test_a_failing_tracker_is_named_once_and_the_others_get_everything(sent, trackers, store, scrub, grad_ascent):
    failed = sent("gone", "broken", "good")
    assert failed == [
        {"tracker": "gone", "error": "ConnectionError: http://host refused"},
        {"tracker": "broken", "error": "RuntimeError: no connection"},
    ]
    good = trackers["good"].calls
    assert [call[0] for call in good[:2]] == ["begin", "begin"]
    points = [call for call in good if call[0] == "point"]
    assert [call[2] for call in points] == [point["epoch"] for point in read_curve(store, scrub.trial_id)]
    assert good[-1] == ("leave", grad_ascent.trial_id)
    assert good[-2][:3] == ("end", scrub.trial_id, "done")
    assert [call[0] for call in trackers["broken"].calls] == ["begin", "begin"]


def test_a_trial_that_was_not_started_here_is_ignored(store, scrub, trackers):
    follower = process.Follower(store, ["good"], io.StringIO())
    follower.follow([json.dumps(records.progress(scrub.trial_id)), json.dumps(records.end(store.row(scrub.trial_id)))])
    assert trackers["good"].calls == []
