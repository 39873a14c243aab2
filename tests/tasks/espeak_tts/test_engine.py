from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.tasks.espeak_tts import engine as engine_module
from orchestrator.tasks.espeak_tts.engine import ACCENTS, Line, engine, gender, render, variant_halves, variants

LINES = [Line(f"en-us+{variant}", "seven", 50, 170) for variant in ("f1", "m1", "klatt", "whisper")]


def test_the_same_lines_give_the_same_bytes_in_every_process() -> None:
    first = render(LINES)
    time.sleep(1.1)  # eSpeak seeds its noise with the time in seconds
    second = render(LINES)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(len(audio) > 2000 and np.abs(audio.astype(int)).max() > 500 for audio in first)


def test_what_was_rendered_before_changes_the_bytes_which_is_why_lists_are_rendered_whole() -> None:
    whisper = LINES[-1]
    alone, last = render([whisper])[0], render([*LINES, whisper])[-1]
    assert not np.array_equal(alone, last)


@pytest.mark.parametrize(
    "change",
    [{"voice": "en-us+f2"}, {"voice": "en-gb-scotland+f1"}, {"text": "six"}, {"pitch": 80}, {"words_per_minute": 120}],
)
def test_each_setting_is_heard(change: dict[str, Any]) -> None:
    assert not np.array_equal(render([LINES[0]])[0], render([LINES[0]._replace(**change)])[0])


def test_slower_speech_takes_longer() -> None:
    slow, fast = render([LINES[0]._replace(words_per_minute=rate) for rate in (100, 250)])
    assert len(slow) > 1.5 * len(fast)


@pytest.mark.parametrize("name", ["en-gb+m7", "en-gb", "xx", ""])
def test_a_name_that_espeak_refuses_is_an_error_and_not_the_former_voice(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown voice: got .*, allowed: "):
        render([LINES[0], Line(name, "seven", 50, 170)])


@pytest.mark.parametrize("name", ["en-us+m99", "en-us+F1", "en+nobody"])
def test_a_variant_that_espeak_would_quietly_ignore_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown voice: got .*, allowed: en.*\+ one of "):
        render([Line(name, "seven", 50, 170)])


def test_an_engine_that_fails_is_reported_with_its_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library, data = engine_module._library()
    monkeypatch.setattr(engine_module, "_library", lambda: (tmp_path / "missing.so", data))
    with pytest.raises(RuntimeError, match=r"must end with status 0, got 1: [\s\S]*missing\.so"):
        render([Line("en-us", "seven", 50, 170)])
    monkeypatch.setattr(engine_module, "_library", lambda: (library, tmp_path))  # no data in it
    with pytest.raises(RuntimeError, match="espeak_Initialize must return 22050"):
        render([Line("en-us", "seven", 50, 170)])


def test_data_may_lie_deep_in_the_file_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library, data = engine_module._library()
    before = render(LINES)
    deep = tmp_path.joinpath(*["a" * 100] * 3, "data")
    shutil.copytree(data, deep, ignore=shutil.ignore_patterns("[a-df-z]*_dict"))
    monkeypatch.setattr(engine_module, "_library", lambda: (library, deep))
    assert all(np.array_equal(a, b) for a, b in zip(before, render(LINES), strict=True))


def test_an_answer_that_is_cut_short_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, stdout=b"", stderr=b"")
    )
    with pytest.raises(RuntimeError, match="must answer every line, got 0 of 4"):
        render(LINES)


def test_the_halves_of_the_voices_are_disjoint_complete_and_both_mixed() -> None:
    demo, pretraining = variant_halves()
    assert not set(demo) & set(pretraining)
    assert set(demo) | set(pretraining) == set(variants())
    assert abs(len(demo) - len(pretraining)) <= 5
    for half in (demo, pretraining):
        assert min(sum(gender(variant) == sex for variant in half) for sex in ("male", "female")) >= 5


@pytest.mark.parametrize("family", ["steph", "robosoft", "iven", "klatt"])
def test_voices_that_differ_by_a_digit_stay_in_one_half(family: str) -> None:
    assert sum(any(name.startswith(family) for name in half) for half in variant_halves()) == 1


def test_every_listed_voice_speaks_with_every_accent_and_no_two_alike() -> None:
    said = render([Line(f"{accent}+{variant}", "yes", 50, 170) for accent in ACCENTS for variant in variants()])
    assert all(np.abs(audio.astype(int)).max() > 300 for audio in said)
    assert len({audio.tobytes() for audio in said[: len(variants())]}) == len(variants())


def test_gender_is_given_where_the_voice_says_it() -> None:
    assert [gender(name) for name in ("f1", "m1", "Andy", "adam")] == ["female", "male", "male", None]


def test_the_engine_is_named_by_version_and_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import espeakng_loader

    assert set(engine()) == {"espeakng_loader", "system", "machine"}
    engine_module._library.cache_clear()
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(tmp_path / "none.so"))
    with pytest.raises(FileNotFoundError, match="no eSpeak NG library for this platform"):
        engine()
