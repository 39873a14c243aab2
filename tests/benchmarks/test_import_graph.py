"""The structure of imports is counted room by room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("import_graph.py")
MODULES = {
    "methods/a.py": "from methods import b",
    "methods/b.py": "from methods import a\nfrom methods.inner import c",
    "methods/inner/c.py": "from methods.inner import d",
    "methods/inner/d.py": "",
    "methods/e.py": "import methods.a",
    "orchestrator/__init__.py": "",
    "backbones/__init__.py": "",
}


def test_a_room_counts_its_parts_arrows_floors_and_circles(tmp_path: Path) -> None:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).parent.joinpath("__init__.py").touch()
        (tmp_path / name).write_text(text)
    printed = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True).stdout
    rooms = {line.split()[0]: line.split()[1:] for line in printed.splitlines()}
    assert rooms["methods"] == ["4", "4", "3", "1", "a", "⇄", "b"]  # e, then the circle of a and b, then inner
    assert set(rooms) == {"room", "methods"}
