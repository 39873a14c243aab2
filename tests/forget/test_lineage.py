from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from orchestrator.evidence.removal import NO_EVIDENCE
from orchestrator.forget.kept_outputs import read_outputs
from orchestrator.forget.lineage import (
    OUTPUTS,
    PLACES,
    OtherFormat,
    clip_samples_of,
    earlier_requests,
    read_report,
    still_forgotten,
)
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

    def find(model, near=()):
        return earlier_requests(model, recordings, key, near)

    return find


def changed(file, **values):
    report = json.loads(file.read_text())
    file.write_text(json.dumps({**report, **values}))


def test_a_model_folder_that_is_copied_alone_knows_all_that_it_has_forgotten(second, known, first, tmp_path, commands):
    model = shutil.copytree(second.folder / "model", tmp_path / "alone")
    found = known(model)
    speakers = [{str(name)[-6:-3] for name in known_ids(commands, one.rows)} for one in found]
    assert speakers == [{"ann"}, {"ben"}]
    assert [one.folder for one in found] == [None, None]
    assert [one.folder for one in known(model, near=[first.folder.parent])] == [first.folder, second.folder]
    assert [one["forgotten"] for one in second.report["lineage"]] == [
        first.report["request"]["forgotten"], second.report["request"]["forgotten"],
    ]  # fmt: skip


def test_outputs_of_earlier_requests_are_found_where_they_were_or_next_to_the_model(second, known, first, tmp_path):
    assert [one.folder for one in known(second.folder)] == [first.folder, second.folder]
    moved = shutil.copytree(second.folder, tmp_path / "apart/moved")
    assert [one.folder for one in known(moved)] == [first.folder, moved]
    (moved / PLACES).unlink()
    assert [one.folder for one in known(moved)] == [None, moved]
    shutil.copytree(first.folder, tmp_path / "apart/other-name")
    assert [one.folder for one in known(moved)] == [tmp_path / "apart/other-name", moved]


def known_ids(commands, rows):
    return read_manifest(commands / "manifest.csv", ("down", "left", "right", "up")).ids[rows]


def test_what_was_forgotten_stays_out_of_training_when_outputs_are_gone_and_their_checks_cannot_be_told(
    second, known, tmp_path
):
    found = known(shutil.copytree(second.folder / "model", tmp_path / "alone"))
    assert [len(one.rows) for one in found] == [24, 24]
    judged = still_forgotten(found[0], None, None)
    assert judged["verdict"] == "cannot tell"
    assert "moved or deleted" in judged["reasons"][0]


def test_the_output_of_the_same_request_on_another_model_is_not_compared_with(second, first, known, tmp_path):
    model = shutil.copytree(second.folder / "model", tmp_path / "alone")
    other = shutil.copytree(first.folder, tmp_path / "near/first")
    report = json.loads((other / "report.json").read_text())
    changed(other / "report.json", model={**report["model"], "child_sha256": "sha256:other"})
    assert known(model, near=[tmp_path / "near"])[0].folder is None


def test_without_the_file_in_its_model_an_output_knows_its_lineage_by_its_report(second, known, tmp_path):
    folder = shutil.copytree(second.folder, tmp_path / "out")
    (folder / "model/lineage.json").unlink()
    assert [len(one.rows) for one in known(folder)] == [24, 24]
    changed(folder / "report.json", lineage=None)
    with pytest.raises(ValueError, match=r"report\.json is damaged"):
        known(folder)


@pytest.mark.parametrize("attacked", [True, False])
def test_an_earlier_request_is_judged_by_the_same_rule_with_the_attack_on_the_new_child(first, known, attacked):
    """The child of the first request itself stands for the new one: with the same attack, the verdict is the same."""
    earlier = known(first.folder)[0]
    kept = read_outputs(first.folder / OUTPUTS)
    child = np.zeros((240, 4))
    mine, theirs = (np.array([earlier.row_of[name] for name in ids]) for ids in (kept.forget_ids, kept.unheard_ids))
    child[mine], child[theirs] = kept.logits["child"]
    again = still_forgotten(
        earlier, child, lambda *_: (kept.logits["relearned"], mine[kept.relearned_on]) if attacked else None
    )
    if attacked:
        assert (again["verdict"], again["reasons"]) == (first.report["verdict"], first.report["reasons"])
    assert attacked or again["verdict"] != NO_EVIDENCE


@pytest.mark.parametrize("content", ["torn", "[]", "{}", '{"format": 1, "requests": [1]}'])
def test_a_damaged_lineage_is_refused(second, known, tmp_path, content):
    model = shutil.copytree(second.folder / "model", tmp_path / "alone")
    (model / "lineage.json").write_text(content)
    with pytest.raises(ValueError, match="damaged"):
        known(model)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "no report of"), ("[]", "no JSON object"), ("torn", "is damaged"),
        ('{"format": "a"}', "its format is 'a'"),
        ('{"format": 1}', "no usable verdict"), ('{"format": 1, "verdict": 3}', "no usable verdict"),
    ],
)  # fmt: skip
def test_a_report_that_is_damaged_or_of_something_else_is_refused(tmp_path, content, said):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ValueError, match=said):
        read_report(tmp_path)


def test_a_report_of_another_format_names_the_version_that_wrote_it(tmp_path):
    versions = {"provenance": {"versions": {"speech-unlearning": "9.9"}}}
    (tmp_path / "report.json").write_text(json.dumps({"format": 2, **versions}))
    with pytest.raises(OtherFormat, match=r"written by speech-unlearning 9\.9 in format 2, and this version reads"):
        read_report(tmp_path)


def test_every_value_that_is_worked_with_is_required(first, tmp_path):
    report = json.loads((first.folder / "report.json").read_text())
    for part in ("request", "model"):
        for name in ("pseudonym", "forgotten", "child_sha256", "clip_samples"):
            if name in report[part]:
                changed_part = {**report[part], name: 1.5}
                (tmp_path / "report.json").write_text(json.dumps({**report, part: changed_part}))
                with pytest.raises(ValueError, match=f"no usable {part}.{name}"):
                    read_report(tmp_path)


def test_the_clip_length_is_known_of_an_unlearned_model_alone(first, trained, tmp_path):
    assert clip_samples_of(shutil.copytree(first.folder / "model", tmp_path / "alone")) == 3200
    assert clip_samples_of(trained) is None
