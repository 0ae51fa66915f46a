"""Who else runs on this database: every process says that it lives, and takes a lease for what only one may do."""

import asyncio
import contextlib
import logging
import os
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator

from store import machines
from store.again import write_surely
from store.engine import SQLITE, Store, StoreError, Tx

log = logging.getLogger(__name__)

BEAT = 4.0  # seconds between signs of life
GONE = 15.0  # without one, a process is no longer counted
LEASE = 15.0  # renewed with every beat: so long after its death another process may do what it did
ASK_AGAIN = 5.0  # seconds before a lease that another one holds is asked for again


class Muster:
    """This process among the others. Alone (on SQLite) it holds every lease without asking."""

    def __init__(self, store: Store, role: str, *, alone: bool) -> None:
        self.id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.role, self.alone = role, alone
        self.processes = 1
        self._store, self._started = store, time.time()
        self._held: dict[str, float] = {}  # until when each lease is ours (monotonic)
        self._refused: dict[str, float] = {}  # when to ask again for the others'
        self._at_work: set[str] = set()

    async def holds(self, name: str) -> bool:
        """Whether this process is the one that does it now."""
        now = time.monotonic()
        if self.alone or self._held.get(name, 0.0) > now + LEASE / 2:
            return True
        if self._refused.get(name, 0.0) > now:
            return False
        if await self._take(name):
            return True
        self._refused[name] = now + ASK_AGAIN * random.uniform(0.7, 1.0)
        return False

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[bool]:
        """Whether it is our turn; then it stays so until the end, however long that takes."""
        mine = await self.holds(name)
        if mine:
            self._at_work.add(name)
        try:
            yield mine
        finally:
            self._at_work.discard(name)

    async def beat(self) -> None:
        """Say that we live, and keep the leases of what we are at."""
        now = time.time()

        async def unit(tx: Tx) -> int:
            return await machines.seen(
                tx, self.id, self.role, started_us=_us(self._started), now_us=_us(now), since_us=_us(now - GONE)
            )

        self.processes = max(1, await write_surely(self._store, unit))
        for name in [*self._at_work]:
            await self._take(name)

    async def beat_on(self) -> None:
        """For ever. A database that is away for a while is no reason to stop."""
        while True:
            await asyncio.sleep(BEAT)
            try:
                await self.beat()
            except (StoreError, OSError) as error:
                log.warning("no sign of life", extra={"error": type(error).__name__})

    async def leave(self) -> None:
        """What this process held is free at once."""
        self._held.clear()
        with contextlib.suppress(StoreError, OSError):
            await self._store.write(lambda tx: machines.left(tx, self.id))

    async def _take(self, name: str) -> bool:
        now, began = time.time(), time.monotonic()

        async def unit(tx: Tx) -> bool:
            return await machines.hold(tx, name, self.id, now_us=_us(now), until_us=_us(now + LEASE))

        if not await write_surely(self._store, unit):
            self._held.pop(name, None)
            return False
        self._held[name] = began + LEASE
        return True


@contextlib.asynccontextmanager
async def muster(store: Store, role: str, database: str) -> AsyncIterator[Muster]:
    """This process, counted among the others until it ends."""
    mine = Muster(store, role, alone=database.startswith(SQLITE))
    if mine.alone:
        yield mine
        return
    await mine.beat()
    beating = asyncio.create_task(mine.beat_on())
    try:
        yield mine
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await mine.leave()


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
