"""Live updates: a stream of server-sent events that says when a story changed, never what it says."""

import asyncio
import hashlib
import time

from aiohttp import web

from api.follow import told
from api.house import House
from api.links import opened_by
from api.manners import Handler
from api.ready import ALWAYS
from api.sessions import Grant, recall
from api.words import FALLBACK
from store.engine import Tx
from store.lookups import orders_of_return, parcels_on_order, return_named
from store.orders import find_order
from tracker.follow import Follow, FollowKind

EVERY = 2.0
"""Seconds between looks where nobody tells us what other processes change."""
SETTLING = 0.2
"""Seconds after a change in which more of it may come."""
STILL_HERE = 15.0
LONGEST = 15 * 60.0
"""Seconds until a stream ends by itself; the browser opens another."""
MOST = 500
"""Streams at once in this process; whoever is turned away still has the page."""

CLOSING = web.AppKey("closing", asyncio.Event)
STREAMS = web.AppKey("streams", set[object])


def prepare(app: web.Application) -> None:
    """What streams need: a place to be counted, and the news that the doors close."""
    app[STREAMS] = set()
    app[CLOSING] = asyncio.Event()

    async def close(app: web.Application) -> None:
        app[CLOSING].set()

    app.on_shutdown.append(close)


def version_of(follow: Follow) -> str:
    """A story's version: another one when anything that is shown changed."""
    return hashlib.sha256(told(follow, FALLBACK).model_dump_json().encode()).hexdigest()[:16]


def events(house: House) -> Handler:
    """GET /follow/events?page=order|return, for the story that this browser's cookie opens."""

    async def stream(request: web.Request) -> web.StreamResponse:
        page = request.query.get("page", "")
        grant = recall(request, house, FollowKind(page)) if page in set(FollowKind) else None
        if grant is None or len(request.app[STREAMS]) >= MOST:
            return web.Response(status=204)  # EventSource does not come back after this
        mark = object()
        request.app[STREAMS].add(mark)
        try:
            return await _stream(house, request, grant)
        finally:
            request.app[STREAMS].discard(mark)

    return stream


async def _stream(house: House, request: web.Request, grant: Grant) -> web.StreamResponse:
    response = web.StreamResponse(headers={**ALWAYS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)
    ends, spoke, version = time.monotonic() + LONGEST, time.monotonic(), ""
    try:
        while time.monotonic() < ends and not request.app[CLOSING].is_set():
            with house.news.waiting(await house.store.read(lambda tx: subjects_of(tx, grant))) as changed:
                opened = await opened_by(house, grant)
                if opened is None:
                    break
                if (now := version_of(opened.story)) != version:
                    version, spoke = now, time.monotonic()
                    await response.write(f"event: story\ndata: {version}\n\n".encode())
                elif time.monotonic() - spoke > STILL_HERE - SETTLING:
                    spoke = time.monotonic()
                    await response.write(b": still here\n\n")
                await _pause(STILL_HERE if house.news.reliable() else EVERY, request.app[CLOSING], changed)
    except (ConnectionError, asyncio.CancelledError):
        pass  # the reader has left
    return response


async def subjects_of(tx: Tx, grant: Grant) -> set[str]:
    """What a story is made of: whatever of it changes, the story may."""
    if grant.kind is FollowKind.RETURN:
        row = await return_named(tx, grant.number)
        if row is None:
            return set()
        orders = await orders_of_return(tx, row["id"])
        found = {f"return:{row['id']}", *(f"order:{order['id']}" for order in orders)}
        return found | ({f"parcel:{row['parcel_id']}"} if row["parcel_id"] is not None else set())
    order = await find_order(tx, grant.merchant, grant.number)
    if order is None:
        return set()
    return {f"order:{order['id']}", *(f"parcel:{row['id']}" for row in await parcels_on_order(tx, order["id"]))}


async def _pause(seconds: float, *events: asyncio.Event) -> None:
    """Until one of them is set, or the time is over; a burst of changes is one."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if done:
        await asyncio.sleep(SETTLING)
