"""Normalizers of transcripts, by name and version: references and hypotheses are compared in one spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
UNDECOMPOSED = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "þ": "th", "ð": "d"}
CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros"}
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
SPELLED_AS_NUMBER = 3  # digits at most; longer ones without commas are account numbers, codes or years


def normalized(normalizer: str, text: str, where: str) -> str:
    """Return a reference transcript in the spelling of a normalizer.

    Args:
        normalizer: a name of `NORMALIZERS`.
        text: as the recording's source has it.
        where: the recording, for the message.

    Raises:
        ValueError: the normalizer is unknown, nothing is left of the text, or it has letters that the normalizer would
            drop.
    """
    result = normalizer_of(normalizer)(text)
    lost = sorted({letter for letter in _latin(text) if letter.isalpha() and letter not in LETTERS})
    if lost:
        raise ValueError(
            f"transcript with letters that {normalizer} cannot spell: got {''.join(lost[:20])!r} in {text!r} of "
            f"{where}; write the transcript in Latin letters, or leave the recording out"
        )
    if not result:
        raise ValueError(
            f"empty transcript: got {text!r} for {where}, of which {normalizer} leaves nothing; write what is said, or "
            "leave the recording out"
        )
    return result


def normalizer_of(name: str) -> Callable[[str], str]:
    """Return a normalizer by its name; it accepts any text, such as a hypothesis, and may return an empty one.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in NORMALIZERS:
        raise ValueError(f"unknown normalizer: got {name!r}, allowed: {', '.join(NORMALIZERS)}")
    return NORMALIZERS[name]


def english_1(text: str) -> str:
    """Return lower-case words of a to z, with apostrophes inside words, joined by single spaces.

    Accents are removed from letters, and soft hyphens and joiners from words; other letters and all punctuation
    separate words. Numbers are spelled out:

    - up to three digits, or with commas between thousands: as a number (42: forty two; 1,001: one thousand one);
    - more digits, or a leading zero: digit by digit (4719: four seven one nine);
    - 3.5: three point five; 21st: twenty first; $5: five dollars; 50%: fifty percent; & is "and".
    """
    plain = _latin(text)
    plain = re.sub(rf"([$£€])\s*({NUMBER})", lambda m: f"{m[2]} {CURRENCIES[m[1]]}", plain)
    plain = plain.replace("%", " percent ").replace("&", " and ")
    plain = re.sub(r"(\d+(?:,\d{3})*)(?:st|[nr]d|th)\b", lambda m: f" {_ordinal(_spelled(m[1]))} ", plain)
    plain = re.sub(NUMBER, lambda m: f" {_spelled(m[0])} ", plain)
    words = (word.strip("'") for word in re.sub(r"[^a-z']+", " ", plain).split())
    return " ".join(word for word in words if word)


def _latin(text: str) -> str:
    """Lower case, without accents and characters that are not shown, such as soft hyphens; apostrophes are straight."""
    lowered = "".join(letter for letter in unicodedata.normalize("NFKC", text).lower() if not _is_hidden(letter))
    for mark in "\u2019\u2018\u02bc\u0060\u00b4":
        lowered = lowered.replace(mark, "'")
    plain = "".join(UNDECOMPOSED.get(letter, letter) for letter in lowered)
    return "".join(letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter))


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) == "Cf"


def _spelled(number: str) -> str:
    whole, _, fraction = number.replace(",", "").partition(".")
    as_number = "," in number or len(whole) <= SPELLED_AS_NUMBER
    leading_zero = len(whole) > 1 and whole.startswith("0")
    spelled = cardinal(int(whole)) if as_number and not leading_zero and len(whole) < 10 else _one_by_one(whole)
    return f"{spelled} point {_one_by_one(fraction)}" if fraction else spelled


def _one_by_one(digits: str) -> str:
    return " ".join(DIGITS[int(digit)] for digit in digits)


def cardinal(number: int) -> str:
    """Return a number from 0 to 999,999,999 in words, without "and"."""
    if number < 10:
        return DIGITS[number]
    if number < 20:
        return TEENS[number - 10]
    if number < 100:
        return TENS[number // 10 - 2] + (f" {DIGITS[number % 10]}" if number % 10 else "")
    for size, name in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = f" {cardinal(number % size)}" if number % size else ""
            return f"{cardinal(number // size)} {name}{rest}"
    raise AssertionError(number)


def _ordinal(spelled: str) -> str:
    first, _, last = spelled.rpartition(" ")
    ordinal = ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
    return f"{first} {ordinal}" if first else ordinal


NORMALIZERS: Mapping[str, Callable[[str], str]] = {"english-1": english_1}
