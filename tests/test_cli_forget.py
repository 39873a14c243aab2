from __future__ import annotations

import csv
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from orchestrator.cli import main

WORDS = ("no", "yes")


@pytest.fixture
def unlearn(monkeypatch, capfd):
    """Runs the command in this process."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["unlearn", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return SimpleNamespace(returncode=end.value.code or 0, stdout=out, stderr=err)

    return call


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A small model and a manifest of 80 recordings of noise."""
    import soundfile
    import torch

    from orchestrator import plugins

    folder, rng = tmp_path_factory.mktemp("given"), np.random.default_rng(0)
    torch.manual_seed(0)
    backbone = plugins.load("backbones", "whisper_nano")
    backbone.save_pretrained(backbone.build(len(WORDS)), folder / "model", WORDS, clip_samples=3200)
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "speaker", "split"])
        for take in range(80):
            soundfile.write(folder / f"{take}.wav", 0.1 * rng.standard_normal(3200), 16_000)
            split = ("train", "train", "validation", "test")[take // 4 % 4]
            rows.writerow([f"{take}.wav", WORDS[take % 2], f"s{take // 2 % 2}", split])
    return folder


def test_predict_prints_labels_with_confidences(unlearn, given):
    done = unlearn("predict", given / "model", given / "0.wav", given / "1.wav", "--top", 1)
    assert done.returncode == 0
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [str(given / f"{n}.wav") for n in (0, 1)]
    assert all(line.endswith("%") for line in done.stdout.splitlines())


def test_forget_ends_with_the_exit_code_of_its_verdict_and_names_no_recording(unlearn, given, tmp_path):
    asked = ["--model", given / "model", "--data", given / "manifest.csv", "--speaker", "s1", "--method", "npo"]
    done = unlearn("forget", *asked, "--out", tmp_path / "out", "--key", tmp_path / "key", "--epochs", 1)
    assert done.returncode == 4, done.stderr
    assert "verdict: cannot tell" in done.stdout
    assert ".wav" not in done.stdout
    assert (tmp_path / "out/report.html").is_file()


def test_a_mistake_is_one_line_and_nothing_is_written(unlearn, given, tmp_path):
    asked = ["--model", given / "model", "--data", given / "manifest.csv", "--out", tmp_path / "out"]
    done = unlearn("forget", *asked, "--speaker", "nobody", "--key", tmp_path / "key")
    assert done.returncode == 2
    assert "No recording" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_numbers_out_of_bounds_and_a_missing_encoder_are_refused_before_anything_runs(unlearn, given, tmp_path):
    asked = ["--model", given / "model", "--data", given / "manifest.csv", "--speaker", "s1", "--out", tmp_path / "out"]
    for option, value, said in (
        ("--limit", "-1", "--limit must be above 0"),
        ("--limit", "nan", "--limit must be above 0"),
        ("--classes-are", "names", "--classes-are must be people or words"),
        ("--method", "nope", "Unknown method 'nope'"),
        ("--seed", "-1", "--seed must be 0 or more"),
        ("--seed", 2**70, "--seed must be 0 or more, and below 2**63"),
        ("--batch-size", 2**70, "--batch-size must be 1 or more, and below 2**31"),
        ("--epochs", 2**70, "--epochs must be 1 or more, and below 2**31"),
        ("--learning-rate", "0", "--learning-rate must be above 0"),
        ("--clip-seconds", "0", "--clip-seconds must be 0.025 to 30"),
        ("--base", tmp_path / "nope", "no model folder"),
    ):
        done = unlearn("forget", *asked, option, value)
        assert (done.returncode, said in done.stderr.replace("\n", " ")) == (2, True), done.stderr
        assert "reading" not in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_list_of_requests_and_a_request_are_not_given_together(unlearn, given, tmp_path):
    (tmp_path / "r.csv").write_text("name,speaker\nr1,s1\n")
    asked = ["--model", given / "model", "--data", given / "manifest.csv", "--out", tmp_path / "out"]
    done = unlearn("forget", *asked, "--requests", tmp_path / "r.csv", "--speaker", "s0")
    assert done.returncode == 2
    assert "Leave out --forget and the other options" in done.stderr


def test_residue_is_not_looked_for_without_the_manifest(unlearn, tmp_path):
    for option in (["--purge"], ["--scan", tmp_path]):
        done = unlearn("verify", tmp_path, *option)
        assert done.returncode == 2
        assert "need --data" in done.stderr


def test_object_stores_are_no_local_folders(unlearn, given, tmp_path):
    asked = ["--model", given / "model", "--data", given / "manifest.csv", "--speaker", "s1", "--out", tmp_path / "out"]
    for arguments in (["gc", "s3://bucket/r", "--keep-days", "1"], ["forget", *asked, "--scan", "s3://bucket/r"]):
        done = unlearn(*arguments)
        assert done.returncode == 2
        assert "s3://bucket/r is no local path" in done.stderr


def test_verify_does_not_promise_to_create_a_key(unlearn):
    assert "created" not in unlearn("verify", "--help").stdout


@pytest.mark.parametrize("content", ["{}", "[]", "torn"])
def test_verify_says_in_one_line_that_a_report_is_damaged(unlearn, tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    done = unlearn("verify", tmp_path)
    assert done.returncode == 2
    assert "report.json" in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr


def test_gc_says_that_a_folder_has_nothing_to_look_at(unlearn, tmp_path):
    assert "is no results folder" in unlearn("gc", tmp_path, "--keep-days", 1).stdout.replace("\n", " ")


@pytest.mark.parametrize("option", ["--quota-gb", "--keep-days"])
def test_rules_that_are_not_finite_are_refused_in_one_line(unlearn, tmp_path, option):
    done = unlearn("gc", tmp_path, option, "inf")
    assert done.returncode == 2
    assert "must be a finite number" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
