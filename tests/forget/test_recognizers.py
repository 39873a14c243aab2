"""A removal request on a recognizer, from its manifest with transcripts to the report, which speaks of word errors."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from methods.base import Training
from orchestrator.evidence.removal import CANNOT_TELL
from orchestrator.forget.predict import predict_files
from orchestrator.forget.pseudonyms import open_key
from orchestrator.forget.recordings import read_manifest
from orchestrator.forget.request import Request, resolve
from orchestrator.forget.serving import Options, serve
from orchestrator.forget.verifying import verify
from tests.forget.transcribed import WORDS, train, write_manifest


@pytest.fixture(scope="module", params=["wav2vec2_nano_ctc", "whisper_seq2seq_nano"])
def options(request, tmp_path_factory):
    """Options of a request on a recognizer of each kind."""
    folder = tmp_path_factory.mktemp("recognizers")
    manifest = write_manifest(folder)
    model = train(request.param, manifest, folder / "model", epochs=15)
    training = Training(learning_rate=2e-3, epochs=4, batch_size=12)
    return Options(
        model=model, data=manifest, request=Request(speaker="ann"), out=folder / "served", key=folder / "key",
        training=training,
    )  # fmt: skip


@pytest.fixture(scope="module")
def served(options):
    return serve(options)


def test_the_child_has_other_weights_and_the_same_files(options, served) -> None:
    from backbones.opened import open_model

    parent, child = (open_model(folder) for folder in (options.model, served.folder / "model"))
    before, after = (opened.load().state_dict() for opened in (parent, child))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    for name in ("tokenizer.json", "vocab.json", "preprocessor_config.json"):
        if (options.model / name).is_file():
            assert (options.model / name).read_bytes() == (served.folder / "model" / name).read_bytes()


def test_report_and_card_speak_of_word_errors_and_name_no_class(served) -> None:
    report = json.loads((served.folder / "report.json").read_text())
    assert report["collateral"]["measure"] == "WER"
    assert [row["class"] for row in report["collateral"]["classes"]] == ["all speech"]
    assert report["request"]["found_in_training"] == 12
    assert report["evidence"]["after"][0]["name"] == "Membership by loss"
    for file in ("report.html", "model/README.md"):
        text = (served.folder / file).read_text()
        assert "WER" in text
        assert "ccuracy" not in text
        assert not [word for word in WORDS if f" {word} " in text.lower().replace("stop ", "").replace(" now ", "")]


def test_the_checks_can_be_repeated(options, served) -> None:
    checks = verify(served.folder, options.data, open_key(options.key, create=False))
    assert {check.state for check in checks} == {"confirmed"}


def test_a_recognizer_transcribes_recordings_one_by_one(options, served) -> None:
    first, second = (options.data.parent / f"ann-0{take}.wav" for take in (0, 1))
    both = predict_files(options.model, [first, second])
    assert both[1] == predict_files(options.model, [second])[0]
    assert both[0].text is not None
    assert both[0].ranked == ()


def test_a_request_for_a_planted_secret_is_served_and_its_verdict_says_what_measures_it(options) -> None:
    found = serve(
        replace(options, request=Request(canary="secret"), out=options.out.with_name("secret"), method="grad_ascent")
    )
    assert found.decision.verdict == CANNOT_TELL
    assert "one observation, and 10 are needed" in found.decision.reasons[0]
    assert "exposure" in found.decision.reasons[0]
    assert found.report["request"]["found_in_training"] == 4
    checks = verify(found.folder, options.data, open_key(options.key, create=False))
    assert {check.state for check in checks} == {"confirmed"}


def test_what_needs_classes_is_refused_before_a_recording_is_read(options) -> None:
    said = list[str]()
    with pytest.raises(ValueError, match="unheard cannot be used here"):
        serve(replace(options, method="unheard", out=options.out.with_name("none")), said.append)
    assert not said


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(label="go"), "has no classes"),
        (Request(entity="Paris"), "No transcript of manifest.csv contains 'Paris'"),
        (Request(canary="other"), "has no canary 'other'; it has secret"),
    ],
)
def test_a_request_that_names_nothing_says_what_the_manifest_has(options, request_, message) -> None:
    with pytest.raises(ValueError, match=message):
        resolve(request_, read_manifest(options.data, ("",)), ("",))


def test_an_entity_is_found_in_normalized_transcripts_as_whole_words(options) -> None:
    recordings = read_manifest(options.data, ("",))
    found = resolve(Request(entity="Home!"), recordings, ("",))
    said = np.array(["home" in text.split() for text in recordings.texts])
    assert np.array_equal(found.alike, said)
    assert np.array_equal(found.rows, np.flatnonzero(said & (recordings.splits == "train")))
    assert found.forgotten_class is None


def test_an_entity_of_a_classifier_is_refused(commands) -> None:
    with pytest.raises(ValueError, match="has no transcripts"):
        resolve(Request(entity="up"), read_manifest(commands / "manifest.csv", None), ("up",))


def test_a_recording_that_would_be_cut_is_refused_as_a_part_does_not_have_its_transcript(options, tmp_path) -> None:
    if not (options.model / "vocab.json").is_file() or "Whisper" in (options.model / "config.json").read_text():
        pytest.skip("its folder fixes the length of clips")
    with pytest.raises(ValueError, match=r"recordings are longer than 0\.2 s, such as 'ann-00'"):
        serve(replace(options, clip_seconds=0.2, out=tmp_path / "out"))


def test_a_recording_that_is_too_short_for_its_transcript_is_named(options, tmp_path) -> None:
    text = options.data.read_text().replace("ann-03.wav,", f"ann-03.wav,{'Go home now. ' * 20}")
    (tmp_path / "manifest.csv").write_text(text)
    if "Whisper" in json.loads((options.model / "config.json").read_text())["architectures"][0]:
        pytest.skip("a decoder writes as many tokens as it likes")
    with pytest.raises(ValueError, match="too short for their transcripts, such as 'ann-03'"):
        serve(replace(options, data=tmp_path / "manifest.csv", root=options.data.parent, out=tmp_path / "out"))
