"""eSpeak NG as a pure function: lines in, the same audio out each time; and the list of available voices.

What eSpeak renders depends on what its process rendered before, and no seed changes that. So a list of lines is always
rendered whole, in a fresh process, and callers keep their lists fixed; lists may then be rendered in any order.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from orchestrator.tasks.espeak_tts import process

ESPEAK_RATE_HZ = 22_050
TIMEOUT_SECONDS = 600.0
# en-gb itself is not among them: eSpeak NG 1.52 refuses that name, and lists British English as `en`.
ACCENTS = (
    "en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc",
)  # fmt: skip


class Line(NamedTuple):
    """One thing to say."""

    voice: str  # accent+variant, such as en-us+m7
    text: str
    pitch: int  # 0 to 99, of eSpeak's own scale; 50 is the variant's natural pitch
    words_per_minute: int  # 80 to 450


def engine() -> dict[str, str]:
    """What the bytes depend on: version of the wheel, operating system and processor family.

    Raises FileNotFoundError where the wheel brought no library for this platform.
    """
    _library()
    return {
        "espeakng_loader": version("espeakng-loader"), "system": platform.system(), "machine": platform.machine(),
    }  # fmt: skip


def render(lines: Sequence[Line]) -> list[npt.NDArray[np.int16]]:
    """Audio of each line, (samples,) at 22,050 Hz, rendered in this order by one fresh process.

    Raises:
        ValueError: a voice that does not exist; eSpeak itself only notices some of them.
        RuntimeError: the engine failed.
    """
    for voice in {line.voice for line in lines}:
        accent, _, variant = voice.partition("+")
        if variant and variant not in _variant_files():
            # eSpeak accepts such a name, ignores the variant, and speaks with the plain accent.
            raise ValueError(f"unknown voice: got {voice!r}, allowed: {accent}+ one of {', '.join(_variant_files())}")
    answer = memoryview(_ask({"lines": lines}))
    audio = []
    while answer:
        end = 4 + int.from_bytes(answer[:4], "little")
        audio.append(np.frombuffer(answer[4:end], dtype="<i2"))
        answer = answer[end:]
    if len(audio) != len(lines):
        raise RuntimeError(f"eSpeak NG must answer every line, got {len(audio)} of {len(lines)}")
    return audio


@cache
def variants() -> tuple[str, ...]:
    """Names of the voice variants that eSpeak accepts with every accent of `ACCENTS`, sorted."""
    names = [f"{accent}+{variant}" for accent in ACCENTS for variant in _variant_files()]
    accepted = set(json.loads(_ask({"names": names})))
    return tuple(v for v in _variant_files() if all(f"{accent}+{v}" in accepted for accent in ACCENTS))


@cache
def variant_halves() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Two fixed, disjoint halves of `variants()`: for the demo corpora, and for pretraining backbones.

    Names that differ in trailing digits only (`steph`, `steph2`) are kept together, since they sound alike; f1 to f5
    and m1 to m8 are voices of their own.
    """
    families: dict[str, list[str]] = {}
    for name in sorted(variants(), key=str.lower):
        stem = re.sub(r"\d+$", "", name).lower()
        families.setdefault(stem if len(stem) > 1 else name, []).append(name)
    halves: tuple[list[str], list[str]] = ([], [])
    for family in families.values():
        min(halves, key=len).extend(family)
    return tuple(halves[0]), tuple(halves[1])


@cache
def gender(variant: str) -> str | None:
    """`male` or `female` where the variant's file says so."""
    text = (_library()[1] / "voices" / "!v" / variant).read_text(errors="replace")
    found = re.search(r"^gender\s+(male|female)", text, flags=re.MULTILINE | re.IGNORECASE)
    return found[1].lower() if found else None


@cache
def _variant_files() -> tuple[str, ...]:
    return tuple(sorted(path.name for path in (_library()[1] / "voices" / "!v").iterdir() if path.is_file()))


@cache
def _library() -> tuple[Path, Path]:
    import espeakng_loader

    library, data = Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
    if not library.is_file():
        raise FileNotFoundError(
            f"no eSpeak NG library for this platform ({platform.system()} {platform.machine()}): {library} is missing, "
            "allowed: platforms with a wheel of espeakng-loader, which are Linux, macOS and Windows"
        )
    return library, data


def _ask(request: dict[str, Any]) -> bytes:
    library, data = _library()
    done = subprocess.run(
        [sys.executable, "-I", "-S", process.__file__],
        input=json.dumps({"library": str(library), "data": str(data), **request}).encode(),
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
    )
    message = done.stderr.decode(errors="replace").strip()
    if done.returncode == process.REFUSED:
        raise ValueError(
            f"unknown voice: got {message}, allowed: one of {', '.join(ACCENTS)}, with or without a variant"
        )
    if done.returncode != 0:
        raise RuntimeError(f"eSpeak NG must end with status 0, got {done.returncode}: {message or 'no message'}")
    return done.stdout
