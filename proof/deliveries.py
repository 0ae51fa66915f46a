"""One receiver is down for ten days of virtual time beside healthy ones; in the end everybody has everything.

The promise: what was said is delivered to each, under one id and with the same bytes, however often it is tried; the
dead receiver is paused and nothing owed to it is dropped; and the healthy ones hear as fast as without it.
"""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from store import endpoints as shelf
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.outbox import said_about, say
from store.sealing import Sealer
from webhooks.outbound import client, deliver, spread
from webhooks.signing import make_secret

HEALTHY = 3
DAYS, STEPS = 13, 3  # the receiver is down for the first ten; sweeps a day
DOWN = 10
NOTICES = 2  # said at each step
STORY = datetime(2026, 3, 2, 8, tzinfo=UTC)
START = datetime.now(UTC)
SECRET = make_secret(bytes(32))
FLAT = 0.5
"""Seconds: most that a healthy receiver may wait for the last notice of a step while another one is dead."""


@dataclass(slots=True)
class Receiver:
    """A receiver that keeps what it heard: how often, and with which bytes, by id; and when."""

    path: str
    down: bool = False
    heard: dict[str, bytes] = field(default_factory=dict)
    altered: int = 0
    refused: int = 0
    repeated: int = 0
    last: float = 0.0

    async def hear(self, request: web.Request) -> web.Response:
        body, id = await request.read(), request.headers["webhook-id"]
        if self.down:
            self.refused += 1
            self.altered += self.heard.get(f"refused {id}", body) != body
            self.heard[f"refused {id}"] = body
            return web.Response(status=(500, 503, 404, 302)[self.refused % 4], headers={"Retry-After": "30"})
        self.repeated += id in self.heard
        self.altered += self.heard.get(id, body) != body or self.heard.get(f"refused {id}", body) != body
        self.heard[id], self.last = body, time.monotonic()
        return web.Response(status=204)

    @property
    def ids(self) -> set[str]:
        return {id for id in self.heard if not id.startswith("refused ")}


@asynccontextmanager
async def serving(receivers: list[Receiver]) -> AsyncIterator[str]:
    app = web.Application()
    for each in receivers:
        app.router.add_post(f"/{each.path}", each.hear)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def run(*, examples: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether everybody has everything."""
    folder = Path(tempfile.mkdtemp(prefix="homeward-deliveries-"))
    try:
        url = f"sqlite:///{folder / 'homeward.db'}"
        await migrate(url)
        store = await open_store(url)
        try:
            return await _ten_days(store, examples or NOTICES)
        finally:
            await store.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _ten_days(store: Store, each_step: int) -> dict[str, Any]:
    sealer, ahead = Sealer(bytes(32)), timedelta()
    sealed = sealer.seal(SECRET.encode())
    healthy = [Receiver(f"healthy/{n}") for n in range(HEALTHY)]
    dead = Receiver("dead", down=True)
    waits: dict[str, list[float]] = {"down": [], "up": []}
    paused_on, said = 0, 0

    def now() -> datetime:
        return START + ahead

    async with serving([*healthy, dead]) as base, client(allowed={"127.0.0.1"}) as http:
        for path in [*(each.path for each in healthy), dead.path]:
            await store.write(partial(shelf.add_endpoint, url=f"{base}/{path}", secret=sealed, events=(), at=START))
        for step in range(DAYS * STEPS):
            day = step // STEPS
            dead.down = day < DOWN
            await store.write(partial(_tell, step=step, count=each_step))
            said += each_step
            began = time.monotonic()
            await spread(store, now)
            await deliver(store, sealer, http, now)
            waits["down" if dead.down else "up"].append(max(each.last for each in healthy) - began)
            state = {each.url: each.state for each in await store.read(shelf.list_endpoints)}[f"{base}/dead"]
            paused_on = paused_on or (day + 1 if state == "paused" else 0)
            ahead += timedelta(days=1) / STEPS
        held = len(dead.ids)
        notices = {row["notice_id"] for row in await store.read(lambda tx: said_about(tx, "parcel:1", 100_000))}
        failed = await store.read(lambda tx: shelf.list_deliveries(tx, state="failed"))
    slowest = {name: max(found) for name, found in waits.items()}
    everybody = all(each.ids == notices for each in [*healthy, dead])
    altered = sum(each.altered for each in [*healthy, dead])
    return {
        "held": everybody and not altered and not failed and 0 < paused_on <= 6 and dead.refused > 0
        and not sum(each.repeated for each in healthy) and slowest["down"] < max(FLAT, 3 * slowest["up"]),
        "virtual_days": DAYS,
        "receivers": len(healthy) + 1,
        "notices": said,
        "delivered_to_the_healthy": sum(len(each.ids) for each in healthy),
        "delivered_to_the_dead_in_the_end": held,
        "tries_refused": dead.refused,
        "paused_on_day": paused_on,
        "altered": altered,
        "failed": len(failed),
        "healthy_slowest_ms_while_down": round(slowest["down"] * 1000),
        "healthy_slowest_ms_after": round(slowest["up"] * 1000),
    }  # fmt: skip


async def _tell(tx: Tx, step: int, count: int) -> None:
    for n in range(count):
        data = {"number": "1Z", "step": step}
        name = f"step/{step}/{n}"
        await say(tx, subject="parcel:1", name=name, type="parcel.status_changed", at=STORY, data=data)
