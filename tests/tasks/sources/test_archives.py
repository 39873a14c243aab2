from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from orchestrator.tasks.sources.archives import download, extract, find_or_extract, unpacked


def archive_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_an_archive_is_extracted_once(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "a.tar.gz", {"./yes/one.wav": b"1", "list.txt": b"2"})
    folder = extract(archive, tmp_path / "a")
    assert (folder / "yes/one.wav").read_bytes() == b"1"
    (folder / "list.txt").write_bytes(b"changed by hand")
    assert (extract(archive, tmp_path / "a") / "list.txt").read_bytes() == b"changed by hand"


@pytest.mark.parametrize("name", ["../escaped.wav", "/escaped.wav", "yes/../../escaped.wav"])
def test_a_member_that_would_escape_is_refused_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    archive = archive_of(tmp_path / "a.tar.gz", {"good.wav": b"1", name: b"2"})
    with pytest.raises(ValueError, match="unsafe archive"):
        extract(archive, tmp_path / "in" / "a")
    assert not [path for path in tmp_path.rglob("*") if path.name in ("escaped.wav", "good.wav", "a")]


def test_a_link_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("yes")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    with pytest.raises(ValueError, match="unsafe archive"):
        extract(tmp_path / "a.tar.gz", tmp_path / "a")


def test_a_truncated_archive_leaves_no_folder(tmp_path: Path) -> None:
    whole = archive_of(tmp_path / "whole.tar.gz", {"a.wav": bytes(range(256)) * 400}).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot extract"):
        extract(tmp_path / "a.tar.gz", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_download_with_the_right_checksum_arrives(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"data")
    download((tmp_path / "source").as_uri(), hashlib.sha256(b"data").hexdigest(), tmp_path / "to" / "a.tar.gz")
    assert (tmp_path / "to" / "a.tar.gz").read_bytes() == b"data"


def test_a_download_with_a_wrong_checksum_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"tampered")
    with pytest.raises(ValueError, match="wrong checksum"):
        download((tmp_path / "source").as_uri(), hashlib.sha256(b"data").hexdigest(), tmp_path / "to" / "a.tar.gz")
    assert [path.suffix for path in (tmp_path / "to").iterdir()] in ([], [".lock"])


@pytest.mark.parametrize("layout", ["", "corpus", "SpeechCommands/corpus"])
def test_a_folder_is_found_in_each_layout(tmp_path: Path, layout: str) -> None:
    (tmp_path / layout / "marker").mkdir(parents=True)
    assert find_or_extract(tmp_path, "corpus", "marker") == tmp_path / layout


def test_an_archive_given_as_root_unpacks_under_its_own_name(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "mine.tgz", {"marker": b""})
    assert find_or_extract(archive, "corpus", "marker") == tmp_path / "mine"


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert find_or_extract(tmp_path / "absent", "corpus", "marker") is None


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return path


@pytest.mark.parametrize(("pack", "name"), [(archive_of, "a.tar.gz"), (zip_of, "a.zip")])
def test_a_top_folder_named_like_the_archive_becomes_the_folder(tmp_path: Path, pack, name: str) -> None:
    folder = unpacked(pack(tmp_path / name, {"a/yes/one.wav": b"1", "a/no/two.wav": b"2"}))
    assert folder == tmp_path / "a"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.wav")) == ["no/two.wav", "yes/one.wav"]


def test_a_zip_archive_is_as_safe_as_a_tar(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unsafe archive"):
        unpacked(zip_of(tmp_path / "a.zip", {"../escaped.wav": b"1"}))
    link = zipfile.ZipInfo("yes")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        packed.writestr(link, "/etc")
    with pytest.raises(ValueError, match="unsafe archive"):
        unpacked(tmp_path / "b.zip")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("pack", [archive_of, zip_of])
def test_a_folder_that_is_not_what_its_archive_holds_is_refused(tmp_path: Path, pack) -> None:
    archive = tmp_path / ("a.tar.gz" if pack is archive_of else "a.zip")
    folder = unpacked(pack(archive, {"one.wav": b"1", "two.wav": b"2"}))
    assert unpacked(archive) == folder
    pack(archive, {"one.wav": b"1", "two.wav": b"3"})  # another corpus under the same name
    with pytest.raises(ValueError, match=r"is not what .* holds: 1 of 2 files differ or are missing, such as two\.wav"):
        unpacked(archive)


def test_a_folder_unpacked_by_hand_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_of(tmp_path / "a.tar.gz", {"a/one.wav": b"1"})
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.wav").write_bytes(b"1")
    assert unpacked(archive) == tmp_path / "a"
    monkeypatch.setattr("orchestrator.tasks.sources.archives._members", None)
    assert unpacked(archive) == tmp_path / "a"


def test_a_recording_that_only_the_folder_has_is_named(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "a.tar.gz", {"yes/one.wav": b"1"})
    (tmp_path / "a/yes").mkdir(parents=True)
    (tmp_path / "a/yes/one.wav").write_bytes(b"1")
    (tmp_path / "a/notes.txt").write_bytes(b"of no matter")
    assert unpacked(archive) == tmp_path / "a"
    (tmp_path / ".a.source").unlink()
    (tmp_path / "a/yes/two.wav").write_bytes(b"2")
    with pytest.raises(ValueError, match=r"1 recordings are in the folder only, such as yes/two\.wav"):
        unpacked(archive)


def test_what_the_finder_adds_to_a_zip_is_left_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for name in ("a/", "a/yes/", "a/yes/one.wav", "__MACOSX/a/yes/._one.wav"):
            packed.writestr(name, b"" if name.endswith("/") else b"1")
    folder = unpacked(tmp_path / "a.zip")
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == ["yes/one.wav"]
