"""What runs in a fresh process: eSpeak NG through ctypes, a list of lines in, raw audio out; standard library only.

Started as a script by `espeak_engine.py`, isolated and without site-packages, so that a start costs some 20 ms.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: `espeak_Synth` returns when the callback has seen all of the audio
DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: report an error instead of ending the process
CHARS_UTF8 = 1
RATE, VOLUME, PITCH = 1, 2, 3  # espeak_PARAMETER
QUIET_VOLUME = 40  # of 100: at 100 the louder variants clip inside the engine
REFUSED = 3  # exit status after a refused voice


def main() -> None:
    """Read one request (JSON) from stdin, and write the answer to stdout.

    Request: `{"library", "data", "lines": [[voice, text, pitch, words_per_minute], ...]}`; answer: for each line the
    number of bytes (little-endian uint32) and the bytes (int16, mono, 22,050 Hz).
    Request: `{"library", "data", "names": [...]}`; answer: a JSON list of those that eSpeak accepts as voices.
    """
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # whatever the library prints must not get between the audio
        request = json.loads(sys.stdin.buffer.read())
        library = _opened(request["library"], request["data"])
        if "names" in request:
            accepted = [name for name in request["names"] if library.espeak_SetVoiceByName(name.encode()) == 0]
            answer.write(json.dumps(accepted).encode())
        else:
            for audio in _spoken(library, request["lines"]):
                answer.write(struct.pack("<I", len(audio)) + audio)


def _opened(library_path: str, data_path: str) -> Any:
    library = ctypes.CDLL(library_path)
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    os.chdir(data_path)  # eSpeak cuts off paths of more than some 160 bytes
    rate_hz = library.espeak_Initialize(SYNCHRONOUS, 0, b".", DONT_EXIT)
    if rate_hz != 22_050:
        sys.exit(f"espeak_Initialize must return 22050 (Hz), got {rate_hz} with the data in {data_path}")
    # It has just seeded the noise in breath and whisper with the time, in whole seconds.
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    return library


def _spoken(library: Any, lines: Sequence[tuple[str, str, int, int]]) -> list[bytes]:
    pieces: list[bytes] = []

    def take(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback_type: Callable[..., Any] = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    callback = callback_type(take)
    library.espeak_SetSynthCallback(callback)
    audio = []
    for voice, text, pitch, words_per_minute in lines:
        # A refused name leaves the former voice set; unnoticed, the clip would bear the wrong speaker.
        if (code := library.espeak_SetVoiceByName(voice.encode())) != 0:
            print(f"{voice!r} (espeak_SetVoiceByName returned {code})", file=sys.stderr)
            sys.exit(REFUSED)
        encoded = text.encode()
        codes = [
            library.espeak_SetParameter(RATE, words_per_minute, 0),
            library.espeak_SetParameter(VOLUME, QUIET_VOLUME, 0),
            library.espeak_SetParameter(PITCH, pitch, 0),
            library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, CHARS_UTF8, None, None),
        ]
        if any(codes):
            sys.exit(f"espeak_SetParameter and espeak_Synth must return 0, got {codes} for {voice!r} saying {text!r}")
        audio.append(b"".join(pieces))
        pieces.clear()
    return audio


if __name__ == "__main__":
    main()
