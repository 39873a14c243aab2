"""W&B writes a run per trial offline, with its curve, settings and summary, and nothing about the machine."""

from __future__ import annotations

import json
import os
import struct

import pytest

from orchestrator.results.curves import read_curve

wandb = pytest.importorskip("wandb")


BLOCK_BYTES, HEADER_BYTES, FIRST = 32_768, 7, 7  # of LevelDB's log format, and of the file's own header


def records_of(folder):
    """Read the records of an offline run: messages of W&B's protocol in LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    (file,) = folder.glob("*.wandb")
    content, at, parts = file.read_bytes(), FIRST, b""
    while at + HEADER_BYTES <= len(content):
        if BLOCK_BYTES - at % BLOCK_BYTES < HEADER_BYTES:  # the rest of a block is padding
            at += BLOCK_BYTES - at % BLOCK_BYTES
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        parts += content[at + HEADER_BYTES : at + HEADER_BYTES + length]
        at += HEADER_BYTES + length
        if kind in (1, 4):  # a whole record, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def items(found) -> dict[str, object]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in found}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)


def test_offline_runs_have_curves_settings_and_measures(sent, store, scrub, grad_ascent):
    assert sent("wandb") == []
    folders = {path.name.rpartition("-")[2]: path for path in (store.files.local_path / "wandb").glob("offline-run-*")}
    assert set(folders) == {scrub.trial_id, grad_ascent.trial_id}
    found = list(records_of(folders[scrub.trial_id]))
    (run,) = (record.run for record in found if record.HasField("run"))
    assert (run.project, run.run_group) == ("speech-unlearning", "small")
    assert run.display_name == "sample 0.15 scrub seed 0 (espeak_keywords, logmel_cnn)"
    history = [items(record.history.item) for record in found if record.HasField("history")]
    curve = read_curve(store, scrub.trial_id)
    assert [(point["epoch"], point["curve/forget_accuracy"]) for point in history] == [
        (point["epoch"], point["forget_accuracy"]) for point in curve
    ]
    summary, config = {}, {}
    for record in found:
        summary |= items(record.summary.update) if record.HasField("summary") else {}
        config |= items(record.run.config.update) if record.HasField("run") else {}
        config |= items(record.config.update) if record.HasField("config") else {}
    assert summary["final/test_accuracy"] == store.row(scrub.trial_id)["test_accuracy"]
    assert config["settings.epochs"] == 1


def test_nothing_about_machine_or_user_is_written(sent, store, scrub):
    sent("wandb")
    (folder,) = (store.files.local_path / "wandb").glob(f"offline-run-*-{scrub.trial_id}")
    found = [record for record in records_of(folder) if record.HasField("environment")]
    assert all(not (record.environment.host or record.environment.args) for record in found)
    assert not (folder / "files" / "wandb-metadata.json").exists()
