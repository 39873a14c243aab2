"""Folders that cannot be written, read or found end every command with one line that says what to do."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.results.storage import Folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, finished_small):
    """Return a folder with a sweep, its results, and a file where a folder should be."""
    folder = tmp_path_factory.mktemp("folders")
    shutil.copytree(finished_small, folder, dirs_exist_ok=True)
    (folder / "file").write_text("")
    return folder


@pytest.fixture
def line(monkeypatch, capfd):
    """Runs a command that has to fail with exit code 2 and one line; gives the line."""

    def call(*arguments) -> str:
        monkeypatch.setattr(sys, "argv", ["unlearn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capfd.readouterr().err
        assert end.value.code == 2, said
        assert said.startswith("error: ")
        assert len(said.splitlines()) == 1
        return said

    return call


def commands(folder, results) -> dict[str, list[object]]:
    """Every command that reads or writes a results folder."""
    sweep, local = folder / "small.yaml", ["--executor", "local", "--set", "methods=[original]"]
    return {
        "run": ["run", sweep, "--results", results, *local],
        "plan": ["plan", sweep, "--results", results],
        "tune": ["tune", sweep, "--results", results, "--executor", "local"],
        "status": ["status", results],
        "report": ["report", results],
        "evidence": ["evidence", results],
        "leaderboard": ["leaderboard", results],
        "compact": ["compact", results, "--to", folder / "new.parquet"],
        "restore": ["restore", folder / "rows.parquet", "--results", results],
    }


EVERY = list(commands(Path(), Path()))


@pytest.mark.parametrize("command", EVERY)
def test_a_results_folder_below_a_file_is_named(finished, line, command):
    said = line(*commands(finished, finished / "file" / "r")[command])
    assert f"{finished}/file is a file. Choose another folder" in said


@pytest.mark.parametrize("command", ["run", "tune", "restore"])
def test_a_results_folder_that_cannot_be_written_is_one_line(finished, line, tmp_path, monkeypatch, command):
    from orchestrator.report.archive import compact_results
    from orchestrator.results.store import open_store

    compact_results(open_store(finished / "r"), finished / "rows.parquet")

    @contextmanager
    def read_only(self, name):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), f"{tmp_path}/r/{name}")
        yield

    monkeypatch.setattr(Folder, "new_file", read_only)
    said = line(*commands(finished, tmp_path / "r")[command])
    assert f"Read-only file system: {tmp_path}/r/" in said
    assert "Choose a folder that you can write to: --results" in said


@pytest.mark.parametrize("command", ["report", "evidence", "leaderboard"])
def test_a_folder_for_reports_that_cannot_be_made_is_one_line(finished, line, command):
    said = line(command, finished / "r", "--out", finished / "file" / "below")
    assert f"{finished}/file" in said
    assert "--out" in said


def test_other_files_that_cannot_be_written_are_one_line_before_anything_runs(finished, line, tmp_path, monkeypatch):
    below = finished / "file" / "below"
    assert str(finished / "file") in line("compact", finished / "r", "--to", below / "rows.parquet")
    tuning = ["tune", finished / "small.yaml", "--executor", "local", "--results", tmp_path / "r"]
    assert str(finished / "file") in line(*tuning, "--lock", below / "lock.yaml")
    monkeypatch.setenv("UNLEARN_CACHE", str(below))
    assert str(finished / "file") in line(*commands(finished, tmp_path / "r")["run"])
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "scratch").write_text("in its place")
    monkeypatch.setenv("UNLEARN_CACHE", str(tmp_path / "cache"))
    assert str(tmp_path / "cache" / "scratch") in line(*commands(finished, tmp_path / "r")["run"])
    assert not (tmp_path / "r" / "rows").exists()


@pytest.mark.parametrize("command", [*EVERY, "ls"])
def test_a_current_folder_that_was_deleted_is_one_line(finished, line, tmp_path, monkeypatch, command):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "Change to another folder with cd" in line(*commands(finished, "r").get(command, [command]))


def test_without_a_home_it_is_said_what_to_set(finished, line, tmp_path, monkeypatch):
    def nobody(number):
        raise KeyError(number)

    for name in ("HOME", "UNLEARN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert "Set HOME, or set UNLEARN_CACHE" in line(*commands(finished, tmp_path / "r")["run"])
    assert not list(tmp_path.glob("~"))
