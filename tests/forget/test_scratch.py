from __future__ import annotations

import pytest

from orchestrator.forget.scratch import CONTENT, MARKER, is_marked, marked_folders, remove_unused, scratch_folder


def test_a_scratch_folder_is_marked_and_locked_while_it_is_used_and_gone_afterwards(tmp_path):
    with scratch_folder(tmp_path / "out") as folder:
        assert marked_folders(tmp_path) == [folder]
        assert not remove_unused(folder)
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_it_is_removed_after_an_error(tmp_path):
    def interrupted():
        with scratch_folder(tmp_path / "out"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_can_be_removed(tmp_path):
    left = tmp_path / ".out-1"
    left.mkdir()
    (left / MARKER).write_text(CONTENT)
    assert remove_unused(left)
    assert not left.exists()


@pytest.mark.parametrize("content", [b"", b"other", b"\xff"])
def test_only_the_exact_marker_counts(tmp_path, content):
    (tmp_path / ".my-notes").mkdir()
    (tmp_path / ".my-notes" / MARKER).write_bytes(content)
    assert not is_marked(tmp_path / ".my-notes")
    assert marked_folders(tmp_path) == marked_folders(tmp_path / "nowhere") == []


def test_a_link_to_a_marked_folder_is_not_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / MARKER).write_text(CONTENT)
    (tmp_path / ".a-link").symlink_to(tmp_path / "real")
    assert marked_folders(tmp_path) == []


def test_two_runs_do_not_write_one_output(tmp_path):
    with scratch_folder(tmp_path / "out"):
        with pytest.raises(ValueError, match="Another run is writing"), scratch_folder(tmp_path / "out"):
            pass
        with scratch_folder(tmp_path / "other"):
            pass
    with scratch_folder(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []
