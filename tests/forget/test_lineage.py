from __future__ import annotations

import json
import shutil

import pytest

from orchestrator.forget.lineage import (
    OtherFormat,
    clip_samples_of,
    places_of,
    read_report,
    served_requests,
)
from orchestrator.forget.pseudonyms import open_key


@pytest.mark.parametrize(
    "content",
    [
        "torn", "[]", "{}", '{"format": 1, "requests": [1]}',
        *('{"format": 1, "requests": [{"pseudonym": "r", "kind": "ids", "forgotten": ' + forgotten + "}]}"
          for forgotten in ("[{}]", "5", '["a"], "audio": 5, "audio_forgotten": []', '["a"], "audio": ["b"]')),
    ],
)  # fmt: skip
def test_a_damaged_lineage_is_refused(first, tmp_path, content):
    model = shutil.copytree(first.folder / "model", tmp_path / "alone")
    (model / "lineage.json").write_text(content)
    with pytest.raises(ValueError, match="damaged"):
        served_requests(model, open_key(first.folder.parent / "key", create=False))


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
        for name in ("pseudonym", "forgotten", "never_trained_on", "audio", "child_sha256", "clip_samples"):
            for value in (1.5, [{}], None, True, 0) if name in report[part] else ():
                changed_part = {**report[part], name: value}
                (tmp_path / "report.json").write_text(json.dumps({**report, part: changed_part}))
                with pytest.raises(ValueError, match=f"no usable {part}.{name}"):
                    read_report(tmp_path)


def test_places_that_are_no_paths_are_unknown(tmp_path):
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence/places.json").write_text('{"original": "/a", "outputs": [5]}')
    assert places_of(tmp_path) == {}


def test_the_clip_length_is_known_of_an_unlearned_model_alone(first, trained, tmp_path):
    assert clip_samples_of(shutil.copytree(first.folder / "model", tmp_path / "alone")) == 3200
    assert clip_samples_of(trained) is None
