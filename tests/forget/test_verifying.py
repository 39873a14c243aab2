from __future__ import annotations

import json
import shutil

import pytest

from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.scratch import CONTENT, MARKER
from orchestrator.forget.verifying import exit_code, residue_of, verify


@pytest.fixture
def served(first, tmp_path):
    """A copy of the output of a speaker's request, and the key."""
    return shutil.copytree(first.folder, tmp_path / "out"), open_key(first.folder.parent / "key", create=False)


def states(checks):
    return [check.state for check in checks]


def test_an_unchanged_output_is_confirmed_from_what_it_kept_and_from_the_recordings(served, commands):
    folder, key = served
    checks = verify(folder, commands / "manifest.csv", key)
    assert states(checks) == ["confirmed"] * 4, checks
    assert exit_code(checks) == 0


def test_without_recordings_only_what_needs_them_cannot_be_told(served):
    checks = verify(served[0])
    assert states(checks) == ["confirmed", "confirmed", "confirmed", "cannot tell"]
    assert exit_code(checks) == 4


def test_deleted_recordings_are_said_to_be_deleted(served, commands, tmp_path):
    copy = shutil.copytree(commands, tmp_path / "copy")
    for path in copy.glob("*-ann-0[0-5].wav"):
        path.unlink()
    checks = verify(served[0], copy / "manifest.csv", served[1])
    assert checks[-1].state == "cannot tell"
    assert "recordings deleted (24 of 120)" in checks[-1].said


def test_a_changed_model_and_a_changed_verdict_differ(served, commands):
    folder, key = served
    weights = folder / "model/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 0x40
    weights.write_bytes(content)
    report = json.loads((folder / "report.json").read_text())
    report["verdict"] = (
        "no evidence of memory left" if report["verdict"] != "no evidence of memory left" else "cannot tell"
    )
    (folder / "report.json").write_text(json.dumps(report))
    checks = verify(folder, commands / "manifest.csv", key)
    assert states(checks)[0] == states(checks)[2] == "differs"
    assert exit_code(checks) == 3


def test_deleted_outputs_and_another_key_cannot_be_told(served, commands, tmp_path):
    folder, _ = served
    assert states(verify(folder, commands / "manifest.csv", open_key(tmp_path / "other")))[3] == "cannot tell"
    shutil.rmtree(folder / "evidence")
    assert states(verify(folder))[2] == "cannot tell"


def test_what_another_version_of_the_rule_decided_cannot_be_checked_and_its_version_is_named(served, commands):
    folder, key = served
    other = {"verdict": "cannot tell", "reasons": ["a sentence that this version does not write"]}
    report = json.loads((folder / "report.json").read_text())
    versions = {**report["provenance"]["versions"], "speech-unlearning": "0.1.9"}
    report = {**report, **other, "provenance": {**report["provenance"], "versions": versions}}
    (folder / "report.json").write_text(json.dumps(report))
    assert states(verify(folder))[2] == "differs"
    del report["rule"]
    (folder / "report.json").write_text(json.dumps(report))
    checks = verify(folder, commands / "manifest.csv", key)
    assert states(checks) == ["confirmed", "confirmed", "cannot tell", "confirmed"]
    assert "cannot be checked: speech-unlearning 0.1.9 wrote this output by version 0 of the rule" in checks[2].said
    assert exit_code(checks) == 4
    (folder / "evidence/outputs.parquet").write_bytes(b"of another format")
    checks = verify(folder, commands / "manifest.csv", key)
    assert states(checks)[2:] == ["cannot tell", "cannot tell"]


def test_a_report_of_another_format_cannot_be_checked(served):
    report = json.loads((served[0] / "report.json").read_text())
    (served[0] / "report.json").write_text(json.dumps({**report, "format": 9}))
    checks = verify(served[0])
    assert states(checks) == ["cannot tell"]
    assert "cannot be checked" in checks[0].said
    assert "in format 9" in checks[0].said


def test_an_original_whose_place_is_unknown_cannot_be_told(served):
    (served[0] / "evidence/places.json").unlink()
    assert states(verify(served[0]))[:2] == ["confirmed", "cannot tell"]


def test_a_folder_that_is_no_output_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no output of"):
        verify(tmp_path)


def test_residue_is_found_by_the_pseudonyms_of_the_report(served, commands, tmp_path):
    folder, key = served
    (tmp_path / ".x-1").mkdir()
    (tmp_path / ".x-1" / MARKER).write_text(CONTENT)
    found, not_searched = residue_of(folder, commands / "manifest.csv", key, None, [], tmp_path / "cache")
    assert not_searched == []
    assert tmp_path / ".x-1" in {residue.path for residue in found}
    with pytest.raises(ValueError, match="not the key"):
        residue_of(folder, commands / "manifest.csv", open_key(tmp_path / "other"), None, [])


def test_what_a_scan_cannot_search_is_said(served, commands, tmp_path):
    """A report of before, without digests of audio, and a manifest from which the recordings were pruned."""
    folder, key = served
    lines = (commands / "manifest.csv").read_text().splitlines()
    (tmp_path / "pruned.csv").write_text("\n".join(line for line in lines if ",ann," not in line))
    where = tmp_path / "pruned.csv", key, commands, [], tmp_path / "cache"
    assert ["60 of 60 recordings are not in the manifest" in line for line in residue_of(folder, *where)[1]] == [True]
    report = json.loads((folder / "report.json").read_text())
    assert len(report["request"].pop("audio")) == 60
    (folder / "report.json").write_text(json.dumps(report))
    assert "the audio of 60 of 60 recordings is deleted" in residue_of(folder, *where)[1][1]


def test_outputs_of_something_else_are_refused_in_one_line(served, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = served[0] / "evidence/outputs.parquet"
    kept = pq.read_table(path)
    for other in (pa.table({"a": [1]}), kept.drop(["child"]), kept.drop(["part"]), kept.replace_schema_metadata({})):
        pq.write_table(other, path)
        with pytest.raises(ValueError, match="holds no outputs"):
            verify(served[0])


def test_damaged_values_of_kept_outputs_are_refused_in_one_line(served):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = served[0] / "evidence/outputs.parquet"
    kept = pq.read_table(path)
    labels, parts, wide = (kept[name].to_pylist() for name in ("label", "part", "child"))
    for name, values in (
        ("label", [99, *labels[1:]]), ("label", [-1, *labels[1:]]), ("label", [None, *labels[1:]]),
        ("child", [row[:2] for row in wide]), ("child", [1.0] * len(wide)), ("child", ["a"] * len(wide)),
        ("child", [[float("nan")] * 4, *wide[1:]]), ("child", [[None] * 4, *wide[1:]]),
        ("original", [[float("inf")] * 4, *wide[1:]]), ("relearned", [row[:3] for row in wide]),
        ("part", ["other", *parts[1:]]), ("part", ["forget"] * len(parts)), ("relearned_on", [None] * len(parts)),
        ("recording", [None, *parts[1:]]), ("speaker", [1] * len(parts)),
    ):  # fmt: skip
        pq.write_table(kept.set_column(kept.column_names.index(name), name, pa.array(values)), path)
        with pytest.raises(ValueError, match=rf"holds no outputs of `unlearn forget` \(.*{name}"):
            verify(served[0])
    for changed in (kept.slice(0, 0), kept.replace_schema_metadata({"forgotten_class": "9"})):
        pq.write_table(changed, path)
        with pytest.raises(ValueError, match="holds no outputs"):
            verify(served[0])


@pytest.mark.parametrize("value", [float("nan"), 1.0])
def test_outputs_that_are_not_close_differ_also_where_they_are_no_numbers(served, commands, monkeypatch, value):
    from orchestrator.forget.speech import Speech

    real = Speech.logits
    monkeypatch.setattr(Speech, "logits", lambda *arguments: real(*arguments) + value)
    check = verify(served[0], commands / "manifest.csv", served[1])[3]
    assert (check.state, f"differ by up to {value:.4f}" in check.said) == ("differs", True)


def test_a_model_with_other_classes_than_were_kept_differs(served, commands, monkeypatch):
    from orchestrator.forget.speech import Speech

    real = Speech.logits
    monkeypatch.setattr(Speech, "logits", lambda *arguments: real(*arguments)[:, :3])
    assert "has 3 classes, and 4 were kept" in verify(served[0], commands / "manifest.csv", served[1])[3].said


def test_residue_is_listed_after_the_model_was_moved_away(served, commands, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, key = served
    shutil.move(folder / "model", tmp_path / "deployed")
    assert states(verify(folder, commands / "manifest.csv", key))[0] == "cannot tell"
    ids = [f"{word}-ann-{take:02d}" for word in ("down", "up") for take in range(9)]
    (tmp_path / "r/outputs").mkdir(parents=True)
    table = pa.table({"utterance_id": ids, "true_label": [1] * 9 + [0] * 9})
    pq.write_table(table, tmp_path / "r/outputs/t.parquet")
    found, _ = residue_of(folder, commands / "manifest.csv", key, None, [tmp_path / "r"], tmp_path / "cache")
    assert (tmp_path / "r/outputs/t.parquet", "") in [(one.path, one.kept_because) for one in found]


def test_residue_of_a_report_of_another_format_is_not_searched(served, commands):
    report = json.loads((served[0] / "report.json").read_text())
    (served[0] / "report.json").write_text(json.dumps({**report, "format": 9}))
    found, not_searched = residue_of(served[0], commands / "manifest.csv", served[1], None, [])
    assert (found, "in format 9" in not_searched[0]) == ([], True)


def test_other_reasons_for_the_same_verdict_are_said_to_be_others(served):
    report = json.loads((served[0] / "report.json").read_text())
    (served[0] / "report.json").write_text(json.dumps({**report, "reasons": ["another"]}))
    check = verify(served[0])[2]
    assert (check.state, "again, for other reasons" in check.said) == ("differs", True)
