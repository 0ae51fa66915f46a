"""USPS tracking numbers: how they are written, their check digits, and the routing prefix that scanners add."""

import re

from carriers.contract import Recognised

BAD_CHECK = "the check digit does not fit: probably mistyped"

# source: facts/usps.md 7
IMPB = re.compile(r"9[1-5][0-9]{20}|9[234][0-9]{24}")
LEGACY_BARE = re.compile(r"[0-9]{20}")
ROUTED = re.compile(r"420[0-9]{25,35}")
S10 = re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}")
LINK = re.compile(r"[?&](?:tLabels|origTrackNum|qtc_tLabels1)=([0-9A-Za-z]+)")
S10_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
# ZIP+4 before ZIP: 34 digits are usually 3 + 9 + 22.  # source: facts/usps.md 7
ROUTING = (12, 8)


def mod10(digits: str) -> bool:
    """Whether the last digit is the check of those before it: weights 3, 1, 3, 1 from the right."""
    body, check = digits[:-1], int(digits[-1])
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    return (10 - total % 10) % 10 == check


def s10(number: str) -> bool:
    """Whether an international number (two letters, nine digits, two letters) carries its check digit."""
    total = sum(int(digit) * weight for digit, weight in zip(number[2:10], S10_WEIGHTS, strict=True))
    check = 11 - total % 11
    return {10: 0, 11: 5}.get(check, check) == int(number[10])


def tidy(text: str) -> str:
    """The number without spaces, dashes and dots, in capitals; a routing prefix is taken off where one is certain."""
    bare = re.sub(r"[\s.\-\u2010-\u2015]+", "", text).upper()
    return unrouted(bare) if ROUTED.fullmatch(bare) else bare


def unrouted(digits: str) -> str:
    """The number behind 420 + ZIP (or ZIP+4): the reading whose check digit holds, else the one that looks right."""
    rests = [digits[width:] for width in ROUTING]
    looking = [rest for rest in rests if IMPB.fullmatch(rest)]
    legacy = [rest for rest in rests if LEGACY_BARE.fullmatch(rest) and legacy_check(rest)]
    sound = [rest for rest in looking if mod10(rest)] + legacy
    return next(iter([*sound, *looking]), digits)


def legacy_check(digits: str) -> bool:
    """A legacy number of 20 digits: its check is over them, or over 91 and them.  # source: facts/usps.md 7"""
    return mod10(digits) or mod10("91" + digits)


def recognise(text: str) -> Recognised | None:
    """The tracking number in `text` (typed, scanned, or a usps.com link), or None when it cannot be one of USPS's."""
    if link := LINK.search(text):
        text = link.group(1)
    number = tidy(text)
    if IMPB.fullmatch(number):
        return Recognised(number, "" if mod10(number) else BAD_CHECK)
    if S10.fullmatch(number):
        return Recognised(number, "" if s10(number) else BAD_CHECK)
    if LEGACY_BARE.fullmatch(number) and legacy_check(number):
        return Recognised(number)
    return None
