from __future__ import annotations

import stat

import pytest

from orchestrator.forget.pseudonyms import open_key


def test_a_missing_key_is_created_for_its_owner_alone_and_read_again(tmp_path):
    first = open_key(tmp_path / "below" / "key")
    assert stat.S_IMODE((tmp_path / "below" / "key").stat().st_mode) == 0o600
    assert open_key(tmp_path / "below" / "key") == first
    assert "key" not in repr(first)


def test_a_name_has_one_pseudonym_under_a_key_and_another_under_another(tmp_path):
    one, other = open_key(tmp_path / "a"), open_key(tmp_path / "b")
    assert one.of("speaker", "ann") == one.of("speaker", "ann") != other.of("speaker", "ann")
    assert one.of("speaker", "ann").removeprefix("speaker") != one.of("recording", "ann").removeprefix("recording")
    assert one.fingerprint != other.fingerprint


def test_a_key_that_others_can_read_is_refused(tmp_path):
    open_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        open_key(tmp_path / "key")


def test_a_file_without_a_key_is_refused(tmp_path):
    (tmp_path / "key").write_text("secret")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(ValueError, match="no key"):
        open_key(tmp_path / "key")


def test_a_folder_is_no_key(tmp_path):
    with pytest.raises(ValueError, match="is no file"):
        open_key(tmp_path)
