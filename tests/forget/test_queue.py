from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from orchestrator.forget import queue
from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.queue import read_requests, serve_queue
from orchestrator.forget.request import Request


@pytest.fixture
def listed(tmp_path):
    """Reads a list of requests."""

    def write(text):
        (tmp_path / "requests.csv").write_text(text)
        return read_requests(tmp_path / "requests.csv")

    return write


def test_each_row_is_a_request_and_files_of_ids_are_relative_to_the_list(listed, tmp_path):
    found = listed("name,forget,speaker,class\nr1,ids.csv,,\nr2,,ann,\nr3,,,up\n")
    assert [q.name for q in found] == ["r1", "r2", "r3"]
    assert [q.request for q in found] == [
        Request(ids_file=tmp_path / "ids.csv"), Request(speaker="ann"), Request(label="up"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,speaker\n../up,ann\n", "cannot be a folder"),
        ("name,speaker\nr,ann\nr,ben\n", "given twice"),
        ("name,speaker\nr,\n", "row 1: Say what to forget"),
        ("name,speaker\n", "lists no requests"),
        ("speaker\nann\n", "name"),
    ],
)
def test_a_list_that_cannot_be_served_is_refused_before_anything_runs(listed, text, said):
    with pytest.raises(ValueError, match=said):
        listed(text)


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no file"):
        read_requests(tmp_path / "nothing.csv")


def test_requests_are_served_in_order_from_the_child_of_the_one_before_and_resume(
    options, first, monkeypatch, listed, tmp_path
):
    """The first request has its output already; only the others are served, from it."""
    served = []

    def serve(made, say):
        """Leave an output with the weights of the first one's child and a report of what was asked."""
        served.append((made.model, made.out.name, made.request))
        shutil.copytree(first.folder, made.out)
        report = json.loads((made.out / "report.json").read_text())
        report["request"]["asked"] = open_key(made.key).of("asked", f"speaker\n{made.request.speaker}")
        report["model"]["parent_sha256"] = report["model"]["child_sha256"]
        (made.out / "report.json").write_text(json.dumps(report))
        return SimpleNamespace(decision=SimpleNamespace(exit_code=0))

    monkeypatch.setattr(queue, "serve", serve)
    made = replace(options(Request(speaker="ann"), "first"), out=tmp_path / "q")
    shutil.copytree(first.folder, made.out / "first")
    requests, said = listed("name,speaker\nfirst,ann\nq2,ben\nq3,cas\n"), []
    code = serve_queue(made, requests, said.append)
    assert served == [
        (made.out / "first", "q2", Request(speaker="ben")),
        (made.out / "q2", "q3", Request(speaker="cas")),
    ]
    assert code == first.decision.exit_code
    assert "served before" in said[0]
    assert serve_queue(made, requests) == code
    assert len(served) == 2


@pytest.mark.parametrize("kind", ["speaker", "forget"])
@pytest.mark.parametrize("deleted", ["rows", "files"])
def test_a_list_continues_after_the_recordings_of_a_served_request_were_deleted(
    options, first, commands, monkeypatch, listed, tmp_path, kind, deleted
):
    lines, folder = (commands / "manifest.csv").read_text().splitlines(), shutil.copytree(commands, tmp_path / "c")
    ids = [line.split(",")[0] for line in lines if ",ann," in line]
    for name in ids:
        (folder / f"{name}.wav").unlink()
    (tmp_path / "ids.txt").write_text("\n".join(ids))
    (tmp_path / "m.csv").write_text("\n".join(line for line in lines if deleted == "files" or ",ann," not in line))
    out = shutil.copytree(first.folder, tmp_path / "q/first")
    made = replace(options(Request(speaker="ann"), "first"), out=out.parent, data=tmp_path / "m.csv", root=folder)
    if kind == "forget":
        report = json.loads((out / "report.json").read_text())
        report["request"]["asked"] = open_key(made.key).of("asked", "\n".join(["ids", *sorted(ids)]))
        (out / "report.json").write_text(json.dumps(report))
    served = []
    monkeypatch.setattr(
        queue, "serve", lambda made, _: served.append(made.out.name) or SimpleNamespace(decision=first.decision)
    )
    asked = {"speaker": "first,,ann", "forget": "first,ids.txt,"}[kind]
    assert serve_queue(made, listed(f"name,forget,speaker\n{asked}\nrest,,ben\n")) == first.decision.exit_code
    assert served == ["rest"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("q1,ben\nq2,nobody\n", r"request 2 \(q2\): No recording"),
        ("q1,ben\nq2,ben\n", r"request 2 \(q2\): Earlier requests removed all 24"),
    ],
)
def test_a_mistake_in_a_later_row_stops_the_list_before_anything_is_served(options, monkeypatch, listed, rows, said):
    monkeypatch.setattr(queue, "serve", lambda *_: pytest.fail("served"))
    with pytest.raises(ValueError, match=said):
        serve_queue(options(Request(speaker="ben"), "list"), listed(f"name,speaker\n{rows}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,speaker,class\nfirst,dee,\n", "row 1 of the list .first., which has changed"),
        ("name,speaker,class\nfirst,,up\n", "which has changed"),
        ("name,speaker,class\nnew,ben,\nfirst,ann,\n", "was not made from .*new"),
    ],
)
def test_an_output_of_another_request_or_another_model_is_not_taken_for_this_one(
    options, first, monkeypatch, listed, text, said, tmp_path
):
    """Nothing is served before all outputs that are there are compared with the list."""
    monkeypatch.setattr(queue, "serve", lambda *_: pytest.fail("served"))
    made = replace(options(Request(speaker="ann"), "first"), out=first.folder.parent)
    with pytest.raises(ValueError, match=said):
        serve_queue(made, listed(text))


def test_a_queue_is_not_continued_with_another_key_or_model(options, first, untrained, listed, tmp_path):
    made = replace(options(Request(speaker="ann"), "first"), out=first.folder.parent)
    requests = listed("name,speaker\nfirst,ann\n")
    with pytest.raises(ValueError, match="another key"):
        serve_queue(replace(made, key=tmp_path / "other"), requests)
    with pytest.raises(ValueError, match="was not made from"):
        serve_queue(replace(made, model=untrained), requests)
    assert serve_queue(made, requests) == first.decision.exit_code


def test_evidence_of_memory_in_one_request_is_the_exit_code_of_a_list(options, listed, monkeypatch):
    """3 is stronger than 4."""
    for codes, whole in (((0, 4, 3), 3), ((4, 0, 0), 4), ((0, 0, 0), 0)):
        left = list(codes)
        monkeypatch.setattr(
            queue, "serve", lambda *_, left=left: SimpleNamespace(decision=SimpleNamespace(exit_code=left.pop(0)))
        )
        requests = listed("name,speaker\nx1,ann\nx2,ben\nx3,cas\n")
        assert serve_queue(options(Request(speaker="ann"), "codes"), requests) == whole
