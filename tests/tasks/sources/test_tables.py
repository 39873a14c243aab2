from __future__ import annotations

import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from orchestrator.tasks.sources.tables import cell, read_table


def write(tmp_path: Path, content: str | bytes, name: str = "m.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path: Path) -> list[dict[str, object]]:
    return [dict(row) for row in read_table(path).rows]


EXPECTED = [{"path": "a.wav", "label": "yes", "take": None}, {"path": "b.wav", "label": "no", "take": "007"}]


@pytest.mark.parametrize(
    "content",
    [
        "path,label,take\na.wav,yes,\nb.wav,no,007\n",
        "path, label ,take\r\na.wav , yes,\r\n\r\nb.wav,no ,007",
        "\ufeffpath,label,take\na.wav,yes\nb.wav,no,007\n",
        "path,label,take,\na.wav,yes,,\nb.wav,no,007,\n",
        "path,label,take\na.wav,yes,,\nb.wav,no,007,,,\n",
        ",path,label,take\n0,a.wav,yes,\n1,b.wav,no,007\n",
        'path,label,take\n"a.wav", "yes",\nb.wav,no,007\n',
    ],
    ids=["plain", "blanks", "byte order mark", "trailing comma", "in rows only", "index of pandas", "quoted"],
)
def test_spellings_of_one_csv_file_are_read_alike(tmp_path: Path, content: str) -> None:
    assert rows(write(tmp_path, content)) == EXPECTED


def test_tabs_separate_the_cells_of_a_tsv_file(tmp_path: Path) -> None:
    assert rows(write(tmp_path, "path\tlabel\na, b.wav\tyes\n", "m.TSV")) == [{"path": "a, b.wav", "label": "yes"}]


def test_quotes_in_a_tsv_file_are_characters_except_around_a_whole_cell(tmp_path: Path) -> None:
    content = 'path\tsentence\n"a.wav"\t"Go," he said\nb.wav\t"open\nc.wav\tclosed"\nd.wav\t"""Go"" now"\n'
    read = [(row["path"], row["sentence"]) for row in rows(write(tmp_path, content, "m.tsv"))]
    assert read == [("a.wav", '"Go," he said'), ("b.wav", '"open'), ("c.wav", 'closed"'), ("d.wav", '"Go" now')]


def test_text_is_composed(tmp_path: Path) -> None:
    assert rows(write(tmp_path, unicodedata.normalize("NFD", "path,é\na,é\n"))) == [{"path": "a", "é": "é"}]


def test_in_parquet_zero_is_a_value_and_whole_floats_are_whole_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({
        "label": [0, 1, 2], "speaker": [0.0, 1.0, None], "snr_db": [12.5, float("nan"), 0.0],
        "clean": [True, False, None], "word": [" a ", "", None],
    })  # fmt: skip
    frame.to_parquet(tmp_path / "m.parquet", index=False)
    assert rows(tmp_path / "m.parquet") == [
        {"label": 0, "speaker": 0, "snr_db": 12.5, "clean": "True", "word": "a"},
        {"label": 1, "speaker": 1, "snr_db": None, "clean": "False", "word": None},
        {"label": 2, "speaker": None, "snr_db": 0, "clean": None, "word": None},
    ]


def test_the_index_of_a_frame_is_no_column(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a", "b"]}, index=[7, 9]).to_parquet(tmp_path / "m.parquet")
    assert read_table(tmp_path / "m.parquet").columns == ("path",)


@pytest.mark.parametrize(
    ("value", "kept"), [(0, 0), (0.0, 0), (2.0, 2), (False, "False"), (b"no ", "no"), ("", None), ("  ", None)]
)
def test_only_none_and_empty_text_are_missing(value: object, kept: object) -> None:
    assert cell(value) == kept
    assert type(cell(value)) is type(kept)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "path,label\na.wav,yes\nb.wav,no,maybe\n", "row 2 has 3 cells, but the header has 2: got 'b.wav,no,"),
        ("m.csv", "path,label,label\na,b,c\n", "two columns with one name: got 'label'"),
        ("m.csv", "", "it is empty"),
        ("m.csv", 'path,label\n"a.wav,yes\nb.wav,no\n', "cannot read .*line 3"),
        ("m.csv", "path,label\na,b\n".encode("utf-16"), "save it as UTF-8"),
        ("m.csv", 'path,word\na.wav,"open\nb.wav,closed"\nc.wav,x\n', "line 3 has several lines: got 'open"),
        ("m.csv", 'path,word\na.wav,"Go," he said\n', "line 2.; put a cell that contains quotes into double quotes"),
        ("m.tsv", "path\tword\na.wav\tb\tc\n", "row 1 has 3 cells, .*cannot contain a tab"),
        ("m.parquet", b"PAR1", "cannot read"),
        ("m.xlsx", b"", r"allowed: \.csv, \.tsv, \.parquet"),
    ],
)
def test_a_table_that_cannot_be_read_as_it_is_meant_is_refused(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, content, name))
