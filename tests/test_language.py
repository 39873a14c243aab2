"""User-facing text is plain technical English: no word of the project's former private vocabulary is left in it.

Checked are README, CONTRIBUTING, every page under docs/, the help of every command, and in the three packages all
docstrings and all string constants that hold a blank (errors, warnings, log lines, captions).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from orchestrator.cli import app

ROOT = Path(__file__).parents[1]
PACKAGES = ("orchestrator", "methods", "backbones")

# Words that readers stumble over, and what to write.
BANNED = {
    r"walk(?:s|ed|ing)?": "epoch, pass or iterate",
    r"desks?": "dispatcher",
    r"boards?": "trial graph",
    r"hears?|heard": "trained on, received or recorded",
    r"asked": "requested, queried, or the name of what was requested",
    r"stands?|stood": "is",
    r"lies|lay": "is",
    r"mend(?:s|ed|ing)?": "fix",
    r"told apart": "statistically distinguishable",
    r"laid over": "applied to",
    r"at hand": "available",
    r"beside": "next to",
    r"nearest": "closest",
    r"in turns?": "alternately, or one after another",
    r"comes? to nothing": "fails",
    r"as (?:it|they) (?:was|were)": "unchanged",
    r"ever less": "decreasingly",
}

# What a technical writer would keep, each with the reason. Matched before the words above.
ALLOWED = {
    r"stands? for": "the plain English for an abbreviation or a placeholder",
    r"nearest[- ]neighbou?rs?|k-nearest": "the name of a classifier",
    r"os\.walk|ast\.walk": "functions of the standard library",
    r"random walk": "a term of statistics",
}

banned = re.compile(
    "|".join(rf"(?P<w{i}>\b(?:{word})\b)" for i, word in enumerate(BANNED)).replace(" ", r"\s+"), re.IGNORECASE
)
allowed = re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in ALLOWED), re.IGNORECASE)


def findings(text: str) -> Iterator[tuple[int, str]]:
    """Yield each banned word in a text: its line, counted from 0, and what to write in its place."""
    text = allowed.sub(lambda kept: re.sub(r"\S", "·", kept.group()), text)
    for match in banned.finditer(text):
        advice = list(BANNED.values())[int((match.lastgroup or "w0")[1:])]
        yield text.count("\n", 0, match.start()), f"{' '.join(match.group().split())!r}: write {advice}"


def prose_of_page(text: str) -> str:
    """Blank out code spans and the targets of links, in which names are quoted as they are."""
    return re.sub(r"`[^`\n]+`|(?<=\]\()[^)\n]+", lambda quoted: re.sub(r"\S", "·", quoted.group()), text)


def prose_of_module(path: Path) -> Iterator[tuple[int, str]]:
    """Yield docstrings and strings of several words, each with its first line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, prose_of_page(node.value)


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def complaints(path: Path) -> list[str]:
    """List every finding of a page or module as `file:line: word: advice`."""
    parts = [(1, prose_of_page(path.read_text()))] if path.suffix == ".md" else list(prose_of_module(path))
    where = path.relative_to(ROOT)
    return [f"{where}:{first + line}: {what}" for first, text in parts for line, what in findings(text)]


def test_pages_and_modules_use_no_private_vocabulary() -> None:
    found = [what for path in (*pages(), *modules()) for what in complaints(path)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("command", [[], *([name] for name in getattr(typer.main.get_command(app), "commands"))])  # noqa: B009
def test_the_help_of_a_command_uses_no_private_vocabulary(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "1000"})  # so wide that no phrase is divided
    assert shown.exit_code == 0
    assert not list(findings(shown.output)), shown.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The desk hears of it.\nResults are told\n    apart.", ["'desk'", "'hears'", "'told apart'"]),
        ("D_t stands for the test set; Unheard is a method.", []),
        ("`problem.iterate` is [here](what-was-asked.md).", []),
    ],
)
def test_banned_words_are_found_as_whole_words_and_across_lines(text: str, words: list[str]) -> None:
    assert [what.partition(":")[0] for _, what in findings(prose_of_page(text))] == words
