"""`make setup` installs dependencies once per requirements and interpreter, whole or not at all."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "install.py"
PROJECT = """
[build-system]
requires = ["hatchling"]
[project]
dependencies = ["numpy"]
[project.optional-dependencies]
train = ["torch"]
ray = []
tensorboard = []
mlflow = []
wandb = []
docs = []
dev = ["pytest"]
"""


@pytest.fixture
def install(monkeypatch, tmp_path):
    """The script, with both installations replaced by a count of them."""
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    installed: list[list[str]] = []

    def dependencies(needed, folder):
        assert not (folder / ".whole").exists()
        folder.mkdir(exist_ok=True)
        installed.append(needed)

    monkeypatch.setenv("UNLEARN_VENVS", str(tmp_path / "venvs"))
    monkeypatch.setattr(script, "install_dependencies", dependencies)
    monkeypatch.setattr(script, "install_project", lambda checkout, _: (checkout / ".venv").mkdir())
    return SimpleNamespace(script=script, main=script.main, installed=installed)


@pytest.fixture
def checkout(tmp_path):
    """Makes a folder with a pyproject.toml."""

    def make(name: str, project: str = PROJECT) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "pyproject.toml").write_text(project)
        return folder

    return make


def test_everything_that_pyproject_names_is_installed(install, checkout):
    install.main(checkout("a"))
    assert install.installed == [["hatchling", "editables", "numpy", "torch", "pytest"]]


def test_checkouts_with_equal_requirements_share_their_dependencies(install, checkout):
    first, second = checkout("a"), checkout("b", PROJECT + "[tool.ruff]\n")
    for folder in (first, second):
        install.main(folder)
    assert len(install.installed) == 1
    assert (first / ".venv/.installed").resolve() == (second / ".venv/.installed").resolve()


def test_other_requirements_or_another_interpreter_get_their_own(install, checkout, monkeypatch):
    install.main(checkout("a"))
    install.main(checkout("b", PROJECT.replace("numpy", "numpy>=2")))
    monkeypatch.setattr(sys, "version", "3.12.0")
    install.main(checkout("c"))
    assert len(install.installed) == 3


def test_checkouts_that_install_at_the_same_time_wait_for_one(install, checkout):
    threads = [threading.Thread(target=install.main, args=(checkout(name),)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(install.installed) == 1


def test_an_interrupted_installation_is_not_taken_for_a_whole_one(install, checkout, monkeypatch):
    def interrupted(needed, folder):
        (folder / "bin").mkdir(parents=True)
        raise KeyboardInterrupt

    folder = checkout("a")
    with monkeypatch.context() as patch:
        patch.setattr(install.script, "install_dependencies", interrupted)
        with pytest.raises(KeyboardInterrupt):
            install.main(folder)
    assert not (folder / ".venv").exists()
    install.main(folder)
    assert len(install.installed) == 1


def test_a_deleted_environment_is_noticed_and_made_anew(install, checkout):
    folder = checkout("a")
    install.main(folder)
    (folder / ".venv/.installed").resolve().unlink()
    assert not (folder / ".venv/.installed").exists()  # what `make` sees
    (folder / ".venv/.installed").unlink()
    (folder / ".venv").rmdir()
    install.main(folder)
    assert len(install.installed) == 2
