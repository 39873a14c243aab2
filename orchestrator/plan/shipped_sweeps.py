"""Sweeps that come with the package."""

from __future__ import annotations

from pathlib import Path


def shipped_sweeps() -> dict[str, Path]:
    """Return the file of each shipped sweep, by name."""
    here = Path(__file__).resolve().parents[1]
    folder = here / "sweeps" if (here / "sweeps").is_dir() else here.parent / "sweeps"
    return {file.stem: file for file in sorted(folder.glob("*.yaml")) if not file.stem.endswith(".lock")}
