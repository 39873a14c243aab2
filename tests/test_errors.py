"""Errors in one line, without credentials."""

from __future__ import annotations

import errno
import signal

import pytest

from orchestrator.errors import first_line, in_one_line, sigterm_as_interrupt, type_and_first_line


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no host in http://ann:SECRET@host:5000/api", "no host in http://host:5000/api"),
        (
            "'postgresql+psycopg://ann:SEC@RET@db/x' and s3://bucket/a@b",
            "'postgresql+psycopg://db/x' and s3://bucket/a@b",
        ),
        ("mail ann@example.org", "mail ann@example.org"),
    ],
)
def test_errors_show_urls_without_their_credentials(said, shown):
    assert first_line(ValueError(said)) == shown
    assert type_and_first_line(ValueError(f"{said}\nmore")) == f"ValueError: {shown}"


def test_an_error_of_a_renaming_names_the_file_that_the_user_chose():
    error = OSError(errno.EISDIR, "Is a directory", ".out.html.1a2b", None, "out.html")
    assert in_one_line(error) == "Is a directory: out.html. Name a file, not a folder"


def test_sigterm_interrupts_where_the_shell_ignores_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with sigterm_as_interrupt(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)
