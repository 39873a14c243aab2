"""A small grammar of English sentences with names, places and numbers as words, for synthetic recognition corpora."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import NamedTuple

import numpy as np

from orchestrator.tasks.normalizers import DIGITS, cardinal

NAMES = (
    "alice", "anna", "clara", "daniel", "diana", "emma", "felix", "george", "helen", "henry", "irene", "julia",
    "laura", "maria", "martin", "nora", "oscar", "peter", "robert", "simon", "sophie", "thomas", "victor", "walter",
)  # fmt: skip
PLACES = (
    "athens", "berlin", "boston", "cairo", "denver", "dublin", "geneva", "lisbon", "london", "madrid", "oslo",
    "prague", "sydney", "toronto", "vienna", "warsaw",
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
THINGS = (
    "apples", "bags", "books", "bottles", "boxes", "chairs", "coats", "cups", "flowers", "keys", "lamps", "letters",
    "maps", "shoes", "tables", "tickets",
)  # fmt: skip
DEALS = ("borrowed", "bought", "carried", "collected", "counted", "found", "lost", "ordered", "packed", "sold")
JOBS = ("baker", "doctor", "driver", "farmer", "lawyer", "nurse", "painter", "teacher")
TRAVEL = ("drive", "fly", "move", "travel", "walk")
VEHICLES = ("bus", "plane", "ship", "train")
TIMES = ("morning", "evening", "afternoon")

TEMPLATES = {
    "trade": "{name} {deal} {number} {things} in {place}",
    "journey": "{name} will {travel} to {place} on {day}",
    "departure": "the {vehicle} to {place} leaves at {hour} {minute}",
    "call": "please call {name} at {digits}",
    "payment": "{name} paid {number} dollars for the {things}",
    "meeting": "{name} and {other} meet the {job} in {place}",
    "age": "the {job} from {place} is {number} years old",
    "work": "{name} works in room {digits} every {day}",
    "price": "the {things} cost {number} dollars on {day} {time}",
}


class Sentence(NamedTuple):
    """A sentence, and the template that it was made from."""

    text: str
    template: str


def vocabulary() -> tuple[str, ...]:
    """Every word that a sentence can have, sorted."""
    fixed = " ".join("".join(text for text, *_ in Formatter().parse(t)) for t in TEMPLATES.values()).split()
    numbers = [word for number in range(2, 100) for word in cardinal(number).split()]
    words = {*fixed, *numbers, *DIGITS, *NAMES, *PLACES, *DAYS, *THINGS, *DEALS, *JOBS, *TRAVEL, *VEHICLES, *TIMES}
    return tuple(sorted(words))


def draw_sentences(rng: np.random.Generator, count: int) -> list[Sentence]:
    """`count` different sentences, of all templates alike."""
    found: dict[str, Sentence] = {}
    names = list(TEMPLATES)
    while len(found) < count:
        template = names[len(found) % len(names)]
        text = _filled(rng, TEMPLATES[template])
        found.setdefault(text, Sentence(text, template))
    return list(found.values())


def spoken_digits(rng: np.random.Generator, count: int) -> str:
    """`count` random digits as words."""
    return " ".join(DIGITS[digit] for digit in rng.integers(10, size=count))


def _filled(rng: np.random.Generator, template: str) -> str:
    slots = [slot for _, slot, *_ in Formatter().parse(template) if slot]
    drawn = {slot: FILLERS[slot](rng) for slot in slots}
    while "other" in drawn and drawn["other"] == drawn["name"]:
        drawn["other"] = FILLERS["other"](rng)
    return template.format(**drawn)


def _one_of(words: tuple[str, ...]) -> Callable[[np.random.Generator], str]:
    return lambda rng: words[int(rng.integers(len(words)))]


def _number_from(low: int, high: int, step: int = 1) -> Callable[[np.random.Generator], str]:
    return lambda rng: cardinal(low + step * int(rng.integers((high - low) // step + 1)))


FILLERS: Mapping[str, Callable[[np.random.Generator], str]] = {
    "name": _one_of(NAMES),
    "other": _one_of(NAMES),
    "place": _one_of(PLACES),
    "day": _one_of(DAYS),
    "things": _one_of(THINGS),
    "deal": _one_of(DEALS),
    "job": _one_of(JOBS),
    "travel": _one_of(TRAVEL),
    "vehicle": _one_of(VEHICLES),
    "time": _one_of(TIMES),
    "number": _number_from(2, 99),
    "hour": _number_from(1, 12),
    "minute": _number_from(10, 55, 5),
    "digits": lambda rng: spoken_digits(rng, 3),
}
