"""From all that was ever told of a parcel to the parcel: legs, status, attempts with evidence. No terms, no clock.

The fold takes sightings and tellings in any order and any number and gives the same parcel: sightings of one event are
merged by commutative rules, events are walked by instant, and what is told counts by the newest event in its payload.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct, structs

from carriers.contract import NOT_AN_ATTEMPT, Effect, Event, Kind, Mark, Place, Reason, Source, Told


class Leg(StrEnum):
    """Toward the label's destination, or back toward its sender."""

    OUT = "out"
    BACK = "back"


class Purpose(StrEnum):
    ORDER = "order"
    RETURN = "return"
    RESEND = "resend"
    EXCHANGE = "exchange"


class Status(StrEnum):
    UNKNOWN = "unknown"
    LABEL_CREATED = "label_created"
    ACCEPTED = "accepted"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    ATTEMPT_FAILED = "attempt_failed"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    ON_HOLD = "on_hold"
    UNDELIVERABLE = "undeliverable"
    DELIVERED = "delivered"
    LOST = "lost"
    DESTROYED = "destroyed"
    VOIDED = "voided"


ENDED = frozenset({Status.DELIVERED, Status.LOST, Status.DESTROYED, Status.VOIDED})


class HomeReason(StrEnum):
    """Why a parcel goes back to the warehouse."""

    FAILED_DELIVERY_ATTEMPTS = "failed_delivery_attempts"
    INSUFFICIENT_ADDRESS = "insufficient_address"
    REFUSED = "refused"
    UNCLAIMED = "unclaimed"
    RECALLED_BY_SHIPPER = "recalled_by_shipper"
    DAMAGED = "damaged"
    UNKNOWN = "unknown"


class Shipment(Struct, frozen=True):
    """What we ourselves know of a parcel before any carrier speaks.

    `warehouse` is the shop's: the sender (of a return the receiver) where neither we nor the carrier states one.
    `further` are numbers (with their carriers) that were matched to it: under them it only ever travels home.
    `home_of` is the other side of that: the parcel that travels home under this number.
    """

    carrier: str
    number: str
    purpose: Purpose = Purpose.ORDER
    origin: Place = Place()
    destination: Place = Place()
    service: str = ""
    express: bool = False
    promised: date | None = None  # the last day of the window that the shopper was promised
    warehouse: Place = Place()
    further: tuple[tuple[str, str], ...] = ()
    home_of: tuple[str, str] | None = None

    @property
    def homeward(self) -> frozenset[str]:
        """The numbers that only ever go home."""
        own = {self.number} if self.home_of else set()
        return frozenset({number for _, number in self.further} | own) if self.further or own else frozenset()


class Sighting(Struct, frozen=True, gc=False):
    """One telling of an event: by which kind of payload, named by its digest. `id` is the event's, where known."""

    event: Event
    source: Source
    digest: str = ""
    id: str = ""


class Telling(Struct, frozen=True, gc=False):
    """What one payload says of a parcel without it being an event."""

    told: Told
    digest: str = ""


class Happening(Struct, frozen=True, gc=False):
    """An event as all its sightings together tell it."""

    event: Event
    sources: tuple[Source, ...]
    id: str  # the event's


class Attempt(Struct, frozen=True):
    """One row of the attempt ledger: a candidate, counted or not, with the evidence and the rule that decided.

    `ordinal` and `day` are null on rejected and inferred rows respectively; `at` is the first event's instant.
    """

    ordinal: int | None
    day: date | None
    reason: Reason | None
    counted: bool
    rule: str
    evidence: tuple[str, ...]
    at: datetime
    final: bool = False
    inferred: bool = False


class Evidence(Struct, frozen=True):
    """Something that speaks for the parcel going home: since when, why, and the event or payload field that says so."""

    at: datetime
    reason: HomeReason
    source: str
    sends_home: bool  # False: explains a return, but does not by itself announce one


class Turn(Struct, frozen=True):
    """The parcel changed direction."""

    at: datetime
    leg: Leg
    source: str


class Stated(Struct, frozen=True):
    """A date that a payload states, with its evidence (`payload:<digest>#<the carrier's field>`)."""

    day: date
    source: str


class Parcel(Struct, frozen=True):
    """What we know about a parcel, whatever the shop's terms and whatever the time."""

    carrier: str
    number: str
    purpose: Purpose
    leg: Leg = Leg.OUT
    status: Status = Status.UNKNOWN
    happenings: tuple[Happening, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    collections: int = 0  # failed tries to collect a return from the customer
    turns: tuple[Turn, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    decided_by: str = ""  # the event that gave the status
    decided_at: datetime | None = None
    accepted_at: datetime | None = None  # the first physical scan: the carrier has it
    delivered_at: datetime | None = None
    returned_at: datetime | None = None
    moved_at: datetime | None = None  # the newest event
    delay: Reason | None = None  # why it is not moving, when the last event says so
    place: Place = Place()
    origin: Place = Place()
    destination: Place = Place()
    estimate: date | None = None
    window: tuple[str, str] | None = None
    return_by: Stated | None = None
    pickup_by: Stated | None = None
    promised: date | None = None
    express: bool = False
    service: str = ""
    further: tuple[tuple[str, str], ...] = ()  # carriers and numbers under which it travels home
    home_of: tuple[str, str] | None = None  # the parcel that travels home under this number
    references: tuple[str, ...] = ()
    alternates: tuple[str, ...] = ()
    found: bool = True
    unknown_codes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many delivery attempts the carrier made."""
        return max((row.ordinal or 0 for row in self.attempts if row.counted), default=0)

    @property
    def final(self) -> bool:
        return any(row.final for row in self.attempts)


# ------------------------------------------------------------------------------------------------ sightings into events

# Specific beats generic when two payloads tell one event differently; "to original sender" is the most specific of all.
_GENERIC = {Kind.UNKNOWN: 0, Kind.EXCEPTION: 1, Kind.IN_TRANSIT: 1, Kind.RETURNED_TO_SENDER: 3}
_EFFECT = (Effect.UPDATE, Effect.FILLER, Effect.SCAN)
# Two scans in the same second are walked in the order in which such things happen.
_ORDER = {kind: place for place, kind in enumerate((
    Kind.UNKNOWN, Kind.LABEL_CREATED, Kind.VOIDED, Kind.PICKED_UP, Kind.IN_TRANSIT, Kind.CUSTOMS, Kind.FORWARDED,
    Kind.OUT_FOR_DELIVERY, Kind.EXCEPTION, Kind.DAMAGED, Kind.ATTEMPT_FAILED, Kind.DELIVERED_TO_ACCESS_POINT,
    Kind.AVAILABLE_FOR_PICKUP, Kind.BAD_ADDRESS, Kind.REFUSED, Kind.UNCLAIMED, Kind.LOST, Kind.RETURNING_TO_SENDER,
    Kind.DELIVERED, Kind.RETURNED_TO_SENDER,
))}  # fmt: skip


def _when(events: Sequence[Event]) -> Event:
    """The telling whose local time is believed: one with an offset before one without, then the earliest."""
    return min(events, key=lambda e: (e.local is None or e.local.tzinfo is None, str(e.local), e.day))


_MERGED: Mapping[str, Callable[[Sequence[Event]], Any]] = {
    "at": lambda events: min(e.at for e in events),
    "local": lambda events: _when(events).local,
    "day": lambda events: _when(events).day,
    "kind": lambda events: min((e.kind for e in events), key=lambda k: (-_GENERIC.get(k, 2), k)),
    "words": lambda events: min((e.words for e in events if e.words), default=""),
    "place": lambda events: min((e.place for e in events), key=_how_little_stated),
    "reason": lambda events: min(
        (e.reason for e in events if e.reason), key=lambda r: (r is Reason.UNSPECIFIED, r), default=None
    ),
    "ordinal": lambda events: max((e.ordinal for e in events if e.ordinal is not None), default=None),
    "final": lambda events: any(e.final for e in events),
    "effect": lambda events: max((e.effect for e in events), key=_EFFECT.index),
    "marks": lambda events: frozenset().union(*(e.marks for e in events)),
    "known": lambda events: any(e.known for e in events),
}
"""How tellings become one, field by field. Stated beats absent, specific beats generic, then the smallest (of ordinals
the highest: a carrier counts up)."""


def _how_little_stated(place: Place) -> tuple[int, str, str, str, str]:
    said = (place.city, place.region, place.postal_code, place.country)
    return (said.count(""), *said)


def merge(tellings: Iterable[Event]) -> Event:
    """One event from all its tellings, commutative and idempotent; most fields are told alike."""
    first, *others = events = list(tellings)
    unlike = {name for other in others for name in _MERGED if getattr(first, name) != getattr(other, name)}
    if any(_offset(first) != _offset(other) for other in others):  # of one instant two local times are not alike
        unlike.add("local")
    return structs.replace(first, **{name: _MERGED[name](events) for name in unlike}) if unlike else first


def _offset(event: Event) -> timedelta | None:
    return event.local.utcoffset() if event.local else None


def happenings(sightings: Iterable[Sighting]) -> tuple[Happening, ...]:
    """Every event once, oldest first."""
    tellings: dict[tuple[str, str], list[Sighting]] = {}
    for sighting in sightings:
        tellings.setdefault((sighting.id or sighting.event.id, sighting.event.number), []).append(sighting)
    merged = [
        Happening(group[0].event, (group[0].source,), id)
        if len(group) == 1
        else Happening(merge(s.event for s in group), tuple(sorted({s.source for s in group})), id)
        for (id, _), group in tellings.items()
    ]
    return tuple(sorted(merged, key=lambda h: (h.event.at, _ORDER[h.event.kind], h.id, h.event.number)))


# -------------------------------------------------------------------------------------------------------- what is told

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _stated(day: date | None, telling: Telling, name: str) -> Stated | None:
    return Stated(day, f"payload:{telling.digest}#{telling.told.fields.get(name, name)}") if day else None


def _picture(tellings: Iterable[Telling], shipment: Shipment) -> dict[str, Any]:
    """A parcel's fields as they are told: each as the payload with the newest event states it, stated beats absent.

    At the same instant a rescheduled estimate beats a scheduled one; then the payload with the smallest digest does.
    """
    told = sorted(tellings, key=lambda t: t.digest, reverse=True)
    told.sort(key=lambda t: (t.told.newest or _LONG_AGO, t.told.rescheduled))
    picture: dict[str, Any] = {
        "origin": shipment.origin,
        "destination": shipment.destination,
        "service": shipment.service,
        "express": shipment.express,
    }
    for telling in told:
        t = telling.told
        latest: dict[str, object] = {
            "estimate": t.estimate,
            "window": t.window,
            "return_by": _stated(t.return_by, telling, "return_by"),
            "pickup_by": _stated(t.pickup_by, telling, "pickup_by"),
            "service": t.service,
            "express": t.express,
        }
        if not shipment.origin:
            latest["origin"] = t.origin
        if not shipment.destination:
            latest["destination"] = t.destination
        picture |= {name: value for name, value in latest.items() if value}
    picture["references"] = tuple(sorted({r for t in told for r in t.told.references}))
    picture["alternates"] = tuple(sorted({a for t in told for a in t.told.alternates}))
    picture["found"] = any(t.told.found for t in told) or not told
    return picture


# ------------------------------------------------------------------------------------------------------------ the walk

_STATUS = {
    Kind.LABEL_CREATED: Status.LABEL_CREATED,
    Kind.PICKED_UP: Status.ACCEPTED,
    Kind.IN_TRANSIT: Status.IN_TRANSIT,
    Kind.FORWARDED: Status.IN_TRANSIT,
    Kind.EXCEPTION: Status.IN_TRANSIT,
    Kind.OUT_FOR_DELIVERY: Status.OUT_FOR_DELIVERY,
    Kind.ATTEMPT_FAILED: Status.ATTEMPT_FAILED,
    Kind.AVAILABLE_FOR_PICKUP: Status.AVAILABLE_FOR_PICKUP,
    Kind.DELIVERED_TO_ACCESS_POINT: Status.AVAILABLE_FOR_PICKUP,
    Kind.CUSTOMS: Status.ON_HOLD,
    Kind.DAMAGED: Status.ON_HOLD,
    Kind.REFUSED: Status.UNDELIVERABLE,
    Kind.BAD_ADDRESS: Status.UNDELIVERABLE,
    Kind.UNCLAIMED: Status.UNDELIVERABLE,
    Kind.LOST: Status.LOST,
    Kind.VOIDED: Status.VOIDED,
    Kind.RETURNING_TO_SENDER: Status.IN_TRANSIT,
}

# A reason on an event speaks louder than its kind: "goes back, not collected" is unclaimed.
_HOME_BY_REASON = {
    Reason.REFUSED: HomeReason.REFUSED,
    Reason.INSUFFICIENT_ADDRESS: HomeReason.INSUFFICIENT_ADDRESS,
    Reason.MOVED: HomeReason.INSUFFICIENT_ADDRESS,
    Reason.UNCLAIMED: HomeReason.UNCLAIMED,
    Reason.RECALLED_BY_SHIPPER: HomeReason.RECALLED_BY_SHIPPER,
    Reason.DAMAGED: HomeReason.DAMAGED,
}
_HOME_BY_KIND = {
    Kind.REFUSED: HomeReason.REFUSED,
    Kind.BAD_ADDRESS: HomeReason.INSUFFICIENT_ADDRESS,
    Kind.UNCLAIMED: HomeReason.UNCLAIMED,
    Kind.DAMAGED: HomeReason.DAMAGED,
}
_FINAL_KINDS = frozenset({Kind.REFUSED, Kind.BAD_ADDRESS, Kind.UNCLAIMED})
_UNDELIVERED = _FINAL_KINDS | {Kind.ATTEMPT_FAILED}
_OF_THE_LABEL = frozenset({Kind.LABEL_CREATED, Kind.VOIDED})
_ARRIVALS = frozenset({Kind.DELIVERED, Kind.RETURNED_TO_SENDER})
_MOVES_NOTHING = frozenset({Kind.EXCEPTION, Kind.DAMAGED})
_NOT_YET_MOVING = frozenset({Status.UNKNOWN, Status.LABEL_CREATED, Status.VOIDED})
# What every event is asked has a name here: taken from its class, a member costs eight times as much
# (docs/decisions/0073).
_OUT, _BACK = Leg.OUT, Leg.BACK
_SCAN, _UPDATE = Effect.SCAN, Effect.UPDATE
_COLLECTION, _CORRECTION = Mark.COLLECTION, Mark.CORRECTION
_UNKNOWN, _LABEL_CREATED, _FAILED = Kind.UNKNOWN, Kind.LABEL_CREATED, Kind.ATTEMPT_FAILED
_EXCEPTION, _RETURNING = Kind.EXCEPTION, Kind.RETURNING_TO_SENDER
_DELIVERED, _LOST = Status.DELIVERED, Status.LOST


@dataclass(slots=True)
class _Walk:
    """What the walk over the events carries along."""

    origin: Place
    destination: Place
    homeward: frozenset[str] = frozenset()
    leg: Leg = Leg.OUT
    status: Status = Status.UNKNOWN
    decided: Event | None = None
    accepted_at: datetime | None = None
    delivered_at: datetime | None = None
    returned_at: datetime | None = None
    undeliverable_before: bool = False  # a visit failed or a disposition sends it home
    delay: Reason | None = None
    candidates: list[Event] = field(default_factory=list)
    collections: set[date] = field(default_factory=set)
    turns: list[Turn] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)

    def step(self, event: Event) -> None:
        """One event, in the order of instants."""
        if event.kind is _UNKNOWN or event.effect is _UPDATE:
            return
        marks = event.marks
        if marks and _COLLECTION in marks:
            self.collections.add(event.day)
            return
        if event.number in self.homeward and not self._travels_home(event):
            return
        if marks:
            self._withdraw(event)
        self._note(event)
        if marks and _CORRECTION in marks:
            self._settle(Status.IN_TRANSIT, event)
        elif event.kind in _ARRIVALS:
            self._arrive(event)
        elif self._changes(event):
            if event.kind is _RETURNING:
                self._turn(_BACK, event)
            status = _STATUS[event.kind]
            destroyed = status is _LOST and event.reason is Reason.DESTROYED
            self._settle(Status.DESTROYED if destroyed else status, event)

    def _travels_home(self, event: Event) -> bool:
        """A scan under a number that only ever goes home turns the parcel; that such a label was made says nothing."""
        if event.kind in _OF_THE_LABEL and self.status not in _NOT_YET_MOVING:
            return False
        if event.effect is _SCAN and event.kind not in _OF_THE_LABEL:
            self._turn(_BACK, event)
        return True

    def _withdraw(self, event: Event) -> None:
        """A return that was called off puts the parcel on its way out again."""
        if Mark.RETURN_WITHDRAWN in event.marks and self.leg is _BACK and self.status is not _DELIVERED:
            self._turn(_OUT, event)

    def _note(self, event: Event) -> None:
        """Keep what may count as an attempt, and what speaks for the parcel going home."""
        if self.accepted_at is None and event.effect is _SCAN and event.kind not in _OF_THE_LABEL:
            self.accepted_at = event.at
        if self.leg is _OUT and (event.kind is _FAILED or event.reason in NOT_AN_ATTEMPT):
            self.candidates.append(event)
        self.undeliverable_before |= event.kind in _UNDELIVERED
        reason = _HOME_BY_REASON.get(event.reason) if event.reason else None
        reason = reason or _HOME_BY_KIND.get(event.kind)
        # Damaged goods that were handed over do not go home.
        if reason and self.leg is _OUT and event.kind is not Kind.DELIVERED:
            self.evidence.append(Evidence(event.at, reason, event.id, event.kind in _FINAL_KINDS))

    def _changes(self, event: Event) -> bool:
        """Whether this event may change the status at all."""
        if event.kind is _LABEL_CREATED:  # data about a parcel, not a scan of it: may come long after the first scan
            return self.status in _NOT_YET_MOVING
        if self.status in ENDED:  # only a physical scan that moves the parcel re-opens it
            return event.effect is _SCAN and event.kind not in _MOVES_NOTHING
        return True

    def _arrive(self, event: Event) -> None:
        """Delivered: to the label's destination, or home.

        On the way back a delivery is home unless it is at the destination; on the way out it is home when it is at the
        origin after a failed visit or a disposition, even when no return scan was ever sent.
        """
        at_origin = event.place.is_same(self.origin) and not event.place.is_same(self.destination)
        at_destination = event.place.is_same(self.destination) and not event.place.is_same(self.origin)
        home = (
            event.kind is Kind.RETURNED_TO_SENDER
            or event.number in self.homeward
            or (not at_destination if self.leg is _BACK else at_origin and self.undeliverable_before)
        )
        if home:
            self._turn(_BACK, event)
            self.returned_at = event.at
        else:
            self._turn(_OUT, event)
            self.delivered_at = event.at
        self._decide(_DELIVERED, event)

    def _turn(self, leg: Leg, event: Event) -> None:
        if self.leg is not leg:
            self.leg = leg
            self.turns.append(Turn(event.at, leg, event.id))

    def _settle(self, status: Status, event: Event) -> None:
        """A status other than delivered: what was delivered on this leg is open again."""
        if self.leg is _OUT and self.status is _DELIVERED:
            self.delivered_at = None
        self.returned_at = None
        self._decide(status, event)

    def _decide(self, status: Status, event: Event) -> None:
        self.status, self.decided = status, event
        self.delay = event.reason if event.kind is _EXCEPTION else None


def fold(sightings: Iterable[Sighting], tellings: Iterable[Telling], shipment: Shipment) -> Parcel:
    """The parcel that all this tells of. Any permutation and repetition of the input gives the same."""
    picture = _picture(tellings, shipment)
    story = happenings(sightings)
    ours = (Place(), shipment.warehouse) if shipment.purpose is Purpose.RETURN else (shipment.warehouse, Place())
    walk = _Walk(picture["origin"] or ours[0], picture["destination"] or ours[1], shipment.homeward)
    for happening in story:
        walk.step(happening.event)
    if walk.status is Status.DELIVERED:
        picture |= {"estimate": None, "window": None}
    return Parcel(
        shipment.carrier,
        shipment.number,
        shipment.purpose,
        leg=walk.leg,
        status=walk.status,
        happenings=story,
        attempts=tuple(count_attempts(walk.candidates)),
        collections=len(walk.collections),
        turns=tuple(walk.turns),
        evidence=tuple(walk.evidence),
        decided_by=walk.decided.id if walk.decided else "",
        decided_at=walk.decided.at if walk.decided else None,
        accepted_at=walk.accepted_at,
        delivered_at=walk.delivered_at,
        returned_at=walk.returned_at,
        moved_at=story[-1].event.at if story else None,
        delay=walk.delay,
        place=next((h.event.place for h in reversed(story) if h.event.place), Place()),
        promised=shipment.promised,
        further=shipment.further,
        home_of=shipment.home_of,
        unknown_codes=tuple(sorted({h.event.code or h.event.words for h in story if not h.event.known})),
        **picture,
    )


# ------------------------------------------------------------------------------------------------------------ attempts


def count_attempts(candidates: Iterable[Event]) -> list[Attempt]:
    """The attempt ledger, from candidates in the order of instants (product.md section 2, "Counting attempts").

    An unnumbered visit on a day already counted is evidence, else the next attempt. A stated ordinal above the count
    fills the gap with inferred rows; one not above it is evidence on the latest row. What was no attempt is a row too.
    """
    rows: list[Attempt] = []
    latest: int | None = None  # index of the newest counted row
    by_day: dict[date, int] = {}
    count = 0
    for event in candidates:
        if event.kind is not Kind.ATTEMPT_FAILED:
            rule = str(event.reason)
            rows.append(Attempt(None, event.day, event.reason, False, rule, (event.id,), event.at))
            continue
        joins = by_day.get(event.day) if event.ordinal is None else latest
        ordinal = event.ordinal or (count + 1 if joins is None else 0)
        if ordinal > count:
            rows += [_inferred(missing, event) for missing in range(count + 1, ordinal)]
            rule = "final_attempt" if event.final else "stated_ordinal" if event.ordinal else "new_day"
            reason = event.reason or Reason.UNSPECIFIED
            rows.append(Attempt(ordinal, event.day, reason, True, rule, (event.id,), event.at, event.final))
            count, latest = ordinal, len(rows) - 1
            by_day[event.day] = latest
        elif joins is not None:
            rows[joins] = _also(rows[joins], event)
    return rows


def _inferred(ordinal: int, event: Event) -> Attempt:
    """An attempt nobody showed us, implied by a later one's number."""
    return Attempt(ordinal, None, Reason.UNSPECIFIED, True, "gap_inferred", (event.id,), event.at, inferred=True)


def _also(row: Attempt, event: Event) -> Attempt:
    """The row with one more piece of evidence."""
    unstated = row.reason in (None, Reason.UNSPECIFIED)
    return structs.replace(
        row,
        evidence=(*row.evidence, event.id),
        reason=event.reason if unstated and event.reason else row.reason,
        final=row.final or event.final,
    )


def local_offset(parcel: Parcel) -> timedelta | None:
    """The delivery place's offset from UTC as the newest event with one states it."""
    for happening in reversed(parcel.happenings):
        if happening.event.local is not None and happening.event.local.tzinfo is not None:
            return happening.event.local.utcoffset()
    return None
