"""Sends what is due to the listeners: once each, like the carriers, who keep no account of what was not heard."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

import aiohttp

from carriers.ups.standin import Standin as Ups
from carriers.usps.standin import Standin as Usps
from street.faults import PUSH
from street.telling import Scan
from street.town import Town

log = logging.getLogger(__name__)

TICK = 0.05  # real seconds
LANES = 8  # a parcel's pushes keep their order: each parcel has one lane
PATIENCE = aiohttp.ClientTimeout(total=5, connect=2)


@dataclass(slots=True)
class Sent:
    """How the pushing goes, for whoever asks."""

    heard: int = 0
    lost: int = 0
    unasked: int = 0  # nobody wanted this one


class Pusher:
    """One loop that takes what is due, and lanes that send it. A dead listener costs its own pushes only."""

    def __init__(self, town: Town) -> None:
        self.town, self.sent = town, Sent()
        self._lanes: list[asyncio.Queue[tuple[str, Scan]]] = [asyncio.Queue() for _ in range(LANES)]

    async def run(self) -> None:
        """Until cancelled."""
        connector = aiohttp.TCPConnector(limit=LANES * 2)
        async with (
            aiohttp.ClientSession(timeout=PATIENCE, connector=connector, trust_env=False) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for lane in self._lanes:
                tasks.create_task(self._drive(lane, session))
            while True:
                self.town.settle()
                for number, scan in self.town.queue.take(self.town.now()):
                    self._lanes[hash(number) % LANES].put_nowait((number, scan))
                await asyncio.sleep(TICK)

    async def _drive(self, lane: asyncio.Queue[tuple[str, Scan]], session: aiohttp.ClientSession) -> None:
        while True:
            number, scan = await lane.get()
            try:
                await self._push(number, scan, session)
            except Exception:
                log.exception("a push could not be made")
            finally:
                self.town.queue.done()

    async def _push(self, number: str, scan: Scan, session: aiohttp.ClientSession) -> None:
        parcel = self.town.parcels[number]
        carrier = self.town.ups if parcel.journey.carrier == "ups" else self.town.usps
        posts = carrier.push(parcel, scan)
        self.sent.unasked += not posts
        fault = self.town.faults.take(carrier.name, PUSH) if posts else None
        match fault.kind if fault else "":
            case "lost":
                self.sent.lost += len(posts)
                return
            case "late":
                self.town.queue.add(self.town.now() + timedelta(seconds=fault.seconds if fault else 0), number, scan)
                return
            case "reordered":
                self.town.queue.add_after_next(self.town.now(), number, scan)
                return
            case "doubled":
                posts = [*posts, *posts]
        for post in posts:
            await self._post(carrier, post, session)

    async def _post(
        self, carrier: Ups | Usps, post: tuple[str, dict[str, str], bytes], session: aiohttp.ClientSession
    ) -> None:
        url, headers, body = post
        try:
            headers = headers | await carrier.introduce(session)
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
                refused = answer.status in {401, 403}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError):
            self.sent.lost += 1
            carrier.listener_failed(url)
        else:
            self.sent.heard += 1
            carrier.listener_heard(url)
            if refused:
                carrier.listener_refused(url)
