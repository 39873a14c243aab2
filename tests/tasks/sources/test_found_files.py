from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from orchestrator.tasks.sources.audio_files import BadRecordingError, read_audio
from orchestrator.tasks.sources.found_files import digest_of_files, find_audio, shown


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"12")
    return root


def test_audio_is_found_in_byte_order_without_hidden_files(tmp_path: Path) -> None:
    touch(tmp_path, "b/x.wav", "a/y.FLAC", "B/z.wav", "a/.hidden.wav", ".git/w.wav", "a/notes.txt")
    assert find_audio(tmp_path).names == ("B/z.wav", "a/y.FLAC", "b/x.wav")


def test_the_order_does_not_depend_on_the_unicode_form_of_the_disk(tmp_path: Path) -> None:
    names = ["e.wav", "é.wav", "f.wav", "z.wav", "ö.wav"]
    for form in ("NFC", "NFD"):
        touch(tmp_path / form, *(unicodedata.normalize(form, name) for name in names))
    orders = [[shown(name) for name in find_audio(tmp_path / form).names] for form in ("NFC", "NFD")]
    assert orders[0] == orders[1] == ["e.wav", "f.wav", "z.wav", "é.wav", "ö.wav"]


def test_a_link_to_nowhere_is_found_and_refused_when_read(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "absent.wav")
    assert find_audio(tmp_path).names == ("a.wav",)
    with pytest.raises(BadRecordingError, match="missing file"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("target", ["..", ".", "up", "../../d"])
def test_links_that_go_round_in_circles_are_followed_once(tmp_path: Path, target: str) -> None:
    root = touch(tmp_path / "d", "a/1.wav", "b/2.wav")
    (root / "a/up").symlink_to(target)
    found = find_audio(root)
    assert found.names == ("a/1.wav", "b/2.wav")
    assert found.links == ()


def test_a_folder_with_two_names_is_read_under_its_own(tmp_path: Path) -> None:
    root = touch(tmp_path / "d", "z/1.wav")
    (root / "a").symlink_to("z")
    assert (find_audio(root).names, find_audio(root).links) == (("z/1.wav",), ("a",))


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.wav")
    root = touch(tmp_path / "d", "z/2.wav")
    for name in ("a", "b"):
        (root / name).symlink_to(tmp_path / "elsewhere")
    found = find_audio(root)
    assert (found.names, found.links) == (("a/1.wav", "z/2.wav"), ("b",))


def test_audio_of_kinds_that_cannot_be_read_is_counted_and_named(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a/{n}.m4a" for n in range(5)), "a/x.WMA", "a/ok.wav", "a/ok.m4a", "a/notes.txt")
    assert find_audio(tmp_path).defects() == [
        "5 .m4a files cannot be read: a/0.m4a, a/1.m4a, a/2.m4a, …",
        "1 .wma file cannot be read: a/x.WMA",
    ]


def test_names_are_shown_composed_and_escaped() -> None:
    assert shown("ok/a.wav") == "ok/a.wav"
    assert shown(unicodedata.normalize("NFD", "é.wav")) == "é.wav"
    assert shown(os.fsdecode(b"caf\xe9.wav")) == "caf\\xe9.wav"


def test_the_digest_follows_names_and_bytes_but_neither_order_nor_place(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("a", "b", "c")}
    for name, content in (("a", b"1"), ("b", b"22"), ("c", b"33")):
        files[name].write_bytes(content)
    digest = digest_of_files({"x": files["a"], "y": files["b"]})
    assert digest == digest_of_files({"y": files["b"], "x": files["a"]})
    assert digest != digest_of_files({"x": files["a"], "y": files["c"]})  # of the same size
    assert digest != digest_of_files({"x": files["a"], "z": files["b"]})
    assert (digest["files"], digest["bytes"]) == (2, 3)
