"""The page on environment variables lists every one that the package reads."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
END_OF_SCRIPT = "UNLEARN_ENV"  # a delimiter in a launcher's script


def test_every_variable_of_the_package_is_documented() -> None:
    code = "".join(path.read_text() for path in (ROOT / "orchestrator").rglob("*.py"))
    page = (ROOT / "docs" / "environment.md").read_text()
    assert set(re.findall(r"\bUNLEARN_[A-Z_]+\b", code)) - {END_OF_SCRIPT} <= set(re.findall(r"`(UNLEARN_\w+)`", page))
