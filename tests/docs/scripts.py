"""The scripts of docs/results, as modules."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, RESULTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
