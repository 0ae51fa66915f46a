"""Bytes to Readings, for Track answers, Track Alert pushes and error bodies alike; and what proves a push.

All pure: the same bytes always give the same.
"""

import hmac
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from hashlib import sha256

from carriers.contract import (
    Effect,
    Event,
    Forged,
    Kind,
    Milestone,
    Payload,
    Place,
    Push,
    Readings,
    Source,
    Told,
    Unreadable,
)  # fmt: skip
from carriers.ups.granting import was_granted
from carriers.ups.meaning import Meaning, meaning, status_digits
from carriers.ups.numbers import recognise
from carriers.ups.shapes import Activity, Address, Body, Complaint, DeliveryDate, Package, Shipment, Status, parse
from carriers.ups.times import Moment, clock_time, day_of, moment, stated

__all__ = ["read", "recognise", "source_of", "verify"]

CARRIER = "ups"
# "Nothing found" and "cannot be a number of ours": answers about a number, not failures.  # source: facts/ups.md 4.4
NOTHING_FOUND = frozenset({"TW0001", "TV1002"})
WINDOWS = frozenset({"EDW", "CDW", "IDW"})  # source: facts/ups.md 4.1, deliveryTime
# source: Tracking.yaml, Milestones: it speaks of a COMPLETE state, and gives the sentence as the state's value.
REACHED = frozenset({"complete", "completed", "this milestone has already occurred"})
# Not a physical scan (`logicalScan`), so such words alone never re-open a parcel that has ended.
PAPERWORK = frozenset({Kind.LABEL_CREATED, Kind.IN_TRANSIT, Kind.CUSTOMS, Kind.EXCEPTION})


def read(payload: Payload) -> Readings:
    """Everything a UPS payload says. Raises Unreadable for bytes that are not UPS's; never for an unknown code."""
    if payload.status == 404:  # documented, with a JSON body or none at all  # source: facts/ups.md 4.4
        return _nothing_found(payload.asked, ())
    if not payload.body.strip():
        raise Unreadable(f"UPS: an empty body with status {payload.status}")
    body = parse(payload.body)
    if body.track_response is not None:
        return _answer(body.track_response.shipment or [], payload.asked)
    number = _number(body.tracking_number)
    if number and body.activity_status is not None:
        return _push(body, number, body.activity_status)
    if body.complaints:
        return _complaint(body.complaints, payload)
    raise Unreadable("UPS: expected trackResponse, or trackingNumber with activityStatus, or errors")


def source_of(body: bytes) -> Source:
    """A push is one event about one number; an answer is `trackResponse`, an error, or nothing at all."""
    if not body.strip():
        return Source.POLL
    found = parse(body)
    if found.track_response is not None or found.complaints:
        return Source.POLL
    if found.tracking_number and found.activity_status is not None:
        return Source.PUSH
    raise Unreadable("UPS: expected trackResponse, or trackingNumber with activityStatus, or errors")


# --------------------------------------------------------------------------------------------------------- poll answers


def _answer(shipments: Sequence[Shipment], asked: tuple[str, ...]) -> Readings:
    events: list[Event] = []
    told: list[Told] = []
    for shipment in shipments:
        packages = shipment.package or []
        fallback = _number(shipment.inquiry_number) or (_number(asked[0]) if len(asked) == 1 else "")
        warnings = tuple(one.text for one in shipment.warnings or [])
        if not packages and fallback:
            told.append(Told(fallback, found=False, warnings=warnings))
        for package in packages:
            number = _number(package.tracking_number) or (fallback if len(packages) == 1 else "")
            if not number:
                raise Unreadable("UPS: a package without trackingNumber")
            told.append(_package(package, number, warnings, events))
    if not shipments:
        return _nothing_found(asked, ())
    return Readings(tuple(events), tuple(told))


def _package(package: Package, number: str, warnings: tuple[str, ...], events: list[Event]) -> Told:
    """One package of an answer: its events are appended, what it tells is returned."""
    dated, lost = _dated(package.activity or ())
    # The newest activity: UPS lists it first, but its own samples are not in order.  # source: facts/ups.md 10.3
    newest = max(dated, key=_instant, default=None)
    current = _current_digits(package.current_status)
    delivered_on = _delivered_on(package.delivery_date)
    for one in dated:
        when, activity = one
        status, place = activity.status or _NO_STATUS, activity.location.address if activity.location else None
        own = status.status_code
        if one is newest and current and not status_digits(own):
            own = current
        words = status.description or status.simplified_text_description or ""
        means = meaning(status.type, status.code, own, words)
        proven = one is newest and when.day == delivered_on
        if proven or activity.logical_scan:
            events.append(_event(number, when, means, status, _place(place), proven, activity.logical_scan is True))
            continue
        events.append(
            Event(
                CARRIER, number, when.at, when.local, when.day, means.kind, means.code, words, _place(place),
                means.reason, means.ordinal, means.final, means.effect, means.marks, when.precision, means.known,
            )
        )  # fmt: skip
    if lost:
        warnings = (*warnings, f"{lost} activities without a date were left out")
    return _told(package, number, newest[0].at if newest else None, current, warnings)


def _instant(one: tuple[Moment, Activity]) -> datetime:
    return one[0].at


def _dated(activities: Sequence[Activity]) -> tuple[list[tuple[Moment, Activity]], int]:
    """The activities with their moments, and how many have none."""
    dated = []
    for one in activities:
        when = stated(one.gmt_date, one.gmt_time, one.date, one.time, one.gmt_offset) or _moment(one)
        if when is not None:
            dated.append((when, one))
    return dated, len(activities) - len(dated)


_NO_STATUS = Status()


def _moment(activity: Activity) -> Moment | None:
    """The moment of an activity whose fields are not all as documented."""
    five = activity.gmt_date, activity.gmt_time, activity.date, activity.time, activity.gmt_offset
    return moment(*five, _country(activity.location.address if activity.location else None))


def _current_digits(status: Status | None) -> str:
    """The three digits of `currentStatus`, which often stand in its `code`.  # source: facts/ups.md 4.1"""
    if status is None:
        return ""
    code = (status.code or "").strip()
    return status_digits(status.status_code) or (code if len(code) == 3 and code.isdecimal() else "")


def _delivered_on(dates: Sequence[DeliveryDate] | None) -> date | None:
    return next((day_of(one.date) for one in dates or [] if one.type == "DEL"), None)


def _told(package: Package, number: str, newest: datetime | None, current: str, warnings: tuple[str, ...]) -> Told:
    fields: dict[str, str] = {}
    estimate, rescheduled = _estimate(package.delivery_date, fields)
    window = package.delivery_time
    edges = _window(window.start_time, window.end_time) if window and window.type in WINDOWS else None
    pickup_by = day_of(package.access_point_information.pickup_by_date) if package.access_point_information else None
    status = current or _words_of(package.current_status)
    for name, held, theirs in (
        ("window", edges, "deliveryTime"),
        ("pickup_by", pickup_by, "accessPointInformation.pickupByDate"),
        ("status", status, "currentStatus"),
    ):
        if held:
            fields[name] = theirs
    places = {(one.type or "").upper(): _place(one.address) for one in package.package_address or []}
    return Told(
        number,
        newest,
        estimate=estimate,
        rescheduled=rescheduled,
        window=edges,
        pickup_by=pickup_by,
        origin=places.get("ORIGIN", _NOWHERE),
        destination=places.get("DESTINATION", _NOWHERE),
        references=_numbers(one.number for one in package.reference_number or []),
        alternates=_numbers(one.number for one in package.alternate_tracking_number or []),
        service=(package.service.description or package.service.code or "") if package.service else "",
        status=status,
        warnings=warnings,
        milestones=_milestones(package) if package.milestones else (),
        fields=fields,
    )


def _milestones(package: Package) -> tuple[Milestone, ...]:
    """The steps of the journey as UPS draws them; an activity linked to one has reached it, or its state says so.

    source: facts/ups.md 4.1; Tracking.yaml, Milestones
    """
    return tuple(
        Milestone(
            (one.code or "").strip(),
            (one.description or "").strip(),
            bool(one.linked_activity or one.category) or (one.state or "").strip().lower() in REACHED,
            one.current is True,
            _linked(package.activity or (), one.linked_activity),
        )
        for one in package.milestones or ()
        if one.code or one.description
    )


def _linked(activities: Sequence[Activity], index: str | None) -> datetime | None:
    """When the activity of this index (0: the first listed) happened."""
    if not index or not (index.isascii() and index.isdecimal()) or int(index) >= len(activities):
        return None
    dated, _ = _dated([activities[int(index)]])
    return dated[0][0].at if dated else None


def _estimate(dates: Sequence[DeliveryDate] | None, fields: dict[str, str]) -> tuple[date | None, bool]:
    """The day it is expected: rescheduled (RDD) beats scheduled (SDD); DEL is none.  # source: facts/ups.md 4.1"""
    for wanted in ("RDD", "SDD"):
        days = [day for one in dates or () if one.type == wanted and (day := day_of(one.date))]
        if days:
            fields["estimate"] = f"deliveryDate.{wanted}"
            return max(days), wanted == "RDD"
    return None, False


def _words_of(status: Status | None) -> str:
    return (status.description or status.code or "") if status else ""


# --------------------------------------------------------------------------------------------------------------- pushes


def _push(body: Body, number: str, status: Status) -> Readings:
    """One Track Alert event.  # source: facts/ups.md 6.2"""
    when = moment(
        body.gmt_activity_date, body.gmt_activity_time, body.local_activity_date, body.local_activity_time,
        body.gmt_offset, _country(body.activity_location),
    )  # fmt: skip
    means = meaning(status.type, status.code, status.description_code or status.status_code, status.description)
    told = _push_told(body, number, when, means)
    if when is None:
        return Readings((), (told,))
    proven = when.day == day_of(body.actual_delivery_date)
    return Readings((_event(number, when, means, status, _place(body.activity_location), proven, False),), (told,))


def _push_told(body: Body, number: str, when: Moment | None, means: Meaning) -> Told:
    estimate = day_of(body.scheduled_delivery_date)
    window = _window(body.delivery_start_time, body.delivery_end_time)
    fields = {
        name: theirs
        for name, held, theirs in (
            ("estimate", estimate, "scheduledDeliveryDate"),
            ("window", window, "deliveryStartTime"),
            ("status", means.digits, "activityStatus.descriptionCode"),
        )
        if held
    }
    return Told(
        number,
        when.at if when else None,
        estimate=estimate,
        rescheduled=estimate is not None and means.code == "U/UP",  # the push that says: the date was changed
        window=window,
        alternates=_numbers([body.alternate_tracking_number]),
        status=means.digits,
        warnings=() if when else ("an activity without a date was left out",),
        fields=fields,
    )


# ----------------------------------------------------------------------------------------------------------- complaints


def _complaint(complaints: Sequence[Complaint], payload: Payload) -> Readings:
    words = tuple(one.text for one in complaints)
    if any((one.code or one.error_code) in NOTHING_FOUND for one in complaints):
        return _nothing_found(payload.asked, words)
    raise Unreadable(f"UPS answered {payload.status} with an error instead of a parcel: {'; '.join(words)}")


def _nothing_found(asked: tuple[str, ...], warnings: tuple[str, ...]) -> Readings:
    return Readings((), tuple(Told(_number(number), found=False, warnings=warnings) for number in asked))


# ------------------------------------------------------------------------------------------------------------ the parts


def _event(
    number: str, when: Moment, means: Meaning, status: Status, place: Place, proven: bool, logical: bool
) -> Event:
    """An event from its parts. `proven`: UPS says that it was delivered on that day, and this is its newest word."""
    kind, effect, known = means.kind, means.effect, means.known
    if proven and kind is Kind.UNKNOWN and (status.type or "").strip().upper() == "D":
        kind, known = Kind.DELIVERED, True  # source: facts/ups.md 4.3, proofs of delivery
    if logical and effect is Effect.SCAN and kind in PAPERWORK and not means.marks:
        effect = Effect.FILLER
    return Event(
        CARRIER,
        number,
        when.at,
        when.local,
        when.day,
        kind,
        means.code,
        status.description or status.simplified_text_description or "",
        place,
        means.reason,
        means.ordinal,
        means.final,
        effect,
        means.marks,
        when.precision,
        known,
    )


_NOWHERE = Place()


def _place(address: Address | None) -> Place:
    if address is None:
        return _NOWHERE
    return _made_place(address.city, address.state_province, address.postal_code, address.country_code, address.country)


@lru_cache(maxsize=8192)
def _made_place(
    city: str | None, region: str | None, postal_code: str | None, code: str | None, country: str | None
) -> Place:
    """Polls shout their cities and pushes do not: both are shown alike.  # source: facts/ups.md 4.6, 6.2"""
    town = (city or "").strip()
    return Place(
        town.title() if town.isupper() else town,
        (region or "").strip(),
        (postal_code or "").strip(),
        _country(Address(country_code=code, country=country)),
    )


def _country(address: Address | None) -> str:
    if address is None:
        return ""
    code = (address.country_code or address.country or "").strip()
    return code.upper() if len(code) == 2 else ""


def _number(text: str | None) -> str:
    """A tracking number without blanks (pushes have begun with one), upper case.  # source: facts/ups.md 6.2"""
    return "".join(text.split()).upper() if text else ""


def _numbers(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.strip() for text in texts if text and text.strip()))


def _window(start: str | None, end: str | None) -> tuple[str, str] | None:
    edges = clock_time(start), clock_time(end)
    return edges if all(edges) else None


# --------------------------------------------------------------------------------------------------- pushes are proven


def verify(push: Push, secrets: Sequence[str], now: datetime) -> None:
    """Raise Forged unless the push carries one of our secrets, in constant time.

    Version 1 repeats our opaque string in `credential`. Version 2 sends a bearer token and its client id (`x-api-key`):
    a secret written `client-id:secret` asks for both, the token being the secret itself or one that `granting` gave.
    UPS signs nothing and states no time.  # source: facts/ups.md 6.2
    """
    credential = push.headers.get("credential", "").strip()
    scheme, _, token = push.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    client = push.headers.get("x-api-key", "").strip()
    shown = [credential, bearer, f"{client}:{bearer}" if bearer else ""]
    proven = was_granted(bearer, client, secrets, now)
    for secret in secrets:
        for one in shown:
            proven |= bool(secret and one) and hmac.compare_digest(_digest(one), _digest(secret))
    if not proven:
        raise Forged("UPS: a push without our credential")


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
