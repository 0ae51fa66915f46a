"""USPS bytes -> Readings: poll answers (v3r2 and v3), pushes and replays alike; and the proof that a push is USPS's.

Pure: no I/O, no clock. The bytes become structs in `shapes`, words a meaning in `codes`, prose dates in `wording`.
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeAlias

from carriers.contract import (
    Effect,
    Event,
    Forged,
    Kind,
    Mark,
    Payload,
    Place,
    Precision,
    Push,
    Readings,
    Reason,
    Source,
    Told,
    Unreadable,
)
from carriers.usps import numbers, shapes, wording, zones
from carriers.usps.codes import TABLE
from carriers.usps.shapes import Item, Scan

__all__ = ["by_parcel", "read", "recognise", "source_of", "verify"]

recognise = numbers.recognise

# An enum's member is looked up slowly: a tenth of the time of reading an event.
MINUTE, DAY = Precision.MINUTE, Precision.DAY
INSTANT = attrgetter("at")
NOTHING = shapes.Expectation()
NOON = time(12)
# source: facts/usps.md 3.3: "-7:00" and "-05:00" were both seen
OFFSET = re.compile(r"(?:GMT|UTC)?([+-]?)([0-9]{1,2})(?:[:.]?([0-9]{2}))?")
FARTHEST = timedelta(hours=14)
When: TypeAlias = tuple[datetime | None, datetime | None, date, Precision]
NEVER: When = (None, None, date.min, DAY)
COUNTRIES = {"UNITED STATES": "US", "UNITED STATES OF AMERICA": "US", "USA": "US", "CANADA": "CA", "MEXICO": "MX"}
FRAUD = "150012"  # source: facts/usps.md 3.6: codes drift, so the text counts too


# -------------------------------------------------------------------------------------------------------- once per word

# Code, words, kind, reason, effect, marks, known, the place, and whether the words may hold a return date.
Described: TypeAlias = tuple[str, str, Kind, Reason | None, Effect, frozenset[Mark], bool, Place, bool]


# The code, words and place of a scan as they came: the same few over and over.
Key: TypeAlias = tuple[str | None, str | None, str | None, str | None, str | None, str | None]
_SEEN: dict[Key, Described] = {}
MOST_SEEN = 16384


def _described(key: Key) -> Described:
    """What a scan says beside its time, cleaned, and kept for the next one that says it."""
    code, words, city, state, zip_code, country = key
    bare, text = (code or "").strip().upper(), clean(words)
    it = TABLE.meaning(bare, text)
    place = _place(city, state, zip_code, country)
    if len(_SEEN) >= MOST_SEEN:
        _SEEN.clear()
    found = bare, text, it.kind, it.reason, it.effect, it.marks, it.known, place, wording.may_say_return(text)
    _SEEN[key] = found
    return found


_day = lru_cache(maxsize=4096)(wording.day)


@lru_cache(maxsize=4096)
def clean(text: str | None) -> str:
    return wording.without_html(text or "")


@lru_cache(maxsize=4096)
def _place(city: str | None, state: str | None, zip_code: str | None, country: str | None) -> Place:
    """A US place unless a country is stated; a facility has a name for its city and nothing else."""
    town, region, code, land = clean(city), clean(state), clean(zip_code), clean(country).upper()
    land = COUNTRIES.get(land, land if len(land) == 2 else "") or ("US" if not land and (region or code) else "")
    return Place(town, region, code, land)


@lru_cache(maxsize=256)
def _offset(text: str | None) -> tzinfo | None:
    match = OFFSET.fullmatch((text or "").strip())
    if not match:
        return None
    distance = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    if distance > FARTHEST:
        return None
    return timezone(-distance if match[1] == "-" else distance) if distance else UTC


# ------------------------------------------------------------------------------------------------------------- when


def _explicit(stamp: datetime | None) -> tzinfo | None:
    """The offset a stamp states; a `Z` there is not to be believed: v3 puts it behind local wall time.  # facts 3.3"""
    return stamp.tzinfo if stamp and stamp.utcoffset() else None


def _zone(scan: Scan, item: Item) -> tzinfo:
    """The clock of the scan's place; of the parcel's ends where the scan has no place."""
    return (
        zones.zone(scan.zip_code or scan.zip_v3 or "", scan.state or "")
        or zones.zone(item.destination_zip or item.destination_zip_v3 or "", item.destination_state or "")
        or zones.zone(item.origin_zip or item.origin_zip_v3 or "", item.origin_state or "")
        or zones.anywhere()
    )


def _clock_of(scan: Scan, item: Item, stamp: datetime | None, at: datetime) -> tzinfo:
    """The local clock of a scan with a known instant: as the stamp states it, or GMTOffset, or as both imply it."""
    if stated := _explicit(stamp) or _offset(scan.offset):
        return stated
    if stamp:
        # Wall time and instant are both there: their distance is the offset, to the quarter hour (seconds differ).
        quarters = round((stamp.replace(tzinfo=UTC) - at) / timedelta(minutes=15))
        if quarters and abs(quarters) <= FARTHEST / timedelta(minutes=15):
            return timezone(timedelta(minutes=15) * quarters)
    return _zone(scan, item)


def _when(scan: Scan, item: Item) -> When:
    """Instant, wall time, local day and how exact; NEVER when it states no time, or one off the calendar's ends.

    source: facts/usps.md 3.3: GMTTimestamp, then a stamp with an offset, then a stamp and GMTOffset, then the clock of
    the place, then a bare day, ordered as if at local noon.
    """
    stamp = wording.instant(scan.stamp)
    try:
        if scan.at:
            at = scan.at.replace(tzinfo=UTC) if scan.at.tzinfo is None else scan.at.astimezone(UTC)
            local = at.astimezone(_clock_of(scan, item, stamp, at))
            return at, local, local.date(), MINUTE
        if stamp:
            local = stamp.replace(tzinfo=_explicit(stamp) or _offset(scan.offset) or _zone(scan, item))
            return local.astimezone(UTC), local, local.date(), MINUTE
        if bare := _day(scan.stamp):
            noon = datetime.combine(bare, NOON, _offset(scan.offset) or _zone(scan, item))
            return noon.astimezone(UTC), None, bare, DAY
    except OverflowError:
        pass
    return NEVER


# ------------------------------------------------------------------------------------------------------------- events


# The events, those of them whose words may hold a return date, and what is odd about the scans.
Found: TypeAlias = tuple[list[Event], list[Event], list[str]]


def _found(number: str, item: Item, scans: Sequence[Scan]) -> Found:
    """One event for each scan. The loop an answer is read by: what it does twenty times over stands in it."""
    events: list[Event] = []
    promising: list[Event] = []
    warnings: list[str] = []
    add, seen, parse = events.append, _SEEN.get, datetime.fromisoformat
    local: datetime | None
    for scan in scans:
        key = (scan.code, scan.words, scan.city, scan.state, scan.zip_code or scan.zip_v3, scan.country)
        code, words, kind, reason, effect, marks, known, place, may_promise = seen(key) or _described(key)
        at, stamp, precision = scan.at, scan.stamp, MINUTE
        try:
            # The usual case: the instant, and a wall time that says how far from UTC it is.
            local = parse(stamp) if at is not None and stamp is not None and at.tzinfo is UTC else None
            if local is not None and (clock := local.tzinfo) is not UTC and clock is not None:
                day = local.date()
            else:
                at, local, day, precision = _when(scan, item)
        except ValueError:
            at, local, day, precision = _when(scan, item)
        if at is None or not (code or words):
            warnings.append(f"an event without a time or a name was left out: {code} {words}".rstrip(": "))
            continue
        event = Event(
            "usps", number, at, local, day, kind, code, words, place, reason, None, False, effect, marks, precision,
            known,
        )  # fmt: skip
        add(event)
        if may_promise:
            promising.append(event)
    return events, promising, warnings


# --------------------------------------------------------------------------------------------------------------- told


# What USPS expects, by the field that says it: expected, then predicted, then guaranteed.
_EXPECTATIONS = tuple(
    (name, is_new, attrgetter(field))
    for name, is_new, field in (
        ("deliveryDateExpectation.expectedDeliveryDate", True, "expected"),
        ("expectedDeliveryTimeStamp", False, "expected_v3"),
        ("expectedDeliveryDate", False, "expected_summary"),
        ("deliveryDateExpectation.predictedDeliveryDate", True, "predicted"),
        ("predictedDeliveryDate", False, "predicted_v3"),
        ("predictedDeliveryTimeStamp", False, "predicted_old"),
        ("deliveryDateExpectation.guaranteedDeliveryDate", True, "guaranteed"),
        ("guaranteedDeliveryTimeStamp", False, "guaranteed_v3"),
        ("guaranteedDeliveryDate", False, "guaranteed_summary"),
    )
)


def _estimate(item: Item) -> tuple[str, date] | None:
    """What USPS expects, and the field that says it; the first that holds a date."""
    new = item.expectation or NOTHING
    for name, is_new, said in _EXPECTATIONS:
        if (text := said(new if is_new else item)) and (found := _day(text)):
            return name, found
    return None


def _window(start: str | None, end: str | None) -> tuple[str, str] | None:
    hours = wording.clock(start), wording.clock(end)
    return hours if all(hours) else None


def _return_by(item: Item, promising: list[Event], newest: Event | None) -> tuple[str, date] | None:
    """The day it goes back: a field of v3; in v3r2 only words say it.  # source: facts/usps.md 3.1, 4.3"""
    if item.return_date and (stated := _day(item.return_date)):
        return "returnDateNotice", stated
    if said := wording.return_by(item.summary, newest.day if newest else None):
        return "statusSummary", said
    for event in sorted(promising, key=INSTANT, reverse=True):
        if said := wording.return_by(event.words, event.day):
            return "eventType", said
    return None


def _alternates(item: Item, number: str) -> tuple[str, ...]:
    others = [_number(text) for text in (item.associated, item.original, item.other_label) if text]
    return tuple(dict.fromkeys(each for each in others if each and each != number))


@lru_cache(maxsize=256)
def _service(text: str | None) -> tuple[str, bool | None]:
    """The mail class in plain words, and whether it is an express one."""
    words = clean(text)
    return words, "express" in words.lower() if words else None


def _told(number: str, item: Item, events: list[Event], promising: list[Event], warnings: list[str]) -> Told:
    newest = max(events, key=INSTANT) if events else None
    estimate, new = _estimate(item), item.expectation or NOTHING
    may_go_back = item.return_date or promising or wording.may_say_return(item.summary)
    back = _return_by(item, promising, newest) if may_go_back else None
    start, end = new.window_start or item.window_start, new.window_end or item.window_end
    service, express = _service(item.mail_class)
    fields = {}
    if estimate:
        fields["estimate"] = estimate[0]
    if back:
        fields["return_by"] = back[0]
    return Told(
        number,
        newest.at if newest else None,
        True,
        estimate[1] if estimate else None,
        new.modified == "1",
        _window(start, end) if start and end else None,
        back[1] if back else None,
        None,
        _place(item.origin_city, item.origin_state, item.origin_zip or item.origin_zip_v3, item.origin_country),
        _place(
            item.destination_city,
            item.destination_state,
            item.destination_zip or item.destination_zip_v3,
            item.destination_country or item.destination_country_v3,
        ),
        tuple(filter(None, map(clean, item.references))) if item.references else (),
        _alternates(item, number) if item.associated or item.original or item.other_label else (),
        service,
        express,
        clean(item.category),
        tuple(warnings),
        fields=fields,
    )


# ----------------------------------------------------------------------------------------------------------- not found


def _complaints(error: Mapping[str, Any]) -> tuple[str, ...]:
    """The sentences of an error envelope, every part of which may be missing.  # source: facts/usps.md 3.6, 8"""
    said = []
    errors = error.get("errors")
    for each in errors if isinstance(errors, list) else ():
        if isinstance(each, dict):
            text = wording.without_html(str(each.get("detail") or each.get("title") or ""))
            code = str(each.get("code") or "")
            fraud = "fraudulent postage: " if code == FRAUD or "fraud" in text.lower() else ""
            said.append(f"{fraud}{code} {text}".strip()[:300])
    return tuple(said) or (wording.without_html(str(error.get("message") or "not found"))[:300],)


def _is_missing(item: Item) -> bool:
    return item.error is not None or (item.status_code or "2")[0] != "2"


# ---------------------------------------------------------------------------------------------------------------- read


def _number(text: str | None) -> str:
    """The number as we write it: USPS answers with what it was asked, at times with the routing prefix."""
    if not text or (len(text) == 22 and text.isascii() and text.isdecimal()):  # nothing in it to tidy
        return text or ""
    return _tidied(text)


@lru_cache(maxsize=4096)
def _tidied(text: str) -> str:
    return re.sub(r"[^0-9A-Z]", "", numbers.tidy(text))


def _read(number: str, item: Item) -> tuple[list[Event], Told]:
    scans = item.scans
    if item.scan:
        scans = [*(scans or ()), item.scan]
    elif scans is None and _is_missing(item):
        return [], Told(number, found=False, warnings=_complaints(item.error or {}))
    events, promising, warnings = _found(number, item, scans or ())
    if item.summaries:
        warnings.append("a summary answer: its sentences are not read as events")
    return events, _told(number, item, events, promising, warnings)


def _asked(payload: Payload) -> list[str]:
    return list(dict.fromkeys(filter(None, map(_number, payload.asked))))


def _nameless(item: Item, payload: Payload, alone: bool) -> Sequence[str]:
    """Which numbers an item without its own speaks of: an only one answers all that was asked."""
    asked = _asked(payload) if alone else []
    return asked if item.error is not None or (len(asked) == 1 and item.scans is not None) else ()


def _unmentioned(payload: Payload, mentioned: Sequence[str]) -> list[Told]:
    absent = ("the answer does not mention this number",)
    return [Told(number, found=False, warnings=absent) for number in _asked(payload) if number not in mentioned]


def read(payload: Payload) -> Readings:
    """Everything the payload says. Raises Unreadable for bytes that are not USPS's; never for an unknown code."""
    events: list[Event] = []
    told: list[Told] = []
    mentioned: list[str] = []
    items = shapes.items(payload.body)
    for item in items:
        own = _number(item.number)
        for number in (own,) if own else _nameless(item, payload, len(items) == 1):
            found, said = _read(number, item)
            events += found
            told.append(said)
            mentioned.append(number)
    if items and not told:
        raise Unreadable("nothing in it names a tracking number")
    if mentioned != [*payload.asked]:
        told += _unmentioned(payload, mentioned)
    return Readings(tuple(events), tuple(told))


def by_parcel(answer: Payload) -> list[Payload]:
    """An answer as one for each parcel, with the bytes that speak of it: `[item]`, the answer about it alone.

    What repeats is then known by its digest, whatever the others' news (docs/decisions/0074). An answer about one
    parcel, or that does not speak once of each number that was asked for, stays as it is.
    """
    items = [(_number(number), body) for number, body in shapes.apart(answer.body)]
    asked = _asked(answer)
    if len(items) < 2 or len(items) != len(asked) or {number for number, _ in items} != set(asked):
        return [answer]
    return [Payload(answer.carrier, answer.source, b"[%b]" % body, (number,), answer.status) for number, body in items]


def source_of(body: bytes) -> Source:
    """A push is an envelope around a payload string, an answer speaks of numbers or is an error."""
    said = shapes.json(body.removeprefix(shapes.BOM))
    first = said[0] if isinstance(said, list) and said else said
    keys = {key.lower() for key in first} if isinstance(first, dict) else set()
    if first is said and keys & {"payload", "challenge"}:
        return Source.PUSH
    if said == [] or keys & {"trackingnumber", "trackingevents", "error"}:
        return Source.POLL
    raise Unreadable("neither a push nor a tracking answer of USPS's")


# -------------------------------------------------------------------------------------------------------------- verify


@lru_cache(maxsize=1)  # a push is proved, and then asked when it was sent
def _envelope(body: bytes) -> tuple[str, str]:
    """`timestamp` and `payload` of a push as the decoded strings that are signed."""
    try:
        envelope = shapes.json(body.removeprefix(shapes.BOM))
    except Unreadable as error:
        raise Forged(f"not a push of USPS's: {error}") from None
    match envelope:
        case {"timestamp": str(timestamp), "payload": str(payload)}:
            return timestamp, payload
    raise Forged("not a push of USPS's: timestamp and payload must be strings")


def stated_at(push: Push) -> datetime | None:
    """When USPS says that it sent this push.  # source: facts/usps.md 5.1, `timestamp` of the envelope"""
    try:
        stated = datetime.fromisoformat(_envelope(push.body)[0])
    except (Forged, ValueError):
        return None
    return stated.astimezone(UTC) if stated.tzinfo else None


def signature(secret: str, timestamp: str, payload: str) -> str:
    """source: facts/usps.md 5.1: over the decoded strings, one behind the other; never over the raw body."""
    return base64.b64encode(hmac.digest(secret.encode(), (timestamp + payload).encode(), "sha256")).decode()


def verify(push: Push, secrets: Sequence[str], now: datetime) -> None:
    """Raise Forged unless one of `secrets` (newest first) proves that USPS sent it. Constant time.

    A push that is late is still USPS's: it is kept and read by its events' own instants, so `now` decides nothing here.
    """
    if not any(secrets):
        raise Forged("no push secret is set, so nothing can be proved")
    claimed = (push.headers.get("x-hmac") or push.headers.get("hmac-header") or "").strip().encode()
    if not claimed:
        raise Forged("a push without a signature")
    timestamp, payload = _envelope(push.body)
    proofs = [hmac.compare_digest(signature(each, timestamp, payload).encode(), claimed) for each in secrets if each]
    if not any(proofs):
        raise Forged("a push whose signature fits none of our secrets")
