from __future__ import annotations

import json
import shutil

import pytest

from orchestrator.forget.lineage import earlier_requests, read_report, still_forgotten
from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.recordings import read_manifest
from orchestrator.forget.request import Request
from orchestrator.forget.serving import serve


@pytest.fixture(scope="module")
def second(first, options):
    """A second speaker, forgotten by the child of the first request."""
    from methods.base import Training

    brief = {"method": "npo", "training": Training(learning_rate=1e-3, epochs=1)}
    return serve(options(Request(speaker="ben"), "lineage", model=first.folder, **brief))


@pytest.fixture
def known(first, commands):
    """What a model folder knows of its lineage: kind, number of recordings and output of each request."""
    recordings = read_manifest(commands / "manifest.csv", ("down", "left", "right", "up"))
    key = open_key(first.folder.parent / "key", create=False)

    def find(model):
        return earlier_requests(model, recordings, key)

    return find


def changed(file, **values):
    report = json.loads(file.read_text())
    file.write_text(json.dumps({**report, **values}))


def test_a_model_folder_that_is_copied_alone_knows_all_that_it_has_forgotten(second, known, first, tmp_path, commands):
    found = known(shutil.copytree(second.folder / "model", tmp_path / "alone"))
    speakers = [{str(name)[-6:-3] for name in known_ids(commands, one.rows)} for one in found]
    assert speakers == [{"ann"}, {"ben"}]
    assert [one.folder for one in found] == [first.folder, second.folder]
    assert [one["forgotten"] for one in second.report["lineage"]] == [
        first.report["request"]["forgotten"], second.report["request"]["forgotten"],
    ]  # fmt: skip


def known_ids(commands, rows):
    return read_manifest(commands / "manifest.csv", ("down", "left", "right", "up")).ids[rows]


def test_what_was_forgotten_stays_out_of_training_when_outputs_are_moved_and_their_checks_cannot_be_told(
    second, known, tmp_path
):
    """The outputs of both requests are elsewhere now: that of the second is named, that of the first is gone."""
    model = shutil.copytree(second.folder / "model", tmp_path / "alone")
    lineage = json.loads((model / "lineage.json").read_text())
    for one in lineage["requests"]:
        one["output"] = str(tmp_path / "gone")
    (model / "lineage.json").write_text(json.dumps(lineage))
    found = known(model)
    assert [len(one.rows) for one in found] == [24, 24]
    judged = still_forgotten(found[0], None)
    assert judged["verdict"] == "cannot tell"
    assert "moved or deleted" in judged["reasons"][0]


def test_another_output_at_the_place_of_an_earlier_one_is_not_compared_with(second, first, known, tmp_path):
    model = shutil.copytree(second.folder / "model", tmp_path / "alone")
    lineage = json.loads((model / "lineage.json").read_text())
    lineage["requests"][0]["output"] = str(second.folder)
    (model / "lineage.json").write_text(json.dumps(lineage))
    assert not known(model)[0].folder.exists()


def test_an_output_of_before_that_names_one_that_is_gone_is_refused(second, known, tmp_path):
    folder = shutil.copytree(second.folder, tmp_path / "out")
    (folder / "model/lineage.json").unlink()
    assert [len(one.rows) for one in known(folder)] == [24, 24]  # found by the reports
    model = json.loads((folder / "report.json").read_text())["model"]
    changed(folder / "report.json", model={**model, "parent_output": str(tmp_path / "gone")})
    with pytest.raises(ValueError, match="which is gone"):
        known(folder)


@pytest.mark.parametrize("content", ["torn", "[]", "{}", '{"format": 1, "requests": [1]}'])
def test_a_damaged_lineage_is_refused(second, known, tmp_path, content):
    model = shutil.copytree(second.folder / "model", tmp_path / "alone")
    (model / "lineage.json").write_text(content)
    with pytest.raises(ValueError, match="damaged"):
        known(model)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "no report of"), ("[]", "no JSON object"), ("torn", "is damaged"), ('{"format": 2}', "its format is 2"),
        ('{"format": 1}', "no usable verdict"), ('{"format": 1, "verdict": 3}', "no usable verdict"),
    ],
)  # fmt: skip
def test_a_report_that_is_damaged_or_of_something_else_is_refused(tmp_path, content, said):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ValueError, match=said):
        read_report(tmp_path)


def test_every_value_that_is_worked_with_is_required(first, tmp_path):
    report = json.loads((first.folder / "report.json").read_text())
    for part in ("request", "model"):
        for name in ("pseudonym", "forgotten", "child_sha256", "parent_output", "clip_samples"):
            if name in report[part]:
                changed_part = {**report[part], name: 1.5}
                (tmp_path / "report.json").write_text(json.dumps({**report, part: changed_part}))
                with pytest.raises(ValueError, match=f"no usable {part}.{name}"):
                    read_report(tmp_path)
