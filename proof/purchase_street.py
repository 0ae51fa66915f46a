"""The carriers of the purchase rig, in a process of their own: they charge, and then often do not say so."""

import asyncio
import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from proof.misfortune import Handler, Misfortune, Send, serve
from street.clock import StoryClock
from street.telling import Delivery, tell
from street.town import Town

REFERENCE = re.compile(rb"[RN][A-Z2-7]{26}")
SELLS = {"/ship": "ups", "/return-label": "usps", "/label": "usps"}

# how a call that sells ends, and how often in a thousand; "charged" ones have cost money when the answer is lost
FATES = {
    "answered": 560,
    "charged_never_answers": 60,
    "charged_500": 40,
    "charged_broken": 40,
    "charged_late": 40,
    "late": 50,
    "charged_twice": 120,
    "500": 30,
    "html": 20,
    "reset": 20,
    "429": 20,
}
REFUSED = 25  # in a thousand references: refused whenever they are sent
TROUBLE = {"answered": 930, "500": 30, "reset": 20, "slow": 20}
"""How a call that only asks, or voids, ends."""


def open_shop(args: dict[str, Any]) -> None:
    """The process: serves until it is killed, and writes its address into a file."""
    asyncio.run(_serve(args))


async def _serve(args: dict[str, Any]) -> None:
    folder = Path(args["folder"])
    town = Town(StoryClock.parse(""), ledger_path=folder / "ledger.jsonl")
    town.settings.index_lag = args["index_lag"]

    def sending(request: web.Request, body: bytes) -> Send | None:
        carrier = next((name for end, name in SELLS.items() if request.path.endswith(end)), None)
        if carrier is None or request.method != "POST":
            return None
        named = REFERENCE.search(body)
        reference = named.group().decode() if named else ""
        told = {
            "reference": reference,
            "carrier": carrier,
            "key": request.headers.get("X-Idempotency-Key", ""),
            "digest": hashlib.sha256(body).hexdigest(),
        }
        is_refused = int(hashlib.sha256(reference.encode()).hexdigest(), 16) % 1000 < REFUSED
        naive = not reference.startswith("R")
        instead = {"charged_twice": "answered"} if carrier != "ups" or reference.startswith("N") else None

        async def sell(fate: str, handler: Handler, request: web.Request) -> web.StreamResponse:
            if fate == "refused":
                return _refusal(carrier)
            answer = await handler(request)
            if fate == "charged_twice":
                await handler(request)
                if misfortune.dice.random() < 0.5:
                    _send_off(misfortune, carrier, reference)
            return answer

        return Send(told, FATES, sell, "refused" if is_refused else "", naive, instead)

    misfortune = Misfortune(town, folder, args, TROUBLE, sending)
    await serve(town, misfortune, folder)


def _send_off(misfortune: Misfortune, carrier: str, reference: str) -> None:
    """Somebody sends a parcel with the second label: it must never be voided."""
    town = misfortune.town
    parcel = town.parcels[town._by_reference[carrier, reference][-1]]
    start = parcel.starts_at - timedelta(days=4)
    parcel.telling = tell(parcel.journey, Delivery.PLAIN, start, parcel.origin, parcel.destination, parcel.seed)
    misfortune.note(reference=reference, fate="sent_off", number=parcel.number)


def _refusal(carrier: str) -> web.Response:
    """The same bytes are refused whenever they come: each carrier in its own words."""
    if carrier == "ups":
        told: dict[str, Any] = {"response": {"errors": [{"code": "120100", "message": "The address is wrong"}]}}
    else:
        error = {"status": "400", "code": "160042", "title": "Bad Request", "detail": "The address is wrong"}
        told = {"apiVersion": "/labels/v3", "error": {"code": "400", "message": "Bad Request", "errors": [error]}}
    return web.Response(status=400, text=json.dumps(told), content_type="application/json")
