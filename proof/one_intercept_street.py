"""The carrier of the intercept rig, in a process of its own: it charges and often does not say so; its book is on disk.

It takes and charges whatever is ordered, also twice and also of parcels that were delivered long ago: only the buyer's
own care keeps the book right.
"""

import asyncio
import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from proof.feeds import number
from proof.misfortune import Handler, Misfortune, Send, serve
from street.clock import StoryClock
from street.places import place
from street.town import Town

ORDER = "/deliveryintercept/v2/return/"
SHOP = {"city": "Secaucus", "region": "NJ", "postal_code": "07094", "country": "US", "street": "1 Dock Rd", "name": "S"}
WAITS, GONE, HOME = "final_attempt_no_return_scan", "delivered_first_time", "three_attempts_home"
NAIVE = 5_000_000
"""From this serial on the numbers are those of the naive buyer."""

# how an order ends, and how often in a thousand; "charged" ones have cost money when the answer is lost
FATES = {
    "answered": 480,
    "charged_never_answers": 90,
    "charged_500": 60,
    "charged_broken": 60,
    "charged_late": 60,
    "late": 70,
    "success_false": 60,  # a failure inside a 200, and nothing was done
    "500": 40,
    "html": 30,
    "reset": 30,
    "429": 20,
}
TROUBLE = {"answered": 940, "500": 20, "reset": 20, "slow": 20}

LONG_AGO = timedelta(days=22)
"""So long ago the parcels set out that we heard of."""


def journey_of(wish: int) -> str:
    """What truly became of a wish's parcel: most wait after their third miss, some moved on since we heard of it."""
    return {3: GONE, 4: HOME}.get(wish % 5, WAITS)


def began(wish: int, now: datetime) -> datetime:
    """When it set out: of those that were delivered since, long after the third miss that we know of."""
    return now - (timedelta(days=12) if journey_of(wish) == GONE else LONG_AGO)


def is_naive(name: str) -> bool:
    """Whether a tracking number is one of the naive buyer's."""
    return int(name[-8:-1]) >= NAIVE


def open_counter(args: dict[str, Any]) -> None:
    """The process: serves until it is killed, and writes its address into a file."""
    asyncio.run(_serve(args))


async def _serve(args: dict[str, Any]) -> None:
    folder = Path(args["folder"])
    town = Town(StoryClock.parse(""), ledger_path=folder / "ledger.jsonl")
    town.settings.intercept_after_final = town.settings.intercept_careless = True
    now, origin, destination = datetime.fromisoformat(args["now"]), place(SHOP), place("reno")
    for wish in range(args["wishes"]):
        for serial, journey in ((wish, journey_of(wish)), (NAIVE + wish, WAITS)):
            name, at = number("ups", serial), began(wish, now)
            town.create("ups", journey, number=name, starts_at=at, origin=origin, destination=destination)

    async def order(fate: str, handler: Handler, request: web.Request) -> web.StreamResponse:
        if fate == "success_false":
            town.ups.fail_inside()
        return await handler(request)

    def sending(request: web.Request, body: bytes) -> Send | None:
        if ORDER not in request.path:
            return None
        name = request.path.rsplit("/", 1)[1]
        told = {"number": name, "digest": hashlib.sha256(body).hexdigest()}
        return Send(told, FATES, order, naive=is_naive(name))

    await serve(town, Misfortune(town, folder, args, TROUBLE, sending), folder)
