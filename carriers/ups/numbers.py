"""UPS's tracking numbers: their shapes, and the check digit of the 1Z ones."""

import re

from carriers.contract import Recognised

# source: facts/ups.md 10.1
_SMALL_PACKAGE = re.compile(r"1Z[0-9A-Z]{16}")
_ROADIE = re.compile(r"1R(?:[0-9A-Z]{26}|[0-9A-Z]{14})")
_UNCHECKED = re.compile(r"\d{9}|\d{12}|T\d{10}|\d{22,34}")


def recognise(text: str) -> Recognised | None:
    """The tracking number in `text`, upper case and without blanks, or None when UPS has no such numbers.

    A wrong check digit is only a warning: most of UPS's own test numbers have one.  # source: facts/ups.md 10.2
    """
    bare = re.sub(r"[\s-]+", "", text).upper()
    if _SMALL_PACKAGE.fullmatch(bare):
        return Recognised(bare, "" if bare[-1] == check_digit(bare) else "the check digit does not fit: please compare")
    if _ROADIE.fullmatch(bare):
        return Recognised(bare)
    if _UNCHECKED.fullmatch(bare):
        return Recognised(bare, "this form has no check digit and is used by other carriers too")
    inside = re.search(rf"\b{_SMALL_PACKAGE.pattern}\b", text.upper())
    return recognise(inside[0]) if inside else None


def check_digit(number: str) -> str:
    """The last character of a 1Z number, from the fifteen between.  # source: facts/ups.md 10.2"""
    values = [int(one) if one.isdecimal() else (ord(one) - 63) % 10 for one in number[2:17]]
    return str(-(sum(values[::2]) + 2 * sum(values[1::2])) % 10)
