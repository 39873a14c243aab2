from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from orchestrator.tasks.sources.manifest import Listed, from_folders, from_manifest, from_names


def listed(tmp_path: Path, text: str, name: str = "m.csv") -> list[Listed]:
    (tmp_path / name).write_text(text)
    return from_manifest(tmp_path / name, tmp_path).recordings


def test_manifest_rows_become_columns_and_empty_cells_none(tmp_path: Path) -> None:
    first, second = listed(tmp_path, "path,label,accent\nb.wav,007,\n./a.wav,NA,scottish\n")
    assert (first.path, first.columns, first.where) == ("b.wav", {"label": "007", "accent": None}, "m.csv row 1")
    assert (second.path, second.columns) == ("a.wav", {"label": "NA", "accent": "scottish"})


def test_absolute_paths_inside_the_root_are_relative_ones(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    text = f"path\n{tmp_path}/yes/a.wav\n{tmp_path}/yes/../b.wav\n"
    assert [item.path for item in listed(tmp_path, text)] == ["yes/a.wav", "b.wav"]
    through_a_link = from_manifest(tmp_path / "m.csv", tmp_path / "link").recordings
    assert [item.path for item in through_a_link] == ["yes/a.wav", "b.wav"]


@pytest.mark.parametrize("path", ["../a.wav", "/etc/a.wav", "x/../../a.wav", "", ".", "{root}", "{root}-more/a.wav"])
def test_a_path_that_leaves_the_root_is_refused_with_its_row(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match=r"bad path in m\.csv row 2"):
        listed(tmp_path, f"path,label\nok.wav,yes\n{path.replace('{root}', str(tmp_path))},yes\n")


def test_a_path_is_found_in_the_form_in_which_the_disk_has_it(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "é.wav")
        (tmp_path / name).write_bytes(b"")
        for spelling in ("NFC", "NFD"):
            (item,) = listed(tmp_path, f"path\n{unicodedata.normalize(spelling, 'é.wav')}\n")
            assert (item.path, item.utterance_id) == (name, "é.wav")
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.wav,yes\n", "m.csv has no column for `path`; its columns: file, label"),
        ("path,label\na.wav,yes\nb.wav,no\n./a.wav,no\n", "given twice .*'a.wav' in rows 1 and 3"),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        listed(tmp_path, text)


def test_a_pattern_without_slash_fits_the_stem_and_with_slash_the_path() -> None:
    (by_stem,) = from_names(["deep/7_theo_3.wav"], r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)").recordings
    assert by_stem.columns == {"digit": "7", "speaker": "theo", "take": "3"}
    (by_path,) = from_names(["theo/7.wav"], r"(?P<speaker>[a-z]+)/(?P<digit>\d)").recordings
    assert by_path.columns == {"speaker": "theo", "digit": "7"}


def test_a_name_that_only_partly_fits_is_a_defect() -> None:
    (listed,) = from_names(["7_theo_3_copy.wav"], r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)").recordings
    assert "does not match pattern" in listed.defect


@pytest.mark.parametrize(("pattern", "message"), [("(", "not a regular expression"), (r"(\d)", "no named groups")])
def test_a_bad_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_names(["a.wav"], pattern)


def test_the_first_folder_is_the_class_and_a_stray_file_a_defect() -> None:
    inside, stray = from_folders(["yes/session1/a.wav", "b.wav"], "label").recordings
    assert (inside.columns, inside.defect) == ({"label": "yes"}, "")
    assert stray.defect == "the file is in no class folder"
