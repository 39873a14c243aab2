from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from orchestrator.tasks.listings import from_folders, from_manifest, from_names


def test_manifest_rows_become_columns_and_empty_cells_none(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,label,accent\nb.wav,007,\n./a.wav,NA,scottish\n")
    first, second = from_manifest(tmp_path / "m.csv")
    assert (first.path, first.columns, first.where) == ("b.wav", {"label": "007", "accent": None}, "m.csv row 1")
    assert (second.path, second.columns) == ("a.wav", {"label": "NA", "accent": "scottish"})


def test_parquet_keeps_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a.wav", "b.wav"], "snr_db": [12.5, None], "take": [1, 2], "clean": [True, False]})
    frame.to_parquet(tmp_path / "m.parquet")
    first, second = from_manifest(tmp_path / "m.parquet")
    assert first.columns == {"snr_db": 12.5, "take": 1, "clean": "True"}
    assert second.columns["snr_db"] is None


@pytest.mark.parametrize("path", ["../a.wav", "/etc/a.wav", "x/../../a.wav", "", "."])
def test_a_path_that_leaves_the_root_is_refused_with_its_row(tmp_path: Path, path: str) -> None:
    (tmp_path / "m.csv").write_text(f"path,label\nok.wav,yes\n{path},yes\n")
    with pytest.raises(ValueError, match=r"bad path in m\.csv row 2"):
        from_manifest(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "file,label\na.wav,yes\n", "no column `path`"),
        ("m.csv", "path,label\na.wav,yes\nb.wav,no\n./a.wav,no\n", "given twice .*'a.wav' in rows 1 and 3"),
        ("m.csv", "", "cannot read"),
        ("m.txt", "path\na.wav\n", r"allowed: \.csv, \.parquet"),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        from_manifest(tmp_path / name)


def test_a_pattern_without_slash_fits_the_stem_and_with_slash_the_path() -> None:
    (by_stem,) = from_names(["deep/7_theo_3.wav"], r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)")
    assert by_stem.columns == {"digit": "7", "speaker": "theo", "take": "3"}
    (by_path,) = from_names(["theo/7.wav"], r"(?P<speaker>[a-z]+)/(?P<digit>\d)")
    assert by_path.columns == {"speaker": "theo", "digit": "7"}


def test_a_name_that_only_partly_fits_is_a_defect() -> None:
    (listed,) = from_names(["7_theo_3_copy.wav"], r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)")
    assert "does not match pattern" in listed.defect


@pytest.mark.parametrize(("pattern", "message"), [("(", "not a regular expression"), (r"(\d)", "no named groups")])
def test_a_bad_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_names(["a.wav"], pattern)


def test_the_first_folder_is_the_class_and_a_stray_file_a_defect() -> None:
    inside, stray = from_folders(["yes/session1/a.wav", "b.wav"], "label")
    assert (inside.columns, inside.defect) == ({"label": "yes"}, "")
    assert stray.defect == "the file lies in no class folder"
