from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestrator.plan.scenarios import read_scenarios, reason_unsuitable, without_sequences
from orchestrator.tasks.audio_folder import AudioFolder
from orchestrator.tasks.espeak_sentences import EspeakSentences

TASKS, BACKBONES = ["words", "people"], ["cnn", "gru"]
SAMPLE, CLASS = {"kind": "sample", "forget_ratio": 0.02}, {"kind": "class"}


def read(*entries):
    return read_scenarios(entries, TASKS, BACKBONES)


def sequence(*requests, **keys):
    return {"kind": "sequence", "requests": list(requests), **keys}


def test_a_sequence_keeps_the_order_of_its_requests_and_its_filters():
    (scenario,) = read(sequence(SAMPLE, SAMPLE, CLASS, tasks=["words"], backbones=["gru"]))
    assert [request.kind for request in scenario.requests] == ["sample", "sample", "class"]
    assert scenario.is_for("words", "gru")
    assert not scenario.is_for("people", "gru")
    assert not scenario.is_for("words", "cnn")


def test_a_sequence_is_named_by_its_requests_unless_it_has_a_name():
    named = read(sequence(SAMPLE, {**SAMPLE, "rule": "balanced"}, {"kind": "class", "classes": ["go", "no"]}))
    assert [scenario.name for scenario in named] == ["sample 0.02 > sample 0.02 balanced > class go no"]
    assert [scenario.name for scenario in read(sequence(SAMPLE, name="monthly"))] == ["monthly"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([sequence()], r"a sequence needs requests: got \[\]; list at least"),
        ([{"kind": "sequence"}], "a sequence needs requests: got None; list"),
        ([{"kind": "sequence", "requests": SAMPLE}], "a sequence needs requests: got .*; list at least"),
        (
            [sequence(SAMPLE, sequence(CLASS))],
            "cannot contain a sequence: got one as request 2, allowed: sample, class, speaker",
        ),
        ([sequence("class")], "request 1 of a sequence must have keys and values: got 'class'; write"),
        ([sequence(SAMPLE, {**CLASS, "tasks": ["words"]})], "got tasks in request 2; move them"),
        (
            [sequence({**SAMPLE, "forget_ratio": [0.1, 0.2]})],
            r"cannot be swept in a sequence: got \[0.1, 0.2\] in request 1",
        ),
        ([sequence(SAMPLE, forget_ratio=0.1)], "unknown key of a sequence: got 'forget_ratio', allowed: kind, name"),
        ([sequence({"kind": "class", "clases": ["go"]})], r"'clases' \(did you mean 'classes'\?\)"),
        ([sequence({"kind": "sample", "forget_ratio": 10})], "strictly between 0 and 1, got 10"),
        ([sequence(*[{"kind": "class", "classes": ["go"]}] * 2)], "classes can be forgotten only once: got 'go' twice"),
        ([sequence(*[{"kind": "ids", "ids": ["u1"]}] * 2)], "ids can be forgotten only once: got 'u1' twice"),
        ([sequence(*[{"kind": "mislabeled"}] * 2)], "got it twice in a sequence; remove"),
        (
            [sequence(*[{"kind": "sample", "forget_ratio": 0.5}] * 2)],
            r"must leave some of D: got .*\[0.5, 0.5\]; their sum",
        ),
        ([sequence(SAMPLE, name="a"), sequence(CLASS, name="a")], "have the same name: got 'a'; set"),
        ([{"kind": "sequnce", "requests": [SAMPLE]}], r"got 'sequnce' \(did you mean 'sequence'\?\), allowed: sample"),
        ([sequence(SAMPLE, tasks="words")], "tasks of a request must be a list of names: got 'words'; write"),
        ([sequence(SAMPLE, tasks=["nope"])], "names a task that the sweep does not have: got 'nope'"),
    ],
)
def test_a_wrong_sequence_is_refused_in_three_parts(entries, message):
    with pytest.raises(ValueError, match=message):
        read(*entries)


@pytest.mark.parametrize("request_", [{"kind": "class", "classes": []}, {"kind": "speaker", "speakers": []}])
def test_an_empty_list_of_names_is_refused(request_):
    with pytest.raises(ValueError, match="got an empty list; omit it to sample by seed"):
        read(request_)


def test_a_search_takes_each_request_of_a_sequence_as_a_scenario():
    entries = [SAMPLE, sequence(SAMPLE, CLASS, tasks=["words"])]
    assert without_sequences(entries) == [SAMPLE, {**SAMPLE, "tasks": ["words"]}, {**CLASS, "tasks": ["words"]}]
    with pytest.raises(ValueError, match="a sequence needs requests"):
        without_sequences([sequence()])


@pytest.mark.parametrize(
    ("entry", "canaries", "reason"),
    [
        ({"kind": "canary"}, 0, "the corpus has no planted secrets"),
        (
            {"kind": "canary", "canaries": ["planted-09"]},
            2,
            "no canary 'planted-09'; its canaries: planted-00, planted-01",
        ),
        ({"kind": "canary", "num_canaries": 3}, 2, "got a request for 3, allowed: 2 or fewer"),
        ({"kind": "canary", "num_canaries": 2}, 2, ""),
        ({"kind": "entity", "entities": ["Zanzibar!"]}, 2, "no transcript of the corpus contains 'Zanzibar!'"),
        ({"kind": "entity"}, 2, ""),
        ({"kind": "attribute", "attribute": "mood"}, 2, "no attribute 'mood'; its attributes: template, canary, voice"),
        ({"kind": "attribute", "attribute": "accent"}, 2, ""),
    ],
)
def test_what_a_corpus_will_lack_is_known_from_the_settings_of_its_task(entry, canaries, reason):
    task = SimpleNamespace(instance=EspeakSentences(sentences=40, voices=2, canaries=canaries))
    found = reason_unsuitable(read(entry)[0], task)
    assert (reason in found) if reason else not found


def test_what_only_the_recordings_tell_is_not_refused_by_settings(tmp_path):
    task = SimpleNamespace(instance=AudioFolder(root=str(tmp_path), target="transcripts", text_from=".txt"))
    assert not reason_unsuitable(read({"kind": "canary"})[0], task)
    assert not reason_unsuitable(read({"kind": "attribute", "attribute": "mood"})[0], task)
