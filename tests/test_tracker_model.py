"""A model of the tracker in forty lines, written apart from the fold, agrees with it on random journeys.

The model was written from the product page alone ("The life of a parcel"), before anybody looked at the fold.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from carriers.contract import Effect, Event, Kind, Mark, Place, Reason, Source
from merchants.terms import default_for
from tracker.lifecycle import Shipment, Sighting, fold
from tracker.policy import conclude

HOME, DOOR, HUB = Place("Bentivoglio", "BO", "40010", "IT"), Place("Amsterdam", "", "1012LG", "NL"), Place("Koeln")
PLAIN = {
    Kind.LABEL_CREATED: "label_created", Kind.PICKED_UP: "accepted", Kind.IN_TRANSIT: "in_transit",
    Kind.FORWARDED: "in_transit", Kind.EXCEPTION: "in_transit", Kind.OUT_FOR_DELIVERY: "out_for_delivery",
    Kind.AVAILABLE_FOR_PICKUP: "available_for_pickup", Kind.DELIVERED_TO_ACCESS_POINT: "available_for_pickup",
    Kind.REFUSED: "undeliverable", Kind.BAD_ADDRESS: "undeliverable", Kind.UNCLAIMED: "undeliverable",
    Kind.CUSTOMS: "on_hold", Kind.DAMAGED: "on_hold", Kind.VOIDED: "voided",
}  # fmt: skip
ENDED = {"delivered", "lost", "destroyed", "voided"}
STILL = {Kind.EXCEPTION, Kind.DAMAGED}  # no scan that moves a parcel: they open nothing that has ended


@dataclass(slots=True)
class Model:
    """What the product page says of one parcel, step by step: `count` attempts on `days`, the leg and the status."""

    limit: int | None
    leg: str = "out"
    status: str = "unknown"
    count: int = 0
    final: bool = False
    doomed: bool = False  # a visit failed or a disposition sends it home: a delivery at the sender's is its arrival
    days: tuple[date | None, ...] = ()

    def see(self, event: Event) -> None:
        if event.effect is Effect.UPDATE or event.kind is Kind.UNKNOWN or Mark.COLLECTION in event.marks:
            return
        if Mark.RETURN_WITHDRAWN in event.marks and self.status != "delivered":
            self.leg = "out"
        if self.status in ENDED and (event.effect is Effect.FILLER or event.kind in STILL):
            return
        match event.kind:
            case Kind.ATTEMPT_FAILED if self.leg == "out":
                self._attempt(event)
                self.doomed = True
                self.status = "undeliverable" if self._exhausted else "attempt_failed"
            case Kind.ATTEMPT_FAILED:
                self.status = "attempt_failed"
            case Kind.RETURNING_TO_SENDER:
                self.leg, self.status = "back", "in_transit"
            case Kind.RETURNED_TO_SENDER:
                self.leg, self.status = "back", "delivered"
            case Kind.DELIVERED:
                came_home = self.leg == "back" or (self.doomed and event.place.is_same(HOME))
                self.leg = "back" if came_home and not event.place.is_same(DOOR) else "out"
                self.status = "delivered"
            case Kind.LOST:
                self.status = "destroyed" if event.reason is Reason.DESTROYED else "lost"
            case kind:
                self.status = PLAIN[kind]
                self.doomed |= kind in {Kind.REFUSED, Kind.BAD_ADDRESS, Kind.UNCLAIMED}

    @property
    def _exhausted(self) -> bool:
        return self.final or (self.limit is not None and self.count >= self.limit)

    def _attempt(self, event: Event) -> None:
        above = event.ordinal > self.count if event.ordinal else event.day not in self.days
        if above:
            number = event.ordinal or self.count + 1
            self.days += (None,) * (number - self.count - 1) + (event.day,)
            self.count = number
        self.final |= event.final


# ------------------------------------------------------------------------------------------------------------ journeys

KINDS = {
    Kind.IN_TRANSIT: 6, Kind.OUT_FOR_DELIVERY: 5, Kind.ATTEMPT_FAILED: 12, Kind.EXCEPTION: 5, Kind.DELIVERED: 4,
    Kind.RETURNED_TO_SENDER: 1, Kind.RETURNING_TO_SENDER: 2, Kind.REFUSED: 1, Kind.BAD_ADDRESS: 1, Kind.UNCLAIMED: 1,
    Kind.AVAILABLE_FOR_PICKUP: 2, Kind.DELIVERED_TO_ACCESS_POINT: 1, Kind.CUSTOMS: 1, Kind.DAMAGED: 1, Kind.LOST: 1,
    Kind.FORWARDED: 1, Kind.PICKED_UP: 1, Kind.VOIDED: 1, Kind.UNKNOWN: 2,
}  # fmt: skip
START = datetime(2026, 3, 2, 6, tzinfo=UTC)  # a Monday
MISSED = (None, Reason.RECIPIENT_ABSENT, Reason.BUSINESS_CLOSED, Reason.NO_ACCESS)
MOVED = (None, Reason.RESCHEDULED, Reason.NOT_ATTEMPTED, Reason.WEATHER_OR_VEHICLE, Reason.HELD_AT_REQUEST)


def journey(dice: Random, carrier: str) -> list[Event]:
    """What a carrier may say in four days, in the order of time; nothing of it need make sense."""
    hours = sorted(dice.sample(range(4 * 24 * 4), dice.randint(1, 14)))
    return [event(dice, carrier, START + timedelta(minutes=15 * hour), at) for at, hour in enumerate(hours)]


def event(dice: Random, carrier: str, at: datetime, place: int) -> Event:
    kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
    reason, ordinal, marks = None, None, frozenset[Mark]()
    if kind is Kind.ATTEMPT_FAILED:
        reason = dice.choice(MISSED)
        ordinal = dice.choice((None, None, 1, 2, 3)) if carrier == "ups" else None
    elif kind is Kind.EXCEPTION:
        reason = dice.choice(MOVED)
        marks = frozenset(dice.choices(([], [Mark.COLLECTION], [Mark.RETURN_WITHDRAWN]), (6, 1, 1))[0])
    elif kind is Kind.LOST:
        reason = dice.choice((Reason.LOST, Reason.DESTROYED))
    return Event(
        carrier,
        "N",
        at,
        at,
        at.date(),
        kind,
        f"X/{place:02}",
        "words",
        dice.choice((HOME, DOOR, HUB, Place())),
        reason,
        ordinal,
        final=kind is Kind.ATTEMPT_FAILED and ordinal == 3,
        effect=Effect.FILLER if kind is Kind.IN_TRANSIT and dice.random() < 0.3 else Effect.SCAN,
        marks=marks,
        known=kind is not Kind.UNKNOWN,
    )


@pytest.mark.parametrize(("carrier", "limit"), [("ups", 3), ("usps", None)])
def test_the_model_and_the_tracker_agree(carrier: str, limit: int | None) -> None:
    """Leg, status, number and days of attempts, on 3,000 random journeys of each carrier."""
    terms, seen = default_for(carrier), set()
    for seed in range(3000):
        dice = Random(f"{carrier}/{seed}")
        events = journey(dice, carrier)
        model = Model(limit)
        for each in events:
            model.see(each)
        told = [Sighting(each, Source.POLL) for each in dice.sample(events, len(events))]
        parcel = fold(told, (), Shipment(carrier, "N", origin=HOME, destination=DOOR))
        concluded = conclude(parcel, terms, events[-1].at)
        ours = (model.leg, model.status, model.count, model.final, model.days)
        days = tuple(row.day for row in parcel.attempts if row.counted)
        theirs = (str(parcel.leg), str(concluded.status), parcel.count, parcel.final, days)
        assert theirs == ours, f"seed {carrier}/{seed}: " + "; ".join(
            f"{e.at:%d %H:%M} {e.kind} {e.reason} {e.ordinal} {sorted(e.marks)} {e.effect} {e.place}" for e in events
        )
        seen.add((model.leg, model.status, min(model.count, 4)))
    assert len(seen) > 40, "the journeys hardly differ"
