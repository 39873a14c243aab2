from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import plugin_registry, plugins, read_rows
from orchestrator.plan.originals import STANDARD

PACKAGE = Path(__file__).parent / "fixtures" / "other_package"
SWEEP = """
name: others
tasks: [tones]
backbones: [narrow_cnn]
unlearning: [{kind: sample, forget_ratio: 0.2}]
methods: [original, retrain, {name: gentle_tuning, learning_rate: 1.0e-4}]
seeds: [0]
training: [{kind: plain, epochs: 1, batch_size: 8}]
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package of somebody else, installed: its folder is searched for modules and entry points."""
    folder = tmp_path / "site"
    shutil.copytree(PACKAGE, folder)
    monkeypatch.syspath_prepend(str(folder))
    forget()
    yield folder
    forget()
    for name in [name for name in sys.modules if name.partition(".")[0] == "other_package"]:
        del sys.modules[name]


def forget():
    plugin_registry._entry_points.cache_clear()
    plugin_registry.entries.cache_clear()
    plugins.factory.cache_clear()
    plugins._adapter.cache_clear()


def add_entry_point(folder, kind, line):
    path = folder / "other_package-0.3.dist-info" / "entry_points.txt"
    path.write_text(path.read_text().replace(f"[speech_unlearning.{kind}]", f"[speech_unlearning.{kind}]\n{line}"))
    forget()


@pytest.fixture
def unlearn(installed, tmp_path):
    """Runs the command in a process of its own, where the package is installed."""

    def call(*arguments):
        variables = {**os.environ, "PYTHONPATH": str(installed), "UNLEARN_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "orchestrator.cli", *arguments]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=250, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join(done.stdout.split())

    return call


def test_plug_ins_of_an_installed_package_are_listed_planned_and_run(unlearn, tmp_path):
    shown = unlearn("ls")
    assert all(name in shown for name in ("gentle_tuning", "narrow_cnn", "tones", "plain", "other-package 0.3"))
    (tmp_path / "others.yaml").write_text(SWEEP)
    assert "refused" not in unlearn("plan", "others.yaml", "--check").partition("pending")[2]
    unlearn("run", "others.yaml", "--results", "results", "--executor", "local")
    rows = read_rows(tmp_path / "results")
    assert set(rows["status"]) == {"done"}
    assert set(rows["method"]) == {"original", "retrain", "gentle_tuning"}
    assert (set(rows["task"]), set(rows["backbone"]), set(rows["training"])) == ({"tones"}, {"narrow_cnn"}, {"plain"})


def test_ids_hash_the_name_and_version_of_another_packages_plug_in(installed):
    from orchestrator.plan.method_variants import method_plugin

    plugin = method_plugin("gentle_tuning", {})
    settings = {"learning_rate": 1e-5}
    assert plugin.recipe() == {"name": "gentle_tuning", "settings": settings, "version": 7, "content": ""}


def test_settings_are_checked_as_those_of_own_plug_ins(installed):
    assert plugins.load("backbones", "narrow_cnn").widths == (8, 8)
    with pytest.raises(ValueError, match=r"unknown setting of method gentle_tuning: got 'rate'"):
        plugins.load("methods", "gentle_tuning", rate=1.0)


def test_a_name_that_two_plug_ins_have_is_refused_where_it_is_used(installed):
    add_entry_point(installed, "methods", "scrub = other_package.method:GentleTuning")
    said = (
        "2 methods are named 'scrub': methods.scrub of this project and other_package.method:GentleTuning of "
        "other-package 0.3"
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        plugins.load("methods", "scrub")
    assert plugins.load("methods", "salun").label == "SalUn"
    assert "scrub" not in plugins.usable("methods")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("broken = other_package.nothing:Method", "No module named 'other_package.nothing'"),
        ("broken = other_package.method:Missing", "has no attribute 'Missing'"),
        ("broken = other_package.failing:Method", "ZeroDivisionError: division by zero"),
        ("broken = other_package.method:cross_entropy", "it must be a frozen dataclass"),
        ("broken = other_package.task:Tones", "Tones has no passes"),
        ("broken = other_package.bare:Bare", "Bare has no class variable `version`, a int"),
    ],
)
def test_a_broken_plug_in_names_its_package_and_leaves_the_others_alone(installed, line, said):
    (installed / "other_package" / "failing.py").write_text("1 / 0\n")
    bare = "from dataclasses import dataclass\n@dataclass\nclass Bare:\n    passes, label = 1, 'bare'\n"
    (installed / "other_package" / "bare.py").write_text(bare)
    add_entry_point(installed, "methods", line)
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        plugins.load("methods", "broken")
    assert "other-package 0.3" in str(error.value)
    assert "broken" not in plugins.usable("methods")
    assert "gentle_tuning" in plugins.usable("methods")


def test_a_broken_plug_in_is_listed_with_what_is_wrong(installed):
    from rich.console import Console

    from orchestrator.catalog import listing

    add_entry_point(installed, "methods", "broken = other_package.nothing:Method")
    console = Console(width=400)
    with console.capture() as shown:
        console.print(listing("methods"))
    assert "cannot be used: method broken cannot be imported from other_package.nothing:Method" in shown.get()
    assert "Gentle tuning: one epoch on D_r at a low rate. (other-package 0.3)" in shown.get()


def test_using_one_method_imports_no_other(tmp_path):
    program = (
        "import sys; from orchestrator import plugins; plugins.load('methods', 'fine_tune'); "
        "print(*(name for name in sys.modules if name.startswith('methods.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert "methods.fine_tune" in done.stdout.split()
    assert "methods.scrub" not in done.stdout.split()


def test_the_standard_training_is_there():
    assert STANDARD.name in plugins.names("trainings")
