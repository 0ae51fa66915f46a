"""The hand behind the scenes: puts parcels on the street, turns its clock, breaks calls, reads record and book."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from street.faults import Fault
from street.journeys import JOURNEYS
from street.places import CUSTOMERS, WAREHOUSES, Place, place
from street.pushes import Pusher
from street.telling import Delivery
from street.town import Parcel, Town, describe

Json = dict[str, Any]


class Control:
    """The `/street/...` calls."""

    def __init__(self, town: Town, pusher: Pusher) -> None:
        self.town, self.pusher = town, pusher

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/street/parcels", self.create),
            web.get("/street/parcels", self.parcels),
            web.get("/street/record", self.record),
            web.get("/street/ledger", self.ledger),
            web.get("/street/clock", self.clock),
            web.post("/street/clock", self.turn),
            web.post("/street/faults", self.faults),
            web.get("/street/quiet", self.quiet),
            web.get("/street/settings", self.settings),
            web.post("/street/settings", self.change),
            web.get("/street/calls", self.calls),
            web.get("/street/journeys", self.journeys),
        ]

    async def create(self, request: web.Request) -> web.Response:
        asked = await _body(request)
        given: dict[str, Any] = {
            key: str(asked.pop(key)) for key in ("delivery", "purpose", "number") if asked.get(key)
        }
        starts_at = _instant(asked.pop("starts_at")) if asked.get("starts_at") else None
        origin, destination = _place(asked.pop("origin", None)), _place(asked.pop("destination", None))
        carrier, name = str(asked.pop("carrier", "")), str(asked.pop("journey", ""))
        references = tuple(map(str, asked.pop("references", ())))
        if asked:
            raise ValueError(f"not understood: {', '.join(sorted(asked))}")
        parcel = self.town.create(
            carrier, name, **given, starts_at=starts_at, origin=origin, destination=destination, references=references
        )
        return _json(_parcel(parcel), 201)

    async def parcels(self, request: web.Request) -> web.Response:
        return _json({"parcels": [_parcel(parcel) for parcel in self.town.parcels.values()]})

    async def record(self, request: web.Request) -> web.Response:
        return _json({"parcels": self.town.record()})

    async def ledger(self, request: web.Request) -> web.Response:
        return _json({"lines": [asdict(line) for line in self.town.ledger]})

    async def clock(self, request: web.Request) -> web.Response:
        clock = self.town.clock
        return _json({"now": _text(clock.now()), "clock": str(clock), "speed": clock.speed})

    async def turn(self, request: web.Request) -> web.Response:
        """`to` an instant, `jump_seconds` ahead, or another `speed`."""
        asked, clock = await _body(request), self.town.clock
        if not asked or set(asked) - {"to", "jump_seconds", "speed"}:
            raise ValueError("one or more of: to, jump_seconds, speed")
        if "speed" in asked:
            clock.run(float(asked["speed"]))
        if "to" in asked:
            clock.turn(_instant(asked["to"]))
        if "jump_seconds" in asked:
            clock.turn(clock.now() + timedelta(seconds=float(asked["jump_seconds"])))
        return await self.clock(request)

    async def faults(self, request: web.Request) -> web.Response:
        """One fault, or `{"clear": true}`."""
        asked = await _body(request)
        if asked.pop("clear", False):
            self.town.faults.waiting.clear()
        if asked:
            kind = str(asked.pop("fault", ""))
            self.town.faults.add(Fault(kind=kind, **asked))
        return _json({"waiting": [asdict(fault) for fault in self.town.faults.waiting]})

    async def quiet(self, request: web.Request) -> web.Response:
        ends = self.town.ends_at
        return _json(
            {"quiet": self.town.quiet, "now": _text(self.town.now()), "ends_at": _text(ends) if ends else None}
        )

    async def settings(self, request: web.Request) -> web.Response:
        return _json(asdict(self.town.settings))

    async def change(self, request: web.Request) -> web.Response:
        self.town.settings.change(await _body(request))
        return await self.settings(request)

    async def calls(self, request: web.Request) -> web.Response:
        """How often each carrier's call was made, tokens given, and how the pushing goes."""
        minted = {carrier: tokens.minted for carrier, tokens in self.town.tokens.items()}
        return _json({"calls": self.town.calls, "tokens": minted, "pushes": asdict(self.pusher.sent)})

    async def journeys(self, request: web.Request) -> web.Response:
        """What can be asked for."""
        known = [
            {"carrier": each.carrier, "journey": each.name, "purpose": "return" if each.is_return else "order"}
            for each in JOURNEYS.values()
        ]
        places = {name: describe(each) for name, each in CUSTOMERS.items()}
        warehouses = {carrier: describe(each) for carrier, each in WAREHOUSES.items()}
        return _json(
            {
                "journeys": known,
                "deliveries": [each.value for each in Delivery],
                "places": places,
                "warehouses": warehouses,
            }
        )


def _parcel(parcel: Parcel) -> Json:
    return {
        "carrier": parcel.journey.carrier,
        "number": parcel.number,
        "journey": parcel.journey.name,
        "delivery": parcel.delivery.value,
        "purpose": parcel.purpose,
        "starts_at": _text(parcel.starts_at),
        "ends_at": _text(parcel.telling.ends_at),
        "origin": describe(parcel.origin),
        "destination": describe(parcel.destination),
        "references": list(parcel.references),
    }


def _place(value: object) -> Place | None:
    if value is None:
        return None
    if not isinstance(value, (str, dict)):
        raise ValueError("a place is a name or an address")
    return place(value)


def _instant(text: object) -> datetime:
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        raise ValueError(f"{text} needs a zone")
    return at


def _text(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _body(request: web.Request) -> Json:
    asked = json.loads(await request.text() or "{}")
    if not isinstance(asked, dict):
        raise ValueError("an object is expected")
    return asked


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json")


@web.middleware
async def refusals(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """What the street's own calls cannot do is a problem with a sentence in it."""
    if not request.path.startswith("/street/"):
        return await handler(request)  # type: ignore[no-any-return]
    try:
        return await handler(request)  # type: ignore[no-any-return]
    except (ValueError, TypeError) as error:
        return web.Response(
            body=json.dumps({"code": "street_refused", "title": str(error), "status": 400}).encode(),
            status=400,
            content_type="application/problem+json",
        )
