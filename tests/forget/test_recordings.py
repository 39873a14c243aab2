from __future__ import annotations

import shutil

import numpy as np
import pytest

from orchestrator.forget.recordings import read_manifest

CLASSES = ("down", "left", "right", "up")


@pytest.fixture
def manifest(commands, tmp_path):
    """Writes lines of a manifest of the commands; paths are relative to them."""

    def write(*lines, header="path,label,speaker,split", suffix=".csv"):
        path = tmp_path / f"manifest{suffix}"
        path.write_text("\n".join([header, *lines]) + "\n")
        return lambda: read_manifest(path, CLASSES, commands)

    return write


def test_rows_keep_their_order_and_the_path_is_the_id_where_no_other_is_given(manifest):
    found = manifest("up-ann-00.wav,up,ann,train", "down-ben-01.wav,down,ben,test", "up-ann-12.wav,up,ann,validation")()
    assert found.ids.tolist() == ["up-ann-00.wav", "down-ben-01.wav", "up-ann-12.wav"]
    assert found.labels.tolist() == [3, 0, 3]
    assert found.rows("test", "validation").tolist() == [1, 2]


def test_parquet_is_read_like_csv(commands, tmp_path):
    import pandas as pd

    pd.read_csv(commands / "manifest.csv").to_parquet(tmp_path / "m.parquet")
    one, other = (
        read_manifest(commands / "manifest.csv", CLASSES),
        read_manifest(tmp_path / "m.parquet", CLASSES, commands),
    )
    assert np.array_equal(one.ids, other.ids)
    assert np.array_equal(one.splits, other.splits)


def test_unheard_speech_of_one_split_is_shared_between_choosing_and_judging(manifest):
    lines = [f"up-ann-{take:02d}.wav,up,ann,{'train' if take < 6 else 'test'}" for take in range(12)]
    found = manifest(*lines)()
    assert len(found.rows("validation")) == len(found.rows("test")) == 3


@pytest.mark.parametrize("split", ["test", "validation", "holdout"])
def test_one_unheard_recording_of_each_class_and_speaker_is_shared_within_the_class(manifest, split):
    lines = [f"{word}-{name}-12.wav,{word},{name},{split}" for word in ("up", "down") for name in ("ann", "ben")]
    found = manifest("up-ann-00.wav,up,ann,train", *lines)()
    halves = [found.labels[found.rows(*splits)].tolist() for splits in (["validation"], ["test", "holdout"])]
    assert halves == [[3, 0], [3, 0]]


def test_unheard_recordings_of_which_no_two_are_of_one_class_are_refused(manifest):
    lines = [f"{word}-ann-12.wav,{word},ann,test" for word in ("up", "down")]
    with pytest.raises(ValueError, match="no two of one class"):
        manifest("up-ann-00.wav,up,ann,train", *lines)()


def test_equal_audio_has_equal_digests_under_any_name(manifest):
    unheard = ("down-ann-00.wav,down,ann,test", "down-ann-01.wav,down,ann,validation")
    found = manifest("up-ann-00.wav,up,ann,train", unheard[0], "./up-ann-00.wav,up,ann,train", unheard[1])()
    assert found.also_under(np.array([0])).tolist() == [2]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["nothing.wav,up,ann,train", "up-ann-01.wav,up,ann,test"], "1 of 2 recordings .* missing"),
        (["up-ann-00.wav,back,ann,train"], "no label 'back'"),
        (["up-ann-00.wav,up,ann,dev"], "unknown split 'dev'"),
        (["up-ann-00.wav,up,ann,train", "up-ann-01.wav,up,ann,"], "kept from training"),
        (["up-ann-00.wav,up,ann,test"], "trained on"),
        ([",up,ann,train"], "row 1 has no path"),
        (["up-ann-00.wav,up,ann,train", "up-ann-00.wav,up,ann,test"], "an id twice"),
        ([], "lists no recordings"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_with_its_row(manifest, lines, said):
    with pytest.raises(ValueError, match=said):
        manifest(*lines)()


def test_a_missing_manifest_and_a_missing_column_are_refused(manifest, tmp_path):
    with pytest.raises(ValueError, match="no manifest"):
        read_manifest(tmp_path / "nothing.csv", CLASSES)
    with pytest.raises(ValueError, match="label"):
        manifest("up-ann-00.wav", header="path")()


def test_a_file_whose_name_is_in_the_decomposed_form_of_unicode_is_found(commands, tmp_path):
    shutil.copytree(commands, tmp_path / "c")
    (tmp_path / "c/up-ann-00.wav").rename(tmp_path / "c/re\u0301ne\u0301.wav")
    for name in ("re\u0301ne\u0301", "r\u00e9n\u00e9"):
        text = (commands / "manifest.csv").read_text().replace("up-ann-00.wav", f"{name}.wav")
        (tmp_path / "c/m.csv").write_text(text)
        assert len(read_manifest(tmp_path / "c/m.csv", CLASSES)) == 240
