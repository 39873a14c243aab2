from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from methods.base import Training
from orchestrator.evidence.removal import EXIT_CODES, NO_EVIDENCE
from orchestrator.forget.request import Request
from orchestrator.forget.scratch import PREFIX
from orchestrator.forget.serving import serve


def digests(folder):
    return {f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture(scope="module")
def second(first, options):
    """A class, forgotten by the child of the first request."""
    return serve(options(Request(label="up"), "second", model=first.folder))


def test_the_child_is_a_plain_transformers_model_with_the_parents_labels_and_type(first, trained):
    import transformers

    parent, child = (
        transformers.AutoModelForAudioClassification.from_pretrained(folder)
        for folder in (trained, first.folder / "model")
    )
    assert child.config.id2label == parent.config.id2label
    assert child.dtype == parent.dtype
    before, after = ((f / "preprocessor_config.json").read_text() for f in (trained, first.folder / "model"))
    assert before == after
    assert any(not torch.equal(a, b) for a, b in zip(parent.parameters(), child.parameters(), strict=True))


def test_the_report_says_the_verdict_its_exit_code_and_the_counts_of_the_request(first):
    report = json.loads((first.folder / "report.json").read_text())
    assert report["verdict"] in EXIT_CODES
    assert report["exit_code"] == EXIT_CODES[report["verdict"]] == first.decision.exit_code
    assert report["request"]["found_in_training"] == len(report["request"]["forgotten"]) == 24
    assert len(report["request"]["never_trained_on"]) == 36
    assert report["model"]["parent_sha256"] != report["model"]["child_sha256"]


def test_no_document_names_a_recording_or_a_person(first):
    for file in ("report.json", "report.html", "model/README.md", "model/lineage.json"):
        text = (first.folder / file).read_text()
        assert not [name for name in ("ann", "ben", "cas", "dee") if f"-{name}-" in text or f'"{name}"' in text]


def test_no_document_has_a_path_of_a_model_or_output_as_it_may_name_a_person(second, first, trained):
    """Only `evidence/places.json` has them, which is its owner's alone; residue is listed by its path."""
    for folder, parent in ((first.folder, trained), (second.folder, first.folder)):
        for file in ("report.json", "report.html", "model/README.md", "model/lineage.json"):
            text = (folder / file).read_text()
            for row in json.loads((folder / "report.json").read_text())["residue"]:
                text = text.replace(row["path"], "")
            assert str(parent) not in text
            assert str(folder) not in text
        assert str(parent) in (folder / "evidence/places.json").read_text()
        assert (folder / "evidence/places.json").stat().st_mode & 0o777 == 0o600


def test_input_is_unchanged_and_nothing_else_is_left(options, trained, commands):
    before = digests(trained), digests(commands)
    served = serve(options(Request(label="left"), "class"))
    assert (digests(trained), digests(commands)) == before
    assert not list(served.folder.parent.glob(f"{PREFIX}*"))


def test_an_interrupted_run_leaves_no_output(options, monkeypatch):
    from orchestrator.forget import serving

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "after_relearning", interrupted)
    made = options(Request(speaker="ben"), "interrupted")
    with pytest.raises(KeyboardInterrupt):
        serve(made)
    assert not made.out.exists()
    assert not list(made.out.parent.glob(f"{PREFIX}*"))


def test_a_forgotten_class_is_named_less_and_the_first_request_is_checked_again(second):
    report = second.report
    named = report["evidence"]["after"][0]
    assert named["child"] < named["original"]
    assert [row["kind"] for row in report["earlier"]] == ["speaker"]
    assert report["earlier"][0]["recordings"] == 24
    assert report["earlier"][0]["verdict"] in EXIT_CODES


def test_an_earlier_request_is_attacked_by_relearning_on_the_new_child(second, first, options, monkeypatch):
    """It is attacked on its own recordings, apart from those of the new request."""
    from orchestrator.forget import serving

    attacked = []

    def attack(case, child, forgotten, unheard):
        attacked.append({str(name).split("-")[1] for name in case.recordings.ids[forgotten]})
        assert not set(case.retain) & set(forgotten)
        return real(case, child, forgotten, unheard)

    real = serving.after_relearning
    monkeypatch.setattr(serving, "after_relearning", attack)
    brief = {"method": "npo", "training": Training(learning_rate=1e-3, epochs=1)}
    serve(options(Request(speaker="ben"), "attacked-again", model=first.folder, **brief))
    assert attacked == [{"ben"}, {"ann"}]
    assert "checking earlier requests" in second.report["provenance"]["seconds"]


def test_speakers_who_stay_are_not_charged_with_the_class_that_is_forgotten(second):
    assert {row["recordings"] for row in second.report["collateral"]["speakers"]} == {18}


def test_a_second_request_does_not_train_on_what_the_first_removed(second):
    assert second.report["request"]["found_in_training"] == 18
    assert second.report["method"]["limit_samples"] == 0.5 * 25 * (96 - 24 - 18)


def test_another_key_cannot_continue_a_lineage(first, options, tmp_path):
    with pytest.raises(ValueError, match="another key"):
        serve(options(Request(label="up"), "other-key", model=first.folder, key=tmp_path / "other"))


def test_purge_comes_after_the_report_and_is_then_recorded_there(options, monkeypatch):
    """What is found is on record before anything is removed; without `purge` it is only listed."""
    from orchestrator.forget import serving
    from orchestrator.forget.scratch import CONTENT, MARKER

    brief = {"method": "npo", "training": Training(learning_rate=1e-3, epochs=1)}
    made = options(Request(speaker="ben"), "purging", **brief)
    made = made.__class__(**{**vars(made), "out": made.out.parent / "purged/out"})
    left, seen = made.out.parent / ".killed-1", []
    left.mkdir(parents=True)
    (left / MARKER).write_text(CONTENT)
    listed, said = serve(made.__class__(**{**vars(made), "out": made.out.parent / "listed"}), seen.append), seen[-2]
    assert left.is_dir()
    assert "dry run" in said
    mine = [row for row in listed.report["residue"] if row["path"] == str(left)]
    assert [row["removed"] for row in mine] == [False]

    def purge(found):
        report = json.loads((made.out / "report.json").read_text())
        assert not [row for row in report["residue"] if row["removed"]]
        return real([one for one in found if one.path == left])

    real = serving.purge
    monkeypatch.setattr(serving, "purge", purge)
    serve(made.__class__(**{**vars(made), "purge": True}))
    report = json.loads((made.out / "report.json").read_text())
    assert [row["removed"] for row in report["residue"] if row["path"] == str(left)] == [True]
    assert not left.exists()
    assert not list(made.out.rglob(".*"))


def test_an_attack_that_fails_is_reported_and_confirmed_by_verify(options, monkeypatch):
    from orchestrator.forget import serving
    from orchestrator.forget.verifying import verify

    monkeypatch.setattr(serving, "after_relearning", lambda *_: None)
    said = []
    brief = {"method": "npo", "training": Training(learning_rate=1e-3, epochs=1)}
    served = serve(options(Request(speaker="ben"), "not-attacked", **brief), said.append)
    assert "relearning attack: failed, its training diverged" in said
    assert served.report["evidence"]["relearned"] is False
    assert "The relearning attack failed" in (served.folder / "report.html").read_text()
    assert served.decision.verdict != NO_EVIDENCE
    assert [check.state for check in verify(served.folder)][2] == "confirmed"


def test_a_manifest_without_unheard_speech_to_choose_or_judge_on_is_refused_before_anything_is_computed(
    options, commands, tmp_path, monkeypatch
):
    """Unheard recordings are of the forgotten class alone, or their audio is in training too."""
    from orchestrator.forget import serving

    monkeypatch.setattr(serving, "read_speech", lambda *_: pytest.fail("read"))
    train = [f"{word}-ann-0{take}.wav,{word},train" for word in ("up", "down") for take in range(3)]
    test, validation = "down-ann-12.wav,down,test", "down-ann-13.wav,down,validation"
    for number, (unheard, said) in enumerate((
        ((test, "up-ann-13.wav,up,validation"), "to choose on"),
        ((test, "./down-ann-01.wav,down,validation"), "to choose on"),
        (("./down-ann-01.wav,down,test", validation), "to judge on"),
    )):  # fmt: skip
        manifest = tmp_path / f"{number}.csv"
        manifest.write_text("\n".join(["path,label,split", *train, *unheard]))
        made = options(Request(label="up"), "no-speech", data=manifest, root=commands)
        with pytest.raises(ValueError, match=f"leaves no recording {said}"):
            serve(made)
        assert not made.out.exists()


def test_an_output_is_never_overwritten(first, options):
    with pytest.raises(ValueError, match="exists already"):
        serve(options(Request(speaker="ann"), "first"))


def test_speakers_without_unheard_recordings_need_retrain(options, commands, untrained, tmp_path):
    lines = (commands / "manifest.csv").read_text().splitlines()
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(line for line in lines if ",ann," not in line or line.endswith("train")))
    brief = {"data": manifest, "root": commands, "method": "npo", "training": Training(learning_rate=1e-3, epochs=3)}
    alone = serve(options(Request(speaker="ann"), "alone", **brief))
    assert alone.report["verdict"] == "cannot tell"
    assert "no fair comparison" in alone.report["reasons"][0]
    said = []
    brief |= {"with_retrain": True, "base": untrained}
    with_retrain = serve(options(Request(speaker="ann"), "retrain", **brief), said.append)
    assert [c["without_memory"] for c in with_retrain.report["evidence"]["after"]] == [0.0, 0.0]
    assert with_retrain.report["evidence"]["with_retrain"]
    assert "--with-retrain" not in with_retrain.report["before_said"] + "".join(said)


def test_no_model_is_retrained_where_unheard_speech_is_a_fair_reference(options, untrained):
    said, brief = [], {"method": "npo", "training": Training(learning_rate=1e-3, epochs=1)}
    served = serve(options(Request(speaker="ann"), "fair", **brief, with_retrain=True, base=untrained), said.append)
    assert not served.report["evidence"]["with_retrain"]
    assert "retraining" not in served.report["provenance"]["seconds"]
    assert any(line.startswith("no model is retrained") for line in said)


def test_unheard_speech_of_a_removed_speaker_does_not_count_for_everybody_else(first):
    assert [row["recordings"] for row in first.report["collateral"]["classes"]] == [18] * 4


def test_retrain_needs_the_encoder_that_it_starts_from(options):
    with pytest.raises(ValueError, match="--base"):
        serve(options(Request(speaker="ann"), "no-base", with_retrain=True))


def test_recordings_that_the_model_never_saw_are_not_cleared(options, commands, tmp_path):
    """Relabel unheard recordings as trained on: the model has nothing of them to forget."""
    rows = [line.split(",") for line in (commands / "manifest.csv").read_text().splitlines()]
    ids = [row[0] for row in rows[1:] if row[4] == "test"][::2]
    for row in rows[1:]:
        row[4] = "train" if row[0] in ids else row[4]
    (tmp_path / "m.csv").write_text("\n".join(",".join(row) for row in rows))
    (tmp_path / "ids.txt").write_text("\n".join(ids))
    made = options(
        Request(ids_file=tmp_path / "ids.txt"), "wrong", data=tmp_path / "m.csv", root=commands, method="npo"
    )
    served = serve(made)
    assert not any(c["measurable"] for c in served.report["evidence"]["before"])
    assert served.decision.verdict != NO_EVIDENCE


def test_outputs_that_are_kept_have_one_row_for_each_recording_that_is_compared(first):
    import pyarrow.parquet as pq

    table = pq.read_table(first.folder / "evidence/outputs.parquet")
    assert (first.folder / "evidence/outputs.parquet").stat().st_mode & 0o777 == 0o600
    parts = np.array(table["part"].to_pylist())
    assert {name: int((parts == name).sum()) for name in ("forget", "unheard")} == {"forget": 24, "unheard": 96}
    assert set(table["recording"].to_pylist()[0][:10]) <= set("recording-")


@pytest.mark.parametrize(("architecture", "family"), [("Wav2Vec2", "wav2vec2"), ("Hubert", "hubert")])
def test_networks_of_waveforms_with_learned_layer_sums_are_served_too(
    options, waveforms, tmp_path, architecture, family
):
    """`auto` then takes a method that needs no other encoder."""
    import transformers

    model = waveforms(architecture, family, tmp_path / "m", half=True)
    brief = {"model": model, "training": Training(learning_rate=1e-3, epochs=1)}
    served = serve(options(Request(speaker="ann"), family, **brief))
    child = transformers.AutoModelForAudioClassification.from_pretrained(served.folder / "model")
    assert served.report["method"]["name"] == "npo"
    assert child.dtype == torch.float16
    assert child.config.use_weighted_layer_sum
    assert served.report["verdict"] == "cannot tell"


def test_a_model_with_weights_that_are_not_finite_is_refused_before_recordings_are_read(
    options, trained, tmp_path, monkeypatch
):
    from backbones.fine_tuned import open_fine_tuned
    from orchestrator.forget import serving

    opened = open_fine_tuned(trained)
    broken = opened.load()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    opened.save(broken, tmp_path / "m")
    monkeypatch.setattr(serving, "read_speech", lambda *_: pytest.fail("read"))
    with pytest.raises(ValueError, match="weights that are not finite"):
        serve(options(Request(speaker="ben"), "broken", model=tmp_path / "m"))
