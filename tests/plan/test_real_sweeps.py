"""The sweeps on real speech report on what no search and no design sees; here they are planned, never run."""

from __future__ import annotations

import pytest

from orchestrator import load_sweep
from orchestrator.plan.grid import build_grid
from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.run.searches import search_grid, searches_of

REAL = [name for name in shipped_sweeps() if name.startswith("leaderboard_real")]
DESIGNED = {"speaker": {f"s{n:02d}" for n in range(1, 16)}, "take": set(map(str, range(20)))}


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Files with the names of both corpora: enough to plan with."""
    arabic, fsdd = tmp_path / "arabic_speech_commands", tmp_path / "fsdd" / "recordings"
    tables = {"keywords.csv": ["path,label,speaker,split"], "speakers.csv": ["path,label,speaker,split"]}
    for word in ("eight", "no"):
        (arabic / word).mkdir(parents=True)
        for n in range(1, 31):
            path, split = f"{word}/{n:02d}_01.flac", "test" if n % 5 == 0 else "train"
            (arabic / path).write_bytes(path.encode())
            tables["keywords.csv"].append(f"{path},{word},s{n:02d},{split}")
            tables["speakers.csv"].append(f"{path},s{n:02d},s{n:02d},{split}")
    for name, lines in tables.items():
        (arabic / name).write_text("\n".join(lines))
    fsdd.mkdir(parents=True)
    for take in range(50):
        for digit in "01":
            (fsdd / f"{digit}_ann_{take}.wav").write_bytes(f"{digit}{take}".encode())
    monkeypatch.setenv("UNLEARN_DATA", str(tmp_path))


def unlocked(name):
    """A sweep without its lock file, whose choices are bound to the real recordings."""
    return load_sweep(name).sweep.model_copy(update={"lock": None})


def where_of(task):
    return {column: set(map(str, values)) for column, values in task.settings["where"].items() if column != "label"}


@pytest.mark.parametrize("name", REAL)
def test_reported_recordings_are_none_that_were_designed_on(name, recordings):
    sweep = load_sweep(name).sweep
    for task in sweep.tasks:
        for column, values in where_of(task).items():
            assert not values & DESIGNED[column]
        for column, values in where_of(task.for_tuning).items():
            assert values <= DESIGNED[column]
        noise = [entry.settings.get("label_noise", {}).get("seed") for entry in (task, task.for_tuning)]
        assert noise == [None, None] or noise[0] != noise[1]
    assert not {1000, 1001, 1002} & set(sweep.seeds)


@pytest.mark.parametrize("name", [name for name in REAL if not name.endswith(("tiny", "base"))])
def test_a_sweep_on_small_networks_can_be_planned_whole(name, recordings):
    grid = build_grid(unlocked(name))
    assert grid.trials
    assert not grid.refused


def test_the_leaderboard_has_eight_cells_of_equal_searches(recordings):
    sweep = unlocked("leaderboard_real")
    cells = {(s.task.title, s.forget.key) for s in build_grid(sweep).trials if s.stage == "retrain"}
    assert len(cells) == 8
    found = searches_of(search_grid(sweep), sweep, sweep.tuning.trials, sweep.tuning.objective)
    assert {len(study.trials) for study in found.studies.values()} == {8}
    assert len(found.studies) == 8 * 15
    assert found.without_space == ()


def test_both_leaderboards_together_have_every_method_that_is_searched_alike(recordings):
    both = [load_sweep(name).sweep for name in ("leaderboard_real", "leaderboard_real_others")]
    first, second = ({entry.name for entry in sweep.methods} for sweep in both)
    assert first & second == {"original", "retrain"}
    assert [sweep.tuning for sweep in both] == [both[0].tuning] * 2


def test_the_design_has_the_recordings_and_the_searches_of_the_leaderboard(recordings):
    sweeps = [unlocked(name) for name in ("leaderboard_real", "design_real")]
    reported, designed = ({s.task.content for s in build_grid(sweep).trials} for sweep in sweeps)
    assert not reported & designed
    first, second = (searches_of(search_grid(s), s, 8, "gap_to_retrain") for s in sweeps)
    assert first.studies.keys() == second.studies.keys()
    assert {spec.trial_id for spec in first.trials} == {spec.trial_id for spec in second.trials}
    assert {s.task.content for s in second.trials} == designed


def test_ten_speakers_go_one_by_one_and_in_one_request(recordings):
    trials = build_grid(unlocked("leaderboard_real_requests")).trials
    last = [s for s in trials if s.stage == "retrain" and len(s.before) == 9]
    group = [s for s in trials if s.stage == "retrain" and s.request.get("num_classes") == 10]
    assert (len(last), len(group)) == (3, 3)


def test_all_methods_run_at_each_of_four_budgets(recordings):
    trials = build_grid(unlocked("leaderboard_real_budgets")).trials
    made = {(s.method.name, s.budget["fraction"]) for s in trials if s.budget}
    assert len(made) == 8 * 4


def test_ten_speakers_in_one_request_are_searched_apart_from_one(recordings):
    sweep = unlocked("leaderboard_real_requests_group")
    found = searches_of(search_grid(sweep), sweep, sweep.tuning.trials, sweep.tuning.objective)
    sizes = [study.trials[0].request.get("num_classes") or 1 for study in found.studies.values()]
    assert (sizes.count(1), sizes.count(10), len(sizes)) == (7, 7, 14)
    last = [s for s in build_grid(sweep).trials if s.stage == "retrain" and s.before]
    assert {(s.request["num_classes"], s.before[0].settings["num_classes"]) for s in last} == {(None, 10)}
