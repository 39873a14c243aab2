"""Pin what the container image installs: `make constraints` writes `constraints.txt` next to this file.

Versions come from the environment that runs this command, in which the tests pass. Packages that only a cluster needs
(the extra `cluster`) are resolved against those. Nothing is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FILE = Path(__file__).with_name("constraints.txt")
HEADER = "# Versions that the Containerfile installs on Linux and Python 3.11. Written by `make constraints`.\n"


def installed() -> list[str]:
    """Return `name==version` of each package in this environment that comes from an index."""
    frozen = _pip("freeze", "--exclude-editable")
    return [line for line in frozen.splitlines() if "==" in line and not line.startswith("#")]


def resolved(project: Path, constraints: list[str]) -> list[str]:
    """Return `name==version` of each package that the project with the extra `cluster` installs, sorted by name."""
    with tempfile.TemporaryDirectory() as folder:
        tested, report = Path(folder, "tested.txt"), Path(folder, "report.json")
        tested.write_text("\n".join(constraints))
        options = ["--dry-run", "--quiet", "--ignore-installed", "--constraint", str(tested), "--report", str(report)]
        _pip("install", *options, f"{project}[cluster]")
        packages = [entry["metadata"] for entry in json.loads(report.read_text())["install"]]
    versions = {package["name"].lower(): package["version"] for package in packages}
    return [f"{name}=={version}" for name, version in sorted(versions.items()) if name != "speech-unlearning"]


def _pip(*arguments: str) -> str:
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    FILE.write_text(HEADER + "".join(f"{pin}\n" for pin in resolved(Path.cwd(), installed())))
