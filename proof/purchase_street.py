"""The carriers of the purchase rig, in a process of their own: they charge, and then often do not say so.

Their ledger is the street's own, on disk before any answer; beside it every send is written down with its fate.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import re
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO, cast

from aiohttp import web

from street.app import build
from street.clock import StoryClock
from street.telling import Delivery, tell
from street.town import Town

REFERENCE = re.compile(rb"[RN][A-Z2-7]{26}")
SELLS = {"/ship": "ups", "/return-label": "usps"}

# how a call that sells ends, and how often in a thousand; "charged" ones have cost money when the answer is lost
FATES = {
    "answered": 560,
    "charged_never_answers": 60,
    "charged_500": 40,
    "charged_broken": 40,
    "charged_late": 40,  # charged at once, answered after the caller's deadline
    "late": 50,  # the request lands long after the caller has given up
    "charged_twice": 120,
    "500": 30,
    "html": 20,
    "reset": 20,
    "429": 20,
}
LOST = frozenset({"charged_never_answers", "charged_500", "charged_broken", "charged_late", "killed"})
REFUSED = 25  # in a thousand references: refused whenever they are sent
TROUBLE = {"answered": 930, "500": 30, "reset": 20, "slow": 20}
"""How a call that only asks, or voids, ends."""


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
        carrier = next((name for end, name in SELLS.items() if request.path.endswith(end)), None)
        if carrier is None or request.method != "POST":
            return await self._ask(request, handler)
        return await self._sell(carrier, request, handler)

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

    async def _sell(
        self, carrier: str, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        body = await request.read()
        named = REFERENCE.search(body)
        reference = named.group().decode() if named else ""
        fate = "answered" if self.calm else self._throw(FATES)
        if int(hashlib.sha256(reference.encode()).hexdigest(), 16) % 1000 < REFUSED:
            fate = "refused"
        elif self.doomed and reference.startswith("R"):
            fate = "killed"
        elif fate == "charged_twice" and (carrier != "ups" or reference.startswith("N")):
            fate = "answered"
        key = request.headers.get("X-Idempotency-Key", "")
        told = {"reference": reference, "carrier": carrier, "fate": fate, "key": key}
        self._note({**told, "digest": hashlib.sha256(body).hexdigest()})
        return await self._suffer(fate, carrier, reference, request, handler)

    async def _suffer(
        self, fate: str, carrier: str, reference: str, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        match fate:
            case "refused":
                return _refusal(carrier)
            case "500":
                return web.Response(status=500, text="{}", content_type="application/json")
            case "html":
                return web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html")
            case "429":
                return web.Response(
                    status=429, text="{}", content_type="application/json", headers={"Retry-After": "0"}
                )
            case "reset":
                return broken_off(request)
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
                return web.Response(
                    status=200,
                    body=cast(bytes, cast(web.Response, answer).body)[:200],
                    content_type="application/json",
                )
            case "charged_twice":
                await handler(request)
                if self.dice.random() < 0.5:
                    self._send_off(carrier, reference)
        return answer

    def _send_off(self, carrier: str, reference: str) -> None:
        """Somebody sends a parcel with the second label: it must never be voided."""
        parcel = self.town.parcels[self.town._by_reference[carrier, reference][-1]]
        start = parcel.starts_at - timedelta(days=4)
        parcel.telling = tell(parcel.journey, Delivery.PLAIN, start, parcel.origin, parcel.destination, parcel.seed)
        self._note({"reference": reference, "fate": "sent_off", "number": parcel.number})

    def _throw(self, of: dict[str, int]) -> str:
        return self.dice.choices(list(of), list(of.values()))[0]

    def _note(self, told: dict[str, str]) -> None:
        self.sends.write(json.dumps({**told, "at": self.town.now().isoformat()}) + "\n")
        self.sends.flush()


def broken_off(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _refusal(carrier: str) -> web.Response:
    """The same bytes are refused whenever they come: each carrier in its own words."""
    if carrier == "ups":
        told: dict[str, Any] = {"response": {"errors": [{"code": "120100", "message": "The address is wrong"}]}}
    else:
        error = {"status": "400", "code": "160042", "title": "Bad Request", "detail": "The address is wrong"}
        told = {"apiVersion": "/labels/v3", "error": {"code": "400", "message": "Bad Request", "errors": [error]}}
    return web.Response(status=400, text=json.dumps(told), content_type="application/json")


def open_shop(args: dict[str, Any]) -> None:
    """The process: serves until it is killed, and writes its address into a file."""
    asyncio.run(_serve(args))


async def _serve(args: dict[str, Any]) -> None:
    folder = Path(args["folder"])
    town = Town(StoryClock.parse(""), ledger_path=folder / "ledger.jsonl")
    town.settings.index_lag = args["index_lag"]
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
