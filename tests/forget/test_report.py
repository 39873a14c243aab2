from __future__ import annotations

import numpy as np
import pytest

from methods.base import Training
from orchestrator.forget.report import may_be_people
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


def test_words_that_several_people_say_are_no_people():
    labels, speakers = np.tile(np.repeat([0, 1, 2], 5), 20), np.repeat([f"id{n}" for n in range(20)], 15)
    assert not may_be_people(("down", "left", "up"), labels, speakers)
    once = np.append(labels, 0), np.append(speakers, "id99")  # one who said one word
    assert not may_be_people(("down", "left", "up"), *once)


@pytest.mark.parametrize(
    ("classes", "labels", "speakers"),
    [
        (("ann", "ben"), [0, 0, 1, 1], ["id1", "id1", "id2", "id2"]),  # ids of speakers, names of classes
        (("ann", "ben"), [0] * 10 + [1] * 11, ["id1"] * 10 + ["id2"] * 10 + ["id1"]),  # with one wrong row
        (("ann", "rest"), [0, 0, 1, 1, 1, 1], ["id1", "id1", "id2", "id2", "id3", "id3"]),
        (("ann", "ben"), [0, 0, 1, 1], ["s1", "s2", "s3", "s4"]),  # sessions
        (("Ann", "Ben"), [0, 1, 0, 1], ["ANN", "ANN", "ben", "ben"]),
        (("down", "up"), [0, 1, 0, 1], ["", "id1", "id2", "id2"]),
    ],
)
def test_classes_may_be_people_whatever_speakers_are_called(classes, labels, speakers):
    assert may_be_people(classes, np.array(labels), np.array(speakers))


def test_names_of_classes_are_hashed_in_all_documents_where_speakers_are_ids(options, commands, tmp_path):
    """A model that names speakers; the manifest has their ids as speakers."""
    lines = [line.split(",") for line in (commands / "manifest.csv").read_text().splitlines()[1:]]
    rows = [",".join([name, path, label, f"id_{label}", split]) for name, path, label, _, split in lines]
    (tmp_path / "m.csv").write_text("\n".join(["id,path,label,speaker,split", *rows]))
    brief = {"data": tmp_path / "m.csv", "root": commands, "method": "npo", "training": Training(epochs=1)}
    served = serve(options(Request(speaker="id_up"), "speakers", **brief))
    for file in ("report.json", "report.html", "model/README.md"):
        text = (served.folder / file).read_text()
        shown = [f'"{name}"' for name in ("down", "left", "right")] if file == "report.json" else []
        shown += [shown_as.format(name) for name in ("down", "left", "right") for shown_as in (">{}<", "{}: accuracy")]
        assert not [name for name in shown if name in text]
