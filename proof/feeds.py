"""The bytes that the street's two carriers would answer or push about a parcel at any moment, without a socket."""

import json
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

from aiohttp import web

from carriers.contract import Payload, Place, Source
from carriers.ups.standin import check_digit as ups_check_digit
from carriers.usps.standin import check_digit as usps_check_digit
from merchants.terms import default_for
from street.clock import StoryClock
from street.places import Place as Spot
from street.telling import Scan
from street.town import Parcel, Settings, Town
from tracker.lifecycle import Purpose, Shipment


class Hands(StoryClock):
    """A story clock that only moves by hand, in both directions."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at, 1.0, 0.0)

    def now(self) -> datetime:
        return self.start


@dataclass(frozen=True, slots=True)
class Asking:
    """As much of a request as a stand-in looks at."""

    method: str
    path: str
    headers: Mapping[str, str]
    match_info: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    content_type: str = "application/json"

    async def text(self) -> str:
        return self.body


class Feeds:
    """A town whose carriers are asked by a call in place of a connection: the answers are theirs to the byte."""

    def __init__(self) -> None:
        self.clock = Hands(datetime(2026, 1, 1, tzinfo=UTC))
        hook = "http://127.0.0.1/hook"
        self.town = Town(self.clock, Settings(ups_webhook_url=hook, push_all=True, usps_listener_url=hook))
        self._doors = {
            (carrier.name, operation): handler
            for carrier in (self.town.ups, self.town.usps)
            for _, _, operation, handler in carrier.routes()
        }
        self._headers = {
            name: {"Authorization": f"Bearer {tokens.mint('proof', self.town.settings.usps_scopes, 1e9)}"}
            for name, tokens in self.town.tokens.items()
        }

    def poll(self, carrier: str, numbers: Sequence[str], at: datetime, *, older: bool = False) -> Payload:
        """What the carrier answers at that moment when asked about these numbers."""
        self.clock.start = at
        if carrier == "usps" and not older:
            body = json.dumps([{"trackingNumber": number} for number in numbers])
            return self._ask(carrier, "track", numbers, Asking("POST", "/tracking", self._headers[carrier], body=body))
        operation = "track_one" if carrier == "usps" else "track"
        asking = Asking("GET", "/", self._headers[carrier], {"number": numbers[0]}, {"expand": "DETAIL"})
        return self._ask(carrier, operation, numbers, asking)

    def push(self, parcel: Parcel, scan: Scan) -> Payload:
        """What the carrier posts about this scan."""
        carrier = parcel.journey.carrier
        standin = self.town.ups if carrier == "ups" else self.town.usps
        ((_, _, body),) = standin.push(parcel, scan)
        return Payload(carrier, Source.PUSH, body)

    def _ask(self, carrier: str, operation: str, numbers: Sequence[str], asking: Asking) -> Payload:
        waiting = self._doors[carrier, operation](cast(web.Request, asking))
        answering = cast(Coroutine[Any, Any, web.StreamResponse], waiting)
        try:
            answering.send(None)
        except StopIteration as done:
            answer = cast(web.Response, done.value)
            return Payload(carrier, Source.POLL, _bytes(answer.body), tuple(numbers), answer.status)
        raise AssertionError("a stand-in waited for something")


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else bytes(body or b"")


def number(carrier: str, serial: int) -> str:
    """A good tracking number of the carrier, one for each serial below ten million."""
    if carrier == "ups":
        body = f"W9578968{serial:07d}"
        return f"1Z{body}{ups_check_digit(body)}"
    body = f"92020901234567{serial:07d}"
    return body + usps_check_digit(body)


def shipment(parcel: Parcel, *, places: bool) -> Shipment:
    """What the shop knows of the parcel: from where to where it goes, or only where the shop's own warehouse is."""
    purpose = Purpose(parcel.purpose)
    carrier = parcel.journey.carrier
    if places:
        return Shipment(carrier, parcel.number, purpose, _place(parcel.origin), _place(parcel.destination))
    return Shipment(carrier, parcel.number, purpose, warehouse=default_for(carrier).warehouse.address.place)


def _place(spot: Spot) -> Place:
    return Place(spot.city, spot.region, spot.postal_code, spot.country)


def feed(feeds: Feeds, parcel: Parcel, dice: Random) -> list[Payload]:
    """Payloads about one parcel as a service may get them: polls at random moments, some of the pushes, in any order
    and again, and everything that happened told at least once."""
    carrier, ends = parcel.journey.carrier, parcel.telling.ends_at
    life = (ends - parcel.starts_at).total_seconds()
    moments = [parcel.starts_at + (ends - parcel.starts_at) * dice.random() for _ in range(dice.randrange(4))]
    pushes = [push.scan for push in parcel.telling.pushes if dice.random() < 0.7]
    told = {(scan.word, scan.at) for scan in pushes}
    for at in moments:
        told |= {(scan.word, scan.at) for scan in parcel.seen(at)}
    missing = [scan for scan in parcel.telling.scans if not scan.echo and (scan.word, scan.at) not in told]
    # What is said without being an event (how long it is kept) only a poll tells.
    kept = any(scan.keep for scan in parcel.telling.scans)
    if kept or life == 0 or (missing and (dice.random() < 0.5 or not parcel.telling.pushes)):
        moments.append(ends)
    elif missing:
        pushes += missing
    payloads = [feeds.push(parcel, scan) for scan in pushes]
    for at in moments:
        older = carrier == "usps" and dice.random() < 0.3
        asked = [parcel.number]
        if carrier == "usps" and not older and dice.random() < 0.2:
            asked += [number(carrier, dice.randrange(10_000_000))]
            dice.shuffle(asked)
        payloads.append(feeds.poll(carrier, asked, at, older=older))
    payloads += dice.choices(payloads, k=dice.randrange(len(payloads) + 1))
    dice.shuffle(payloads)
    return payloads
