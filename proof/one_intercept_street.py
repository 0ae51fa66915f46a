"""The carrier of the intercept rig, in a process of its own: it charges and often does not say so; its book is on disk.

It takes and charges whatever is ordered, also twice and also of parcels that were delivered long ago: only the buyer's
own care keeps the book right.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO, cast

from aiohttp import web

from proof.feeds import number
from proof.purchase_street import broken_off
from street.app import build
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
    "charged_late": 60,  # charged at once, answered after the caller's deadline
    "late": 70,  # the order lands long after the caller has given up
    "success_false": 60,  # a failure inside a 200, and nothing was done
    "500": 40,
    "html": 30,
    "reset": 30,
    "429": 20,
}
LOST = frozenset({"charged_never_answers", "charged_500", "charged_broken", "charged_late", "killed"})
TROUBLE = {"answered": 940, "500": 20, "reset": 20, "slow": 20}


LONG_AGO = timedelta(days=22)
"""So long ago the parcels set out that we heard of."""


def journey_of(wish: int) -> str:
    """What truly became of a wish's parcel: most wait after their third miss, some moved on since we heard of it."""
    return {3: GONE, 4: HOME}.get(wish % 5, WAITS)


def began(wish: int, now: datetime) -> datetime:
    """When it set out: of those that were delivered since, long after the third miss that we know of."""
    return now - (timedelta(days=12) if journey_of(wish) == GONE else LONG_AGO)


class Misfortune:
    """What happens to a call, decided by dice of its own."""

    def __init__(self, town: Town, sends: TextIO, seed: int, deadline: float, quiet: float) -> None:
        self.town, self.sends, self.dice = town, sends, random.Random(seed)
        self.deadline, self.quiet = deadline, quiet
        self.doomed: int | None = None  # the buyer that is killed at the next charge, before it has its answer
        self.calm = False

    async def meet(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        if request.path == "/rig/doom":
            self.doomed = int(request.query["pid"])
            return web.Response()
        if request.path == "/rig/calm":
            self.calm = True
            return web.Response()
        if ORDER in request.path:
            return await self._order(request, handler)
        return await self._ask(request, handler)

    async def _ask(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        await request.read()
        match "answered" if "token" in request.path or self.calm else self._throw(TROUBLE):
            case "500":
                return web.Response(status=500, text="{}", content_type="application/json")
            case "reset":
                return broken_off(request)
            case "slow":
                await asyncio.sleep(self.deadline * 1.2)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _order(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        body, name = await request.read(), request.path.rsplit("/", 1)[1]
        fate = "answered" if self.calm else self._throw(FATES)
        if self.doomed and not is_naive(name):
            fate = "killed"
        told = {"number": name, "fate": fate, "digest": hashlib.sha256(body).hexdigest()}
        self.sends.write(json.dumps({**told, "at": self.town.now().isoformat()}) + "\n")
        self.sends.flush()
        return await self._suffer(fate, request, handler)

    async def _suffer(
        self, fate: str, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        match fate:
            case "500":
                return web.Response(status=500, text="{}", content_type="application/json")
            case "html":
                return web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html")
            case "429":
                headers = {"Retry-After": "0"}
                return web.Response(status=429, text="{}", content_type="application/json", headers=headers)
            case "reset":
                return broken_off(request)
            case "success_false":
                self.town.ups.fail_inside()
            case "late":
                await asyncio.sleep(self.dice.uniform(self.deadline, self.quiet / 2))
        answer: web.StreamResponse = await handler(request)
        match fate:
            case "killed":
                doomed, self.doomed = self.doomed, None
                if doomed:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(doomed, signal.SIGKILL)
                return broken_off(request)
            case "charged_never_answers":
                await asyncio.sleep(self.deadline * 1.5)
                return broken_off(request)
            case "charged_late":
                await asyncio.sleep(self.deadline * self.dice.uniform(0.9, 1.5))
            case "charged_500":
                return web.Response(status=500, text="{}", content_type="application/json")
            case "charged_broken":
                whole = cast(bytes, cast(web.Response, answer).body)
                return web.Response(status=200, body=whole[: len(whole) // 2], content_type="application/json")
        return answer

    def _throw(self, of: dict[str, int]) -> str:
        return self.dice.choices(list(of), list(of.values()))[0]


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
    sends = (folder / "sends.jsonl").open("a", encoding="utf-8")
    misfortune = Misfortune(town, sends, args["seed"], args["deadline"], args["quiet"])
    app = build(town)

    @web.middleware
    async def meet(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        return await misfortune.meet(request, handler)

    app.middlewares.insert(0, meet)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (folder / "address.part").write_text(f"http://127.0.0.1:{runner.addresses[0][1]}")
    (folder / "address.part").rename(folder / "address")
    await asyncio.Event().wait()
