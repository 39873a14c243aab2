"""The commands of the page on removal requests run, one after another, on a small model."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from docs.test_commands import ROOT, commands

from orchestrator.cli import main

WORDS = ("go", "stop")
SPEAKERS = ("spk0042", "spk0007", "spk0001")
QUICK = ("--epochs", "1", "--method", "npo")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with what the page's paths stand for; it is the current folder."""
    import soundfile
    import torch

    from orchestrator import plugins

    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    backbone = plugins.load("backbones", "whisper_nano")
    backbone.save_pretrained(backbone.build(len(WORDS)), tmp_path / "commands", WORDS, clip_samples=3200)
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "path", "label", "speaker", "split"])
        for take in range(96):
            soundfile.write(tmp_path / f"{take}.wav", 0.1 * rng.standard_normal(3200), 16_000)
            split = ("train", "train", "validation", "test")[take % 4]
            rows.writerow([f"r{take}", f"{take}.wav", WORDS[take // 12 % 2], SPEAKERS[take // 4 % 3], split])
    (tmp_path / "remove.csv").write_text("id\nr0\nr1\nr16\n")
    (tmp_path / "requests.csv").write_text("name,speaker,class\nq1,spk0007,\nq2,,stop\n")
    (tmp_path / "results/study").mkdir(parents=True)
    (tmp_path / "recording.wav").write_bytes((tmp_path / "0.wav").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page_run_in_its_order(workplace, monkeypatch, capfd):
    shown = list(commands(ROOT / "docs/removal.md"))
    assert {words[0] for words in shown} == {"forget", "verify", "gc", "predict"}
    for words in shown:
        here = [w.replace("/models/", "").replace("/data/", "") for w in words]
        more = ["--key", "key"] if words[0] in ("forget", "verify") else []
        monkeypatch.setattr(sys, "argv", ["unlearn", *here, *more, *(QUICK if words[0] == "forget" else ())])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        assert code in (0, 3, 4), (words, capfd.readouterr().err)
    assert (Path("served/queue/q2/report.html")).is_file()
    assert sorted(p.name for p in Path("served").iterdir()) == ["queue", "r1", "r2", "r3", "r4"]
