"""`make faults`: what was broken on purpose, how often, and which rows that cost; written to docs/results/faults.md.

`python tests/benchmarks/faults.py` runs every test with the marker `fault`, slow ones too, in about half an hour;
`python tests/benchmarks/faults.py FILE.xml …` reads what pytest wrote with `--junitxml`. Tests say what they injected
with the fixture `injected`, which counts rows against an undisturbed run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from speed import machine

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "results" / "faults.md"
COUNTED = ("injections", "rows", "lost", "doubled", "differ")

INTRODUCTION = """# Faults: what was broken, and what it cost

Written by `make faults` at commit {commit}, on {machine}.

Each line sums its tests. Rows are compared with those of an undisturbed run: *lost* are ids that are missing at the
end; *doubled* are second files of an id and finished rows that were written again; *differing* are rows whose values
(all except times, memory and commit) are not bit for bit those of one undisturbed process. – means that there is no
row to compare: the fault itself is the trial's result, values differ by rounding, or nothing had to be written.
"""


def run(xml: Path) -> None:
    """All tests of faults; the XML says which failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "fault", "--timeout", "1800", f"--junitxml={xml}"]
    subprocess.run(command, cwd=ROOT, check=False)


def read(files: Iterable[Path]) -> tuple[list[dict[str, Any]], list[str], set[str]]:
    """What tests said, each with whether its test `failed`; tests that failed in silence; the commits tested."""
    said, silent, commits = [], list[str](), set[str]()
    for file in files:
        root = ElementTree.parse(file).getroot()
        commits |= {str(p.get("value")) for p in root.iterfind("testsuite/properties/property[@name='commit']")}
        for case in root.iter("testcase"):
            failed = case.find("failure") is not None or case.find("error") is not None
            found = [json.loads(str(p.get("value"))) for p in case.iterfind("properties/property[@name='fault']")]
            said += [{**one, "failed": failed} for one in found]
            silent += [str(case.get("name"))] if failed and not found else []
    return said, silent, commits


def summed(said: list[dict[str, Any]], name: str) -> str:
    """A count over several tests; a dash where one of them has none."""
    return str(sum(one[name] for one in said)) if all(name in one for one in said) else "–"


def table(said: list[dict[str, Any]]) -> list[str]:
    """A line for each fault and what came of it, with the counts of all its tests."""
    lines = [
        "| fault | what happens | tests | injections | rows | lost | doubled | differing |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in said:
        kinds.setdefault((one["fault"], one["came"]), []).append(one)
    for (fault, came), found in kinds.items():
        failed = sum(one["failed"] for one in found)
        tests = f"{len(found)}, **{failed} failed**" if failed else str(len(found))
        lines.append(f"| {' | '.join([fault, came, tests, *(summed(found, name) for name in COUNTED)])} |")
    return lines


def figures(said: list[dict[str, Any]]) -> list[str]:
    """What else the tests of a section counted: for each fault the figures of its tests, as a range or one value."""
    lines = []
    for fault in dict.fromkeys(one["fault"] for one in said):
        found = [one for one in said if one["fault"] == fault]
        names = [name for name in found[0] if name not in (*COUNTED, "fault", "came", "section", "failed")]
        texts = []
        for name in names:
            values = [one[name] for one in found]
            spread = f"{min(values)}–{max(values)}" if min(values) != max(values) else f"{values[0]}"
            texts.append(f"{name.replace('_', ' ')} {spread}")
        if texts:
            lines.append(f"- {fault}: {', '.join(texts)}")
    return lines


def page(said: list[dict[str, Any]], silent: list[str], commits: set[str]) -> str:
    """The whole page: the matrix, then sections of their own."""
    injections = sum(one["injections"] for one in said)
    counts = {name: sum(one.get(name, 0) for one in said) for name in ("rows", "lost", "doubled", "differ")}
    lines = [
        INTRODUCTION.format(commit=", ".join(sorted(commits)), machine=machine()),
        f"In all {injections} injections in {len(said)} tests, {sum(one['failed'] for one in said)} of which failed:",
        f"of {counts['rows']} rows {counts['lost']} lost, {counts['doubled']} doubled, {counts['differ']} differing.",
        "",
        *([f"Failed before they counted anything: {', '.join(silent)}.", ""] if silent else []),
    ]
    for section in sorted({one["section"] for one in said}):
        found = [one for one in said if one["section"] == section]
        lines += [*([f"## {section}", ""] if section else []), *table(found), ""]
        extra = figures(found)
        lines += [*extra, ""] if extra else []
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    files = [Path(name) for name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as scratch:
        if not files:
            files = [Path(scratch) / "faults.xml"]
            run(files[0])
        said, silent, commits = read(files)
    OUT.write_text(page(said, silent, commits))
    if silent or any(one["failed"] for one in said):
        sys.exit("a test of a fault failed; the page names it")


if __name__ == "__main__":
    main()
