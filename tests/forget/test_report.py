from __future__ import annotations

import pytest

from methods.base import Training
from orchestrator.forget.request import Request
from orchestrator.forget.serving import serve


def test_without_speakers_the_names_of_classes_are_pseudonyms_and_holdout_speech_is_counted(
    options, commands, tmp_path
):
    lines = [line.split(",") for line in (commands / "manifest.csv").read_text().splitlines()]
    rows = [[name, path, label, split.replace("test", "holdout")] for name, path, label, _, split in lines]
    (tmp_path / "m.csv").write_text("\n".join(",".join(row) for row in rows))
    (tmp_path / "ids.txt").write_text("\n".join(row[0] for row in rows[1:] if "-ann-" in row[0] and row[3] == "train"))
    brief = {"data": tmp_path / "m.csv", "root": commands, "method": "npo", "training": Training(epochs=1)}
    served = serve(options(Request(ids_file=tmp_path / "ids.txt"), "nobody", **brief))
    classes = served.report["collateral"]["classes"]
    assert [row["recordings"] for row in classes] == [24] * 4
    assert all(row["class"].startswith("speaker-") for row in classes)
    assert "down" not in (served.folder / "model/README.md").read_text()
    said = serve(options(Request(ids_file=tmp_path / "ids.txt"), "nobody-said", **brief, classes_are="words"))
    assert [row["class"] for row in said.report["collateral"]["classes"]] == ["down", "left", "right", "up"]


def test_the_operator_says_whether_classes_are_people(options):
    brief = {"method": "npo", "training": Training(learning_rate=1e-3, epochs=1), "classes_are": "people"}
    served = serve(options(Request(speaker="ben"), "people", **brief))
    assert all(row["class"].startswith("speaker-") for row in served.report["collateral"]["classes"])
    assert "as classes are or may be people" in (served.folder / "report.html").read_text()
    with pytest.raises(ValueError, match=r"--classes-are must be people or words; got .names."):
        options(Request(speaker="ben"), "people", classes_are="names")
