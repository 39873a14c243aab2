from __future__ import annotations

import pytest

from orchestrator.plan.scenarios import each_alone, read_requests

TASKS, BACKBONES = ["words", "people"], ["cnn", "gru"]
SAMPLE, CLASS = {"kind": "sample", "forget_ratio": 0.02}, {"kind": "class"}


def read(*entries):
    return read_requests(entries, TASKS, BACKBONES)


def in_turn(*requests, **beside):
    return {"kind": "sequence", "requests": list(requests), **beside}


def test_a_sequence_keeps_the_order_of_its_requests_and_its_filters():
    (asked,) = read(in_turn(SAMPLE, SAMPLE, CLASS, tasks=["words"], backbones=["gru"]))
    assert [request.kind for request in asked.requests] == ["sample", "sample", "class"]
    assert asked.is_for("words", "gru")
    assert not asked.is_for("people", "gru")
    assert not asked.is_for("words", "cnn")


def test_a_sequence_is_named_by_its_requests_unless_it_has_a_name():
    named = read(in_turn(SAMPLE, {**SAMPLE, "rule": "balanced"}, {"kind": "class", "classes": ["go", "no"]}))
    assert [asked.name for asked in named] == ["sample 0.02 > sample 0.02 balanced > class go no"]
    assert [asked.name for asked in read(in_turn(SAMPLE, name="monthly"))] == ["monthly"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([in_turn()], r"a sequence needs requests: got \[\], allowed: a list"),
        ([{"kind": "sequence"}], "a sequence needs requests: got None, allowed"),
        ([{"kind": "sequence", "requests": SAMPLE}], "a sequence needs requests: got .*, allowed: a list"),
        ([in_turn(SAMPLE, in_turn(CLASS))], "holds no other: got one as request 2, allowed: sample, class, speaker"),
        ([in_turn("class")], "request 1 of a sequence is none: got 'class', allowed: keys"),
        ([in_turn(SAMPLE, {**CLASS, "tasks": ["words"]})], "got tasks in request 2, allowed: beside requests"),
        ([in_turn({**SAMPLE, "forget_ratio": [0.1, 0.2]})], r"not swept in a sequence: got \[0.1, 0.2\] in request 1"),
        ([in_turn(SAMPLE, forget_ratio=0.1)], "unknown key of a sequence: got 'forget_ratio', allowed: kind, name"),
        ([in_turn({"kind": "class", "clases": ["go"]})], r"'clases' \(did you mean 'classes'\?\)"),
        ([in_turn({"kind": "sample", "forget_ratio": 10})], "strictly between 0 and 1, got 10"),
        ([in_turn(*[{"kind": "class", "classes": ["go"]}] * 2)], "classes are forgotten once: got 'go' twice"),
        ([in_turn(*[{"kind": "ids", "ids": ["u1"]}] * 2)], "ids are forgotten once: got 'u1' twice"),
        ([in_turn(*[{"kind": "mislabeled"}] * 2)], "got it twice in a sequence, allowed: once"),
        (
            [in_turn(*[{"kind": "sample", "forget_ratio": 0.5}] * 2)],
            r"must leave some of D: got .*\[0.5, 0.5\], allowed",
        ),
        ([in_turn(SAMPLE, name="a"), in_turn(CLASS, name="a")], "different sequences with one name: got 'a', allowed"),
        ([{"kind": "sequnce", "requests": [SAMPLE]}], r"got 'sequnce' \(did you mean 'sequence'\?\), allowed: sample"),
        ([in_turn(SAMPLE, tasks="words")], "tasks of a request must be a list of names, got 'words'"),
        ([in_turn(SAMPLE, tasks=["nope"])], "names a task that the sweep has not: got 'nope'"),
    ],
)
def test_a_wrong_sequence_is_refused_in_three_parts(entries, message):
    with pytest.raises(ValueError, match=message):
        read(*entries)


@pytest.mark.parametrize("request_", [{"kind": "class", "classes": []}, {"kind": "speaker", "speakers": []}])
def test_an_empty_list_of_names_is_no_draw_by_seed(request_):
    with pytest.raises(ValueError, match="got an empty list; leave it out to draw by seed"):
        read(request_)


def test_for_a_search_the_requests_of_sequences_stand_alone():
    entries = [SAMPLE, in_turn(SAMPLE, CLASS, tasks=["words"])]
    assert each_alone(entries) == [SAMPLE, {**SAMPLE, "tasks": ["words"]}, {**CLASS, "tasks": ["words"]}]
    with pytest.raises(ValueError, match="a sequence needs requests"):
        each_alone([in_turn()])
