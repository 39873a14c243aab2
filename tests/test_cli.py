from __future__ import annotations

import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from orchestrator import load_sweep, plan_sweep
from orchestrator.cli import _early_ray, _say_damage, main
from orchestrator.errors import RecordingsNotice

PROBE = """
import sys
sys.argv = ["unlearn", *{arguments!r}]
from orchestrator.cli import _say_damage, main
from orchestrator.errors import RecordingsNotice
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    print("LOADED", *(name for name in ("torch", "ray") if name in sys.modules))
"""


@pytest.fixture
def unlearn(monkeypatch, capfd):
    """Runs the command in this process: importing torch once is enough."""

    def call(*arguments: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["unlearn", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return SimpleNamespace(returncode=end.value.code or 0, stdout=out, stderr=err)

    return call


def loaded_by(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(arguments=list(arguments))], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, finished_small):
    folder = tmp_path_factory.mktemp("cli")
    return shutil.copytree(finished_small, folder, dirs_exist_ok=True)


def test_help_loads_neither_torch_nor_ray():
    assert loaded_by("--help") == []


def test_plan_loads_no_ray(finished):  # what loads no torch either: tests/test_extras.py
    assert loaded_by("plan", str(finished / "small.yaml")) == ["torch"]


def test_ls_names_every_method_of_the_paper(unlearn):
    shown = unlearn("ls", "methods").stdout
    assert all(name in shown for name in ("grad_ascent", "random_label", "salun", "scrub", "bad_teacher", "retrain"))


def test_plan_counts_what_is_done(unlearn, finished):
    shown = unlearn("plan", str(finished / "small.yaml"), "--results", str(finished / "r")).stdout
    assert "0 trials to run" in shown


def test_plan_says_what_cannot_run_and_does_not_count_it(unlearn, finished, cache_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARN_CACHE", str(cache_dir))
    sweep, unknown = str(finished / "small.yaml"), "unlearning=[{kind: class, classes: [xylophone]}, {kind: class}]"
    done = unlearn("plan", sweep, "--set", unknown)
    assert done.returncode == 1
    assert "refused espeak_keywords: class xylophone: class cannot be forgotten: got xylophone" in done.stdout
    assert "4 trials refused" in done.stdout
    assert "5 trials to run" in done.stdout
    missing = "backbones=[{name: hubert_base, checkpoint: some/model}, logmel_cnn]"
    done = unlearn("plan", sweep, "--set", missing)
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("refused"))
    assert "some/model" in line
    assert "5 trials to run" in done.stdout


def test_plan_builds_a_corpus_on_request(unlearn, finished, monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARN_CACHE", str(tmp_path))
    sweep, unknown = str(finished / "small.yaml"), "unlearning=[{kind: class, classes: [xylophone]}]"
    assert unlearn("plan", sweep, "--set", unknown).returncode == 0
    done = unlearn("plan", sweep, "--set", unknown, "--check")
    assert done.returncode == 1
    assert "prepared the corpus of espeak_keywords in " in done.stdout
    assert "0 trials to run" in done.stdout


def test_a_run_does_not_train_what_is_refused_and_says_so(unlearn, finished, cache_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARN_CACHE", str(cache_dir))
    sweep, unknown = str(finished / "small.yaml"), "unlearning=[{kind: class, classes: [xylophone]}]"
    done = unlearn("run", sweep, "--results", str(tmp_path / "r"), "--executor", "local", "--set", unknown)
    assert done.returncode == 1
    assert "0 trials: 0 in the results folder, 0 to run" in done.stdout
    assert "refused espeak_keywords: class xylophone" in done.stdout


def test_plan_counts_what_is_pending(unlearn, finished):
    assert "5 trials to run" in unlearn("plan", str(finished / "small.yaml")).stdout


def test_plan_shows_what_is_made_once_and_is_there(unlearn, finished, cache_dir, monkeypatch):
    monkeypatch.setenv("UNLEARN_CACHE", str(cache_dir))
    shown = unlearn("plan", str(finished / "small.yaml"), "--results", str(finished / "r")).stdout
    cells = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in shown.splitlines() if "│" in line]
    assert ["originals", "1", "1", "3"] in cells
    assert ["retrained models", "1", "1", "3"] in cells
    assert ["logits of originals", "1", "1", "2"] in cells
    assert ["features, corpus × backbone", "1", "1", "5"] in cells


def test_an_edited_sweep_runs_what_changed_and_plan_says_why(unlearn, finished):
    sweep, here, edit = str(finished / "small.yaml"), str(finished / "r"), "methods.3.epochs=3"
    assert "1 trial to run" in unlearn("plan", sweep, "--results", here, "--set", edit).stdout
    (spec,) = (s for s in plan_sweep(load_sweep(sweep, [edit]), here).pending)
    shown = unlearn("plan", sweep, "--results", here, "--set", edit, "--explain", spec.trial_id[:8]).stdout
    assert f"{spec.trial_id}: espeak_keywords logmel_cnn sample 0.15 scrub seed 0" in shown
    (line,) = (line for line in shown.splitlines() if "settings" in line)
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["method.settings.epochs", "3", "1"]


def test_status_counts_rows(unlearn, finished):
    shown = unlearn("status", str(finished / "r")).stdout
    line = next(line for line in shown.splitlines() if "small" in line)
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["small", "5", "5", "0", "0", "0", "0"]


def test_report_writes_markdown_latex_csv_and_plots(unlearn, finished):
    out = finished / "written"
    shown = unlearn("report", str(finished / "r"), "--out", str(out))
    assert shown.returncode == 0, shown.stderr
    kinds = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert {".md", ".tex", ".csv", ".svg", ".pdf", ".html"} <= kinds


def test_compare_says_that_a_sweep_is_the_whole_folder(unlearn, finished, tmp_path):
    results, page = str(finished / "r"), tmp_path / "comparison.html"
    shown = unlearn("compare", results, f"{results}#small", "--out", str(page))
    assert "5 trials are in all of r, small; 0 only in r, 0 only in small." in shown.stdout
    assert "No setting differs" in page.read_text()


def test_a_folder_goes_into_one_file_and_comes_back_as_a_leaderboard(unlearn, finished, tmp_path):
    file, page = tmp_path / "data" / "rows.parquet", tmp_path / "leaderboard.md"
    assert "5 trials: " in unlearn("compact", str(finished / "r"), "--to", str(file)).stdout
    for restored in ("5", "0"):
        assert f"{restored} trials restored" in unlearn("restore", str(file), "--results", str(tmp_path / "r")).stdout
    shown = unlearn("leaderboard", str(tmp_path / "r"), "--out", str(page))
    assert str(page) in shown.stdout
    assert "| Retrain" in page.read_text()


def test_home_is_found_in_every_path_that_is_given(unlearn, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(finished))
    assert "0 trials to run" in unlearn("plan", "~/small.yaml", "--results", "~/r").stdout
    assert "5 trials: " in unlearn("compact", "~/r", "--to", "~/all.parquet").stdout
    assert "5 trials restored" in unlearn("restore", "~/all.parquet", "--results", "~/again").stdout
    assert unlearn("report", "~/again", "--out", "~/pages").returncode == 0
    assert (finished / "pages" / "report.md").is_file()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "nothing.yaml"], "no sweep file nothing.yaml"),
        (["ls", "models"], "There is no kind 'models'. Kinds: tasks, backbones, trainings, methods, sweeps, all."),
        (["status", "nowhere"], "There are no results in"),
        (["report", "nowhere"], "There are no results"),
        (["leaderboard", "nowhere"], "There is no evidence"),
        (["compact", "nowhere", "--to", "x.parquet"], "There is nothing to compact: "),
        (["restore", "x.parquet", "--results", "r"], "restore needs a file that `unlearn compact` wrote; got"),
        (["run", "demo", "--results", "r", "--executor", "slurm"], "--executor must be ray or local; got 'slurm'"),
        (["run", "demo", "--results", "r", "--retry", "all"], "--retry must be failed; got 'all'"),
        (["plan", "demo", "--set", "seeds"], "--set needs key=value, got 'seeds'"),
        (["plan", "demo", "--explain", "00"], "--explain 00 needs --results: it compares the trial with finished ones"),
        (
            ["plan", "demo", "--results", "r", "--explain", "xyz"],
            "No trial of this sweep has an id that starts with 'xyz'",
        ),
        (
            ["tune", "demo", "--results", "r", "--objective", "test", "--executor", "local"],
            "unknown objective: got 'test'; choose from rewind",
        ),
    ],
)
def test_a_mistake_ends_in_one_clear_message(unlearn, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = unlearn(*arguments)
    assert done.returncode == 2
    assert message in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_gives_up_says_why_and_how_to_go_on(unlearn, finished, tmp_path, cache_dir, monkeypatch):
    monkeypatch.setenv("UNLEARN_CACHE", str(cache_dir))
    shutil.copytree(finished / "r", tmp_path / "r")
    broken = "methods=[original, retrain, {name: scrub, batch_size: 100000000000000000000, epochs: [1, 2, 3]}]"
    sweep, here = str(finished / "small.yaml"), str(tmp_path / "r")
    done = unlearn("run", sweep, "--results", here, "--executor", "local", "--set", broken, "--error-limit", "2")
    assert done.returncode == 3
    assert "stopped early: the same error in 2 trials (scrub on espeak_keywords, logmel_cnn)" in done.stdout
    assert "ValueError" in done.stdout
    assert "1 trial left after" in done.stdout


@pytest.mark.parametrize("begun_before", [True, False])
def test_ray_starts_early_only_for_a_folder_without_rows_wherever_it_is(finished, tmp_path, monkeypatch, begun_before):
    said = []
    monkeypatch.setattr("orchestrator.run.executors.ray_early.early_start", lambda *, wanted: said.append(wanted))
    folder = finished / "r" if begun_before else tmp_path / "r"
    for location in (str(folder), folder.as_uri()):  # a URI is read as one of an object store is
        _early_ray("ray", None, location)
    assert said == [not begun_before] * 2


def test_a_torn_row_is_named_once_and_missed_by_status(unlearn, finished, tmp_path):
    shutil.copytree(finished / "r", tmp_path / "r")
    torn = next((tmp_path / "r" / "rows").iterdir())
    torn.write_bytes(b"PAR1")
    first, second = unlearn("status", str(tmp_path / "r")), unlearn("status", str(tmp_path / "r"))
    assert f"warning: cannot read rows/{torn.name}" in first.stderr
    assert second.stderr == ""
    assert re.search(r"small +│ +5 │ +4 │ +0 │ +0 │ +0 │ +1 │", second.stdout)  # four are done, one is missing
    assert first.stdout == second.stdout


def test_a_folder_that_another_driver_has_is_a_clear_message(unlearn, finished):
    from orchestrator.results.store import open_store
    from orchestrator.run.scheduling.driver_lease import sole_driver

    with sole_driver(open_store(finished / "r").files):
        done = unlearn("run", str(finished / "small.yaml"), "--results", str(finished / "r"), "--executor", "local")
    assert done.returncode == 2
    assert "is in use by process" in done.stderr


def test_a_notice_about_recordings_is_one_line_however_often_it_comes(capsys):
    show = _say_damage(lambda *given: pytest.fail("printed as Python does"))
    for text in ("two copies", "two copies", "others"):
        show(RecordingsNotice(text), RecordingsNotice, "file.py", 1)
    assert capsys.readouterr().err.splitlines() == ["warning: two copies", "warning: others"]
