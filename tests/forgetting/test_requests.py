from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from orchestrator.forgetting.requests import ForgetRequest, size_of


@pytest.mark.parametrize("ratio", [10, 1, 0, -0.1, None, "1%", True, float("nan")])
def test_a_ratio_that_is_no_fraction_is_refused(ratio: object) -> None:
    with pytest.raises(ValueError, match=f"forget_ratio must lie strictly between 0 and 1, got {ratio!r}"):
        ForgetRequest(kind="sample", forget_ratio=ratio)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "word"}, "unknown kind of unlearning: got 'word', allowed: sample, class, speaker, mislabeled, ids"),
        ({"forget_ratio": 0.1, "rule": "fair"}, "unknown rule: got 'fair', allowed: random, stratified, balanced"),
        (
            {"kind": "class", "forget_ratio": 0.1},
            "kind class does not take forget_ratio, allowed: class_share, classes",
        ),
        ({"kind": "speaker", "classes": ["yes"]}, "kind speaker does not take classes"),
        ({"kind": "mislabeled", "ids": ["a"]}, "kind mislabeled does not take ids, allowed: known_share"),
        ({"kind": "class", "classes": ["yes"], "num_classes": 2}, "got classes and num_classes"),
        ({"kind": "class", "classes": "yes"}, "classes must be a list of names, got 'yes'"),
        ({"kind": "class", "num_classes": 0}, "num_classes must be a whole number of 1 or more, got 0"),
        ({"kind": "class", "num_classes": 1.5}, "num_classes must be a whole number of 1 or more, got 1.5"),
        ({"kind": "class", "class_share": 5}, "class_share must lie strictly between 0 and 1, got 5"),
        ({"kind": "ids"}, "kind ids needs utterances"),
        ({"forget_ratio": 0.1, "rule": "index_file"}, "go together"),
        ({"forget_ratio": 0.1, "rule": "random", "index_file": "x.txt"}, "go together"),
        ({"forget_ratio": 0.2, "rule": "index_file", "index_file": "x.txt"}, "allowed: up to that"),
        ({"kind": "ids", "ids_file": "absent.txt"}, "file of a forget set not found: got .*absent.txt"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ForgetRequest(**settings)  # type: ignore[arg-type]


def test_a_request_survives_a_trip_through_plain_values(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\n\n  b \n")
    request = ForgetRequest(kind="ids", ids_file=str(tmp_path / "ids.txt"))
    again = ForgetRequest(**asdict(request))
    assert again == request
    assert again.lines() == ["a", "b"]
    assert ForgetRequest(kind="class", classes=["yes"]) == ForgetRequest(kind="class", classes=("yes",))  # type: ignore[arg-type]


def test_the_identity_follows_a_files_contents_and_not_its_path(tmp_path: Path) -> None:
    for name, text in (("a.txt", "u1\n"), ("b.txt", "u1\n"), ("c.txt", "u2\n")):
        (tmp_path / name).write_text(text)
    a, b, c = (ForgetRequest(kind="ids", ids_file=str(tmp_path / f"{name}.txt")).identity() for name in "abc")
    assert a == b
    assert a != c
    assert ForgetRequest(forget_ratio=0.1).identity() == {"kind": "sample", "forget_ratio": 0.1}


def test_a_file_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\n")
    request = ForgetRequest(kind="ids", ids_file=str(tmp_path / "ids.txt"))
    (tmp_path / "ids.txt").write_text("b\n")
    with pytest.raises(ValueError, match="changed since it was planned"):
        request.lines()


@pytest.mark.parametrize(("kind", "setting"), [("class", "classes"), ("speaker", "speakers"), ("ids", "ids")])
def test_the_order_of_names_does_not_matter_and_each_is_named_once(kind: str, setting: str) -> None:
    one, other = (ForgetRequest(**{"kind": kind, setting: names}) for names in (["b", "a"], ("a", "b")))
    assert one == other
    assert one.identity()[setting] == ["a", "b"]
    with pytest.raises(ValueError, match=f"a name of {setting} is given twice: got 'a'"):
        ForgetRequest(**{"kind": kind, setting: ["a", "b", "a"]})
    for name in (True, 7, None):
        with pytest.raises(ValueError, match=f"{setting} must be a list of names: got {name}; quote it"):
            ForgetRequest(**{"kind": kind, setting: ["a", name]})


def test_a_file_of_ids_is_read_whatever_editor_wrote_it(tmp_path: Path) -> None:
    for content in ("a\nb\n".encode("utf-8-sig"), b"a\r\n\r\nb", b" a \nb\n\n"):
        (tmp_path / "ids.txt").write_bytes(content)
        assert ForgetRequest(kind="ids", ids_file=str(tmp_path / "ids.txt")).lines() == ["a", "b"]
    (tmp_path / "ids.txt").write_bytes("é\n".encode("latin-1"))
    with pytest.raises(ValueError, match="save it as UTF-8"):
        ForgetRequest(kind="ids", ids_file=str(tmp_path / "ids.txt")).lines()


def test_two_files_with_the_same_ids_are_one_request_and_ranks_keep_their_order(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_bytes(b"1\n2\n")
    other.write_bytes(b"\xef\xbb\xbf2\r\n\r\n 1")
    made = [ForgetRequest(kind="ids", ids_file=str(file)).identity() for file in (one, other)]
    assert made[0] == made[1]
    ranked = [ForgetRequest(forget_ratio=0.01, rule="index_file", index_file=str(file)) for file in (one, other)]
    assert ranked[0].identity() != ranked[1].identity()


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"kind": "class"}, {}),
        ({"kind": "class", "num_classes": 1}, {}),
        ({"kind": "class", "num_classes": 10}, {"num_classes": 10}),
        ({"kind": "class", "classes": ("a", "b")}, {"num_classes": 2}),
        ({"kind": "class", "class_share": 0.3}, {"class_share": 0.3}),
        ({"kind": "speaker", "speakers": ("a", "b", "c")}, {"num_speakers": 3}),
        ({"kind": "sample", "forget_ratio": 0.5}, {}),
    ],
)
def test_the_size_of_a_request_is_the_number_that_it_names_or_draws(given, size):
    request = ForgetRequest(**given)
    assert size_of(request.identity()) == size_of(vars(request)) == size
