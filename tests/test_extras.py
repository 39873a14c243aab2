"""Reading and reporting work without torch, Ray and what belongs to extras; a command that lacks one names it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from orchestrator.extras import IN_ALL, MODULES, MissingExtra, missing_extra, require_extras

ROOT = Path(__file__).parents[1]
BASE_ONLY = """
import sys
from importlib.machinery import PathFinder

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refusing())
from orchestrator.cli import main
for command in {commands!r}:
    sys.argv = ["unlearn", *command]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
MODULE_OF = {"espeakng-loader": "espeakng_loader", "ray[tune]": "ray"}


def base_only(*commands: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
    """Run commands in a process that can import no module of an extra, up to the first that fails."""
    refused = {module for modules in MODULES.values() for module in modules}
    code = BASE_ONLY.format(refused=refused, commands=[[str(word) for word in command] for command in commands])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_modules_are_those_that_pyproject_installs_by_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, modules in MODULES.items():
        named = {line.partition(">=")[0] for line in extras[extra]}
        assert {MODULE_OF.get(name, name) for name in named} == set(modules)
    assert extras["all"] == [f"speech-unlearning[{','.join(IN_ALL)}]"]


def test_a_report_is_made_without_any_extra(finished_small, tmp_path):
    folder = finished_small / "r"
    done = base_only(
        ("ls",),
        ("status", folder),
        ("watch", folder),
        ("report", folder, "--out", tmp_path / "out"),
        ("evidence", folder, "--out", tmp_path / "out"),
        ("leaderboard", folder, "--out", tmp_path / "page.md"),
        ("compact", folder, "--to", tmp_path / "rows.parquet"),
        ("restore", tmp_path / "rows.parquet", "--results", tmp_path / "again"),
        ("compare", folder, tmp_path / "again", "--out", tmp_path / "comparison.html"),
    )
    assert done.returncode == 0, done.stderr
    assert "scrub" in done.stdout
    assert "Retrain" in (tmp_path / "out" / "report.md").read_text()
    assert "Retrain" in (tmp_path / "page.md").read_text()
    assert all((tmp_path / name).is_file() for name in ("out/report.html", "out/evidence.csv", "comparison.html"))


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("run", "demo", "--results", "r"), "train"),
        (("run", "demo", "--results", "r", "--executor", "local"), "train"),
        (("tune", "demo", "--results", "r"), "train"),
        (("plan", "demo"), "train"),
        (("schema",), "train"),
        (("init", "recordings"), "train"),
        (("predict", "model", "a.wav"), "train"),
        (("forget", "--model", "model", "--data", "m.csv", "--class", "yes", "--out", "o"), "train"),
        (("verify", "o"), "train"),
    ],
)
def test_a_command_names_the_extra_that_it_lacks_and_writes_nothing(arguments, extra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = base_only(arguments)
    assert done.returncode == 2
    assert (
        done.stderr == f'error: unlearn {arguments[0]} needs the extra "{extra}": '
        "pip install 'speech-unlearning[all]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_extra_that_is_no_part_of_all_is_named_by_itself(monkeypatch):
    monkeypatch.setitem(MODULES, "mlflow", ("a_module_that_nobody_has",))
    with pytest.raises(
        MissingExtra, match=r"log_to needs the extra \"mlflow\": pip install 'speech-unlearning\[mlflow"
    ):
        require_extras("log_to", "train", "mlflow")


def test_a_module_of_no_extra_is_not_explained_by_one():
    assert missing_extra("unlearn report", ModuleNotFoundError("No module named 'numpy'", name="numpy")) is None
    assert missing_extra("unlearn report", ModuleNotFoundError("no name")) is None
    assert missing_extra("unlearn run", ImportError("cannot import name 'x'", name="torch")) is None


@pytest.mark.slow
def test_the_base_alone_makes_the_report_in_an_empty_environment(finished_small, tmp_path):
    """Needs a package index: it installs a wheel of this checkout and what that requires, and no extra."""
    wheels, folder = tmp_path / "wheels", tmp_path / "empty"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", wheels, ROOT], check=True)
    (wheel,) = wheels.iterdir()
    venv.create(folder, with_pip=True)
    install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--retries", "0", "--timeout", "10"]
    done = subprocess.run([*install, wheel], capture_output=True, text=True)
    if done.returncode and ("Could not find a version" in done.stderr or "No matching distribution" in done.stderr):
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def unlearn(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [folder / "bin" / "unlearn", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)

    listed = subprocess.run([*install[:3], "list"], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "ray", "transformers", "datasets"} & {line.partition(" ")[0] for line in listed.splitlines()}
    done = unlearn("report", finished_small / "r", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Retrain" in (tmp_path / "out" / "report.md").read_text()
    done = unlearn("run", "demo", "--results", "r")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "pip install 'speech-unlearning[all]'" in done.stderr
