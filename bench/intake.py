"""Pushes of both carriers from 32 senders: verified, durably kept, answered 200; against a handler that only inserts
the same bytes with group commit. Every push is another one, as in life."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import queue
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiohttp import web

from api.app import build
from bench.loading import Requests, compared, serve_forever, serving, waited
from bench.lookup import listen
from bench.shop import environment, settings_of
from cli.logs import configure
from cli.serving import house_of
from cli.settling import settle_down
from cli.wiring import PUSH_SECRET, open_parts
from store.sqlite import WRITER

SENDERS = 32
_serial = itertools.count(1)  # no two pushes are the same


def run() -> dict[str, Any]:
    """Pushes a second as a share of the floor's, and how long one takes at half of that. Goals: 0.70, p99 < 50 ms.

    USPS's come first, into empty tables, and once more when both have some hundred thousand rows, as in life.
    How long the floor takes at the same rate says how much of that is the machine's: its disk, and who else is at work.
    """
    folder = Path(tempfile.mkdtemp(prefix="homeward-intake-"))
    try:
        with serving(serve_house, folder / "house") as house, serving(serve_inserts, folder / "floor.db") as floor:
            measured: dict[str, Any] = {}
            for name, source in (("usps", _usps), ("ups", _ups), ("usps_once_more", _usps)):
                sources = [source() for _ in range(SENDERS)]
                measured[name] = compared(house, floor, sources)
                measured[f"{name}_at_half_load"] = waited(house, floor, sources, measured[name]["per_second"] / 2)
            return measured
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -------------------------------------------------------------------------------------------------------------- pushes


def _post(path: str, body: bytes, **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _usps() -> Requests:
    """source: facts/usps.md 5.1 and 5.2: JSON in JSON, signed over the two decoded strings."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    while True:
        serial = next(_serial)
        payload = json.dumps(
            {
                "trackingNumber": f"94001112062064{serial:08d}", "eventTimestamp": "2026-03-05T09:12:00",
                "GMTTimestamp": "2026-03-05T14:12:00Z", "GMTOffset": "-05:00", "eventType": "Out for Delivery",
                "eventCode": "OF", "eventCity": "RENO", "eventState": "NV", "eventZIP": "89501", "eventCountry": None,
                "firm": None, "name": None, "authorizedAgent": False, "mailClass": "USPS Ground Advantage",
            }
        )  # fmt: skip
        mac = base64.b64encode(hmac.digest(PUSH_SECRET.encode(), (stamp + payload).encode(), "sha256")).decode()
        envelope = {"subscriptionId": "1", "subscriptionType": "TRACKING", "timestamp": stamp, "payload": payload,
                    "links": []}  # fmt: skip
        yield _post("/webhooks/usps", json.dumps(envelope).encode(), X_HMAC=mac)


def _ups() -> Requests:
    """source: facts/ups.md 6.2 and 6.3."""
    while True:
        serial = next(_serial)
        told = {
            "trackingNumber": f"1Z5338FF01{serial:08d}", "localActivityDate": "20260305", "localActivityTime": "091200",
            "activityLocation": {"city": "Amsterdam", "stateProvince": "", "postalCode": "1012LG", "country": "NL"},
            "activityStatus": {"type": "I", "code": "OT", "description": "Out For Delivery Today"},
            "scheduledDeliveryDate": "20260305", "actualDeliveryDate": "", "actualDeliveryTime": "",
            "gmtActivityDate": "20260305", "gmtActivityTime": "081200", "deliveryTimeZone": "CET", "pod": "",
        }  # fmt: skip
        yield _post("/webhooks/ups", json.dumps(told).encode(), credential=PUSH_SECRET)


# ------------------------------------------------------------------------------------------------------------- servers


def serve_house(pipe: Connection, folder: Path) -> None:
    """The real doors; the work loop reads elsewhere."""

    async def start(stack: AsyncExitStack) -> int:
        settings = settings_of(folder)
        configure(settings.log)
        parts = await stack.enter_async_context(open_parts(settings, environment()))
        port = await listen(build(house_of(parts, None)))
        settle_down()
        return port

    serve_forever(pipe, start)


def serve_inserts(pipe: Connection, path: Path) -> None:
    """A handler that inserts the bytes and their digest and answers once they are on the disk, many in one commit."""
    waiting: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()

    async def start(stack: AsyncExitStack) -> int:
        loop = asyncio.get_running_loop()
        threading.Thread(target=_commit_for_ever, args=(path, waiting, loop), daemon=True).start()

        async def push(request: web.Request) -> web.StreamResponse:
            kept = loop.create_future()
            waiting.put((await request.read(), kept))
            await kept
            return web.Response(body=b'{"kept":true}', content_type="application/json")

        app = web.Application()
        app.router.add_post("/webhooks/{carrier}", push)
        return await listen(app)

    serve_forever(pipe, start)


def _commit_for_ever(path: Path, waiting: "queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]]", loop: Any) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    table = "CREATE TABLE pushes (id INTEGER PRIMARY KEY, digest TEXT UNIQUE, body BLOB)"
    for line in (*WRITER, "PRAGMA wal_autocheckpoint=1000", table):  # the log is emptied by SQLite itself
        database.execute(line).fetchall()
    while True:
        batch = list(_everything(waiting))
        database.execute("BEGIN IMMEDIATE")
        rows = [(hashlib.sha256(body).hexdigest(), body) for body, _ in batch]
        database.executemany("INSERT INTO pushes (digest, body) VALUES (?, ?)", rows)
        database.execute("COMMIT")
        loop.call_soon_threadsafe(_tell, [kept for _, kept in batch])


def _everything(waiting: "queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]]") -> Iterator[Any]:
    yield waiting.get()
    while not waiting.empty():
        yield waiting.get()


def _tell(all_kept: "list[asyncio.Future[None]]") -> None:
    for kept in all_kept:
        kept.set_result(None)
