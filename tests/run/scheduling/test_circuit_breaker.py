from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestrator.run.scheduling.circuit_breaker import Breaker, error_signature, is_full_disk

TRACE = "Traceback (most recent call last):\n  File 'x.py', line 3\n"


def spec(number: int, method_name: str = "scrub", backbone: str = "logmel_cnn") -> SimpleNamespace:
    return SimpleNamespace(
        trial_id=f"{number:016x}",
        stage="unlearn",
        task=SimpleNamespace(title="words"),
        backbone=SimpleNamespace(title=backbone),
        method_name=method_name,
    )


def failed(error: str = "KeyError: 'a bug'") -> dict:
    return {"status": "failed", "error": TRACE + error}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ValueError: 3 rows, got 4.5", "ValueError: 12 rows, got 1e-5"),
        ("OSError: cannot read '/data/a/1.wav'", "OSError: cannot read '/scratch/b.flac'"),
        ("RuntimeError: <Tensor at 0x7fa3>", "RuntimeError: <Tensor at 0x11>"),
        ("KeyError: '00ab34cd99ef0012'", "KeyError: 'ffab34cd99ef0013'"),
    ],
)
def test_errors_are_the_same_but_for_numbers_paths_and_ids(one, other):
    assert error_signature(TRACE + one) == error_signature(other + "\n\n")


def test_different_errors_stay_different():
    assert error_signature("KeyError: 'a'") != error_signature("KeyError: 'b'") != error_signature("ValueError: 'b'")


def test_the_same_error_in_many_trials_stops_the_launch_and_names_itself():
    breaker = Breaker(3)
    assert [breaker.record(spec(n), failed()) for n in range(2)] == ["", ""]
    said = breaker.record(spec(2), failed())
    assert "the same error in 3 trials (scrub on words, logmel_cnn)" in said
    assert "KeyError: 'a bug'" in said
    assert "--retry failed" in said


def test_what_works_now_and_then_goes_on():
    breaker = Breaker(3)
    for number in range(20):
        assert not breaker.record(spec(number), failed() if number % 3 else {"status": "done"})


def test_successes_of_other_kinds_do_not_hide_a_broken_one():
    breaker = Breaker(3)
    said = ""
    for number in range(3):
        said = breaker.record(spec(number), failed())
        assert not breaker.record(spec(100 + number, method_name="salun"), {"status": "done"})
        assert not breaker.record(spec(200 + number, backbone="whisper_nano"), {"status": "diverged"})
    assert said


def test_kinds_add_up_when_everything_is_broken():
    breaker = Breaker(3)
    assert [bool(breaker.record(spec(n, method_name=f"m{n}"), failed())) for n in range(3)] == [False, False, True]


def test_different_errors_do_not_add_up_nor_does_one_trial_with_itself():
    breaker = Breaker(2)
    for number in range(10):
        assert not breaker.record(spec(number), failed(f"KeyError: '{'x' * number}'"))
    breaker = Breaker(2)
    assert not any(breaker.record(spec(1), failed()) for _ in range(5))


def test_a_limit_of_none_never_stops():
    breaker = Breaker(0)
    assert not any(breaker.record(spec(n), failed()) for n in range(50))


@pytest.mark.parametrize(
    "said",
    [
        "OSError: [Errno 27] File too large: 'a'",
        "OSError: [Errno 122] Disk quota exceeded",
        "SafetensorError: I/O error: No space left on device (os error 28)",
        "StorageError: AWS Error UNKNOWN (HTTP status 507) during PutObject: XMinioStorageFull: no space",
        "StorageError: AWS Error ACCESS_DENIED during UploadPart: QuotaExceeded",
    ],
)
def test_a_used_up_disk_or_quota_is_no_room_whoever_says_so(said):
    assert is_full_disk(said)
    assert not is_full_disk("OSError: [Errno 5] Input/output error")
