"""Says once that a carrier is away and once that it is back, whichever process and whichever of its calls found out."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from carriers.contract import Answering, Carrier, Watched
from fleet.clocks import Clock, to_us
from store.engine import Store, Tx
from store.outbox import say
from store.settings import forget_setting, get_setting, put_setting, set_once

LOOK_SECONDS = 1.0
KEPT_SECONDS = 5.0
"""A process that finds a carrier away says so again and again; so long after the last time another may take it back."""

log = logging.getLogger(__name__)


async def away(tx: Tx, carrier: str, now: datetime, why: str, *, down: bool = True) -> None:
    """The carrier does not answer: one outage is one notice, however many calls it touches."""
    if await get_setting(tx, f"away:{carrier}") is None:
        since = f"{to_us(now)}.{secrets.token_hex(4)}"
        if await set_once(tx, f"away:{carrier}", since) != since:  # another worker was first
            return
        data = {"carrier": carrier, "error": why, "down": down}
        name = f"away/{since}"
        await say(tx, subject=f"carrier:{carrier}", name=name, type="ops.carrier_away", at=now, data=data)


async def back(tx: Tx, carrier: str, now: datetime) -> None:
    """The carrier answers again: told once if its silence was."""
    since = await get_setting(tx, f"away:{carrier}")
    if since is not None:
        await forget_setting(tx, f"away:{carrier}")
        await forget_setting(tx, f"away-kept:{carrier}")
        await put_setting(tx, f"back:{carrier}", str(to_us(now)))
        name = f"back/{since}"
        await say(
            tx, subject=f"carrier:{carrier}", name=name, type="ops.carrier_back", at=now, data={"carrier": carrier}
        )


@dataclass(frozen=True, slots=True)
class Outages:
    """Writes down what the doors of one process find out about their carriers."""

    store: Store
    carriers: Mapping[str, Carrier]
    clock: Clock
    real_us: Callable[[], int] = lambda: time.time_ns() // 1000
    _mine: set[str] = field(default_factory=set)  # carriers that this process found away
    _answers: dict[str, int] = field(default_factory=dict)  # how many answers each had given at the last look

    async def look(self) -> None:
        """What changed since the last look."""
        for name, carrier in self.carriers.items():
            if isinstance(carrier, Watched):
                await self._look(name, carrier.circuit)

    async def _look(self, name: str, line: Answering) -> None:
        now, real = self.clock.now(), self.real_us()
        why, down, answered = line.away, line.down, line.answers != self._answers.get(name, 0)
        self._answers[name] = line.answers
        if why:
            self._mine.add(name)
            until = real + int(KEPT_SECONDS * 1e6)
            await self.store.write(lambda tx: _keep(tx, name, now, why, down, until))
            return
        if not (answered or name in self._mine):
            return
        told, is_kept = await self.store.read(lambda tx: _state(tx, name, real))
        if told and not is_kept:
            await self.store.write(lambda tx: back(tx, name, now))
        if not is_kept:
            self._mine.discard(name)


async def _keep(tx: Tx, carrier: str, now: datetime, why: str, down: bool, until_us: int) -> None:
    await put_setting(tx, f"away-kept:{carrier}", str(until_us))
    await away(tx, carrier, now, why, down=down)


async def _state(tx: Tx, carrier: str, real_us: int) -> tuple[bool, bool]:
    """Whether it was told, and whether a process still says so."""
    kept = await get_setting(tx, f"away-kept:{carrier}")
    return await get_setting(tx, f"away:{carrier}") is not None, kept is not None and int(kept) > real_us


@asynccontextmanager
async def looking(outages: Outages) -> AsyncIterator[None]:
    """Looks every second for as long as it is open."""

    async def run() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await outages.look()
            except Exception:
                log.exception("whether the carriers answer could not be written down")

    async with asyncio.TaskGroup() as group:
        looks = group.create_task(run())
        try:
            yield
        finally:
            looks.cancel()
