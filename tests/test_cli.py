from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from orchestrator import load_sweep, run_sweep
from orchestrator.cli import main

PROBE = """
import sys
sys.argv = ["unlearn", *{arguments!r}]
from orchestrator.cli import main
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
def finished(tmp_path_factory, cache_dir, write_small):
    folder = tmp_path_factory.mktemp("cli")
    run_sweep(load_sweep(write_small(folder)), folder / "r", executor="local", cache_dir=cache_dir)
    return folder


def test_help_loads_neither_torch_nor_ray():
    assert loaded_by("--help") == []


def test_status_report_and_evidence_load_neither_torch_nor_ray(finished):
    assert loaded_by("status", str(finished / "r")) == []
    assert loaded_by("report", str(finished / "r"), "--out", str(finished / "out")) == []
    assert loaded_by("evidence", str(finished / "r"), "--out", str(finished / "out")) == []
    assert (finished / "out" / "evidence.csv").is_file()


def test_ls_and_plan_do_not_load_ray(finished):
    assert loaded_by("ls") == ["torch"]
    assert loaded_by("plan", str(finished / "small.yaml")) == ["torch"]


def test_ls_names_every_method_of_the_paper(unlearn):
    shown = unlearn("ls", "methods").stdout
    assert all(name in shown for name in ("grad_ascent", "random_label", "salun", "scrub", "bad_teacher", "retrain"))


def test_plan_counts_what_is_done(unlearn, finished):
    shown = unlearn("plan", str(finished / "small.yaml"), "--results", str(finished / "r")).stdout
    assert "0 trials to run" in shown


def test_plan_counts_what_is_pending(unlearn, finished):
    assert "5 trials to run" in unlearn("plan", str(finished / "small.yaml")).stdout


def test_status_counts_rows(unlearn, finished):
    shown = unlearn("status", str(finished / "r")).stdout
    line = next(line for line in shown.splitlines() if "small" in line)
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == ["small", "5", "5", "0", "0", "0", "0"]


def test_report_writes_markdown_latex_csv_and_plots(unlearn, finished):
    out = finished / "written"
    shown = unlearn("report", str(finished / "r"), "--out", str(out))
    assert shown.returncode == 0, shown.stderr
    kinds = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert {".md", ".tex", ".csv", ".png"} <= kinds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "nothing.yaml"], "no sweep file nothing.yaml"),
        (["ls", "models"], "unknown kind: got 'models', allowed: tasks, backbones, methods, sweeps"),
        (["status", "nowhere"], "no results in"),
        (["report", "nowhere"], "no results"),
        (["run", "demo", "--results", "r", "--executor", "slurm"], "--executor is not known: got 'slurm', allowed"),
        (["run", "demo", "--results", "r", "--retry", "all"], "--retry is not known: got 'all', allowed: failed"),
        (["plan", "demo", "--set", "seeds"], "--set takes key=value, got 'seeds'"),
        (["tune", "demo", "--results", "r", "--objective", "test"], "unknown objective: got 'test', allowed: rewind"),
    ],
)
def test_a_mistake_ends_in_one_clear_message(unlearn, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = unlearn(*arguments)
    assert done.returncode == 2
    assert message in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
