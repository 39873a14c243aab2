from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestrator.forget.choosing import AUTO, Candidate, _next_strength, choose_method, require_method


def candidate(strength, distance, lost=0.0, ended="finished"):
    return Candidate(strength, distance, lost, 1.0, 1.0, ended)


def case(encoder=True, base=None):
    return SimpleNamespace(
        opened=SimpleNamespace(target="classes"), base=base, has_encoder=lambda: encoder, original=None
    )


def test_auto_takes_the_first_method_that_the_model_allows():
    assert choose_method("auto", case()) == AUTO[0]
    assert choose_method("auto", case(encoder=False)) == AUTO[1]


@pytest.mark.parametrize(
    ("name", "said"),
    [("retrain", "Unknown method"), ("scrubb", "scrub"), ("downdate", "training kind"), ("eu_k", "--base")],
)
def test_a_method_that_is_unknown_or_impossible_is_refused_with_the_reason(name, said):
    with pytest.raises(ValueError, match=said):
        choose_method(name, case())


def test_a_strength_that_leaves_memory_is_raised_and_one_that_does_harm_is_lowered():
    assert _next_strength([candidate(1, 0.3)]) == 3.0
    assert _next_strength([candidate(1, -0.3)]) == pytest.approx(1 / 3)
    assert _next_strength([candidate(1, 1.0, ended="diverged")]) == pytest.approx(1 / 3)


def test_the_next_strength_is_between_one_that_is_too_weak_and_one_that_is_too_strong():
    assert _next_strength([candidate(1, 0.3), candidate(9, -0.3)]) == pytest.approx(3.0)


def test_a_candidate_is_good_near_unheard_speech_if_other_speech_does_not_suffer():
    assert candidate(1, 0.04, 0.01).good
    assert not candidate(1, 0.04, 0.1).good
    assert not candidate(1, -0.2, 0.0).good
    assert candidate(1, -0.2).objective == pytest.approx(0.2)


def test_a_method_that_is_unknown_or_impossible_is_refused_before_recordings_are_read(tmp_path):
    for name, said in (("nope", "Unknown method"), ("downdate", "training kind"), ("eu_k", "--base")):
        with pytest.raises(ValueError, match=said):
            require_method(name, None)
    for name, base in (("auto", None), ("eu_k", tmp_path), ("npo", None)):
        require_method(name, base)
