"""A terminal and a pipe show the same facts of a launch, and nothing breaks into the live region."""

from __future__ import annotations

import io
import sys
import warnings
from dataclasses import replace

import pytest
from rich.console import Console
from simulated_launch import FEATURES, Clock, launch, row, run, trials

from orchestrator.cli import _say_damage
from orchestrator.errors import DamagedFile
from orchestrator.plan.cost import kind_of
from orchestrator.run.progress import live
from orchestrator.run.progress.display import PlainDisplay
from orchestrator.run.progress.live import LiveDisplay, launch_display
from orchestrator.run.progress.observer import LaunchOutcome

FACTS = (
    "prepared corpus of espeak_keywords in 4.2 s",
    "6 trials: 0 in the results folder, 6 to run",
    "refused task x: no files",
    "2 trials at once, about ",
    "(estimated)",
    f"prepared {FEATURES} in 3.0 s",
    "[1/6] done     espeak_keywords logmel_cnn train original seed 0 (23 s)",
    "[2/6] failed   espeak_keywords logmel_cnn class salun seed 0 (2.0 s)",
    "ValueError: no mask",
    "finished in 1 min 07 s",
    "5 done, 1 failed",
    "class salun seed 0: ValueError: no mask",
    "next: unlearn run demo --results results/demo --retry failed",
)
COMMAND = "unlearn run demo --results results/demo"


def terminal(**settings) -> Console:
    return Console(record=True, force_terminal=True, width=100, file=io.StringIO(), **settings)


def shown(display: LiveDisplay) -> str:
    """The live region as text."""
    console = Console(width=100, file=io.StringIO())
    console.print(display.region())
    return console.file.getvalue()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_terminal_says_what_was_prepared_what_ended_and_what_comes_next(clock):
    console = terminal()
    run(LiveDisplay(console, command=COMMAND, clock=clock), clock)
    text = console.export_text()
    assert [fact for fact in FACTS if fact not in text] == []


def test_a_pipe_gets_the_same_facts_without_control_characters(clock):
    console = Console(file=io.StringIO(), width=100)
    run(PlainDisplay(console, command=COMMAND, clock=clock), clock)
    text = console.file.getvalue()
    assert [fact for fact in FACTS if fact not in text] == []
    assert {letter for letter in text if not letter.isprintable()} == {"\n"}


def test_the_live_region_shows_what_is_prepared(clock):
    display = LiveDisplay(terminal(), clock=clock)
    run(display, clock, until="corpus made")
    clock.now += 2
    assert "preparing corpus of espeak_keywords (2.0 s)" in shown(display)
    display.ended(None)


def test_the_live_region_shows_each_running_trial_with_phase_epoch_and_accuracy(clock):
    display = LiveDisplay(terminal(), clock=clock)
    run(display, clock, until="failure")
    text = shown(display)
    assert "class scrub seed 0: unlearning, epoch 2/3, D_v 71.2% (40 s)" in text
    assert "class salun seed 0: starting (40 s)" in text
    assert "originals 1/1, retrained 0/1, unlearning 0/4" in text
    assert "1/6" in text
    assert "1 min 07 s elapsed, about " in text
    display.ended(None)
    assert not display._live.is_started


def test_a_pipe_says_now_and_then_how_far_the_launch_is(clock):
    console = Console(file=io.StringIO(), width=100)
    run(PlainDisplay(console, clock=clock), clock, until="failure")
    text = console.file.getvalue()
    assert "1/6 (originals 1/1, retrained 0/1, unlearning 0/4), 1 min 07 s elapsed, about " in text
    assert "running espeak_keywords logmel_cnn class scrub seed 0: unlearning, epoch 2/3, D_v 71.2% (40 s)" in text
    assert text.count("elapsed") == 1  # not at each of the events within half a minute


def test_a_pipe_says_before_that_something_is_prepared(clock):
    console = Console(file=io.StringIO(), width=100)
    run(PlainDisplay(console, clock=clock), clock, until="corpus made")
    assert console.file.getvalue() == "preparing corpus of espeak_keywords\n"


def test_warnings_and_prints_appear_above_the_region_and_not_in_it(clock, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    display = LiveDisplay(Console(force_terminal=True, width=100), clock=clock)
    run(display, clock, until="failure")
    display._live.refresh()
    before = len(out.getvalue())
    with warnings.catch_warnings():
        warnings.showwarning = _say_damage(warnings.showwarning)
        warnings.showwarning(DamagedFile("row 12 is damaged"), DamagedFile, "store.py", 7)
    print("a library prints", file=sys.stderr)
    print("and prints again")
    written = out.getvalue()[before:]
    display.ended(None)
    for text in ("warning: row 12 is damaged", "a library prints", "and prints again"):
        above = written.index(text)
        assert written.rindex("\x1b[2K", 0, above) < above  # the region was erased before
        assert "elapsed" in written[above:]  # and is drawn again below


def test_medians_of_the_results_folder_are_no_estimate(clock):
    specs = trials()
    console = Console(file=io.StringIO(), width=100)
    display = PlainDisplay(console, clock=clock)
    display.planned(launch(specs, medians={kind_of(spec): 10.0 for spec in specs}))
    display.ready(1)
    assert "1 trial at once, about 60 seconds left\n" in console.file.getvalue()


def test_a_blocked_trial_is_not_waited_for(clock):
    specs = trials()
    display = PlainDisplay(Console(file=io.StringIO()), clock=clock)
    display.planned(launch(specs, medians={kind_of(spec): 10.0 for spec in specs}))
    display.blocked(specs[-1])
    assert display.remaining().seconds == 50.0
    assert display.num_ended == 1


def test_a_trial_that_is_returned_is_waited_for_again(clock):
    specs = trials()
    display = PlainDisplay(Console(file=io.StringIO()), clock=clock)
    display.planned(launch(specs, medians={kind_of(spec): 10.0 for spec in specs}))
    display.started(specs[0])
    clock.now = 9.0
    assert display.remaining().seconds == 51.0
    display.returned(specs[0])
    assert display.remaining().seconds == 60.0


def test_a_trial_of_the_results_folder_that_runs_again_is_estimated_too(clock):
    original, *others = trials()
    display = PlainDisplay(Console(file=io.StringIO()), clock=clock)
    display.planned(launch(others, num_found=1, medians={kind_of(spec): 10.0 for spec in others}))
    display.ready(1)
    before = display.remaining().seconds
    display.started(original)
    assert display.remaining().seconds > before
    display.finished(original, row(seconds=8.0))
    assert display.remaining().seconds == before


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (LaunchOutcome({"done": 6}, 0), "next: unlearn report results/demo\n"),
        (
            LaunchOutcome({"done": 4, "failed": 2}, 0),
            "next: unlearn run demo --results results/demo --retry failed (`unlearn status",
        ),
        (
            LaunchOutcome({"done": 4, "pending": 2}, 2),
            "stopped after 0.0 s with 2 trials left; give the same command again",
        ),
        (LaunchOutcome({"done": 4, "pending": 2}, 2), "next: unlearn run demo --results results/demo\n"),
        (
            LaunchOutcome({"done": 4}, 2, stopped="no room left"),
            "stopped early: no room left\n2 trials left after 0.0 s\n",
        ),
    ],
)
def test_the_end_names_the_next_command(clock, outcome, said):
    console = Console(file=io.StringIO(), width=100)
    display = PlainDisplay(console, command=COMMAND, clock=clock)
    display.planned(launch(trials()))
    display.ended(outcome)
    assert said in console.file.getvalue()


def test_a_folder_with_a_space_is_quoted_in_the_next_command(clock):
    display = PlainDisplay(Console(file=io.StringIO()), command=COMMAND, clock=clock)
    display.planned(replace(launch(trials()), results="my results/demo"))
    assert display.next_command(LaunchOutcome({"done": 6}, 0)) == "unlearn report 'my results/demo'"


def test_only_a_terminal_or_a_notebook_that_can_redraw_gets_a_live_region(monkeypatch):
    assert isinstance(launch_display(terminal()), LiveDisplay)
    assert isinstance(launch_display(Console(file=io.StringIO())), PlainDisplay)
    monkeypatch.setattr(live, "find_spec", lambda name: None)
    assert isinstance(launch_display(Console(force_jupyter=True)), PlainDisplay)
    monkeypatch.setattr(live, "find_spec", lambda name: name)
    assert isinstance(launch_display(Console(force_jupyter=True)), LiveDisplay)


def test_many_running_trials_are_shown_in_a_few_lines(clock):
    display = LiveDisplay(terminal(), clock=clock)
    display.planned(launch(trials()))
    for number in range(30):
        display.started(trials()[1].but(seed=number))
    assert "and 22 more" in shown(display)
    display.ended(None)


def test_the_row_of_a_trial_without_a_message_says_how_it_stopped(clock):
    console = Console(file=io.StringIO(), width=100)
    display = PlainDisplay(console, clock=clock)
    specs = trials()
    display.planned(launch(specs))
    display.started(specs[0])
    display.finished(specs[0], row("failed", stop_reason="hang"))
    assert console.file.getvalue().endswith("(4.0 s)\nhang\n")
