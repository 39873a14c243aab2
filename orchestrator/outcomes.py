"""How a command may end other than well: outcomes that are no errors of a user."""

from __future__ import annotations


class Interrupted(Exception):
    """A launch was stopped before its end; what is finished is in the results folder."""
