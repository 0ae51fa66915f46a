"""What every rig's buyer does that is killed again and again, and what the naive one beside it does."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from httpx_aiohttp import AiohttpTransport

from proof.nursery import Job
from spending.brakes import Limits
from spending.machine import Pace
from store.engine import Store, Unit

FACTOR = 1 / 300
PACE = Pace(factor=FACTOR, audits=(1800.0,))
KEY = b"rig of the purchases, 32 bytes !"
NO_LIMITS = Limits(Decimal(60), Decimal(10**9), Decimal(10**12), Decimal(10**12), 10**9, 1.0, free_bytes=0)


def job_of(live: Callable[[dict[str, Any]], Coroutine[Any, Any, None]], plant: Callable[[], None]) -> Job:
    """The job of a buyer's process, with a planted bug or none."""

    def job(args: dict[str, Any]) -> None:
        plant()
        asyncio.run(live(args))

    return job


def plain_transport() -> AiohttpTransport:
    """The transport that carriers are called through, without the certificates that loopback has no use for."""
    return AiohttpTransport(verify=False)


def killer(point: str, nth: int) -> Callable[[str], None]:
    """Dies at the nth passing of the point, in the middle of whatever else goes on."""
    passed = 0

    def crash_point(name: str) -> None:
        nonlocal passed
        if name == point:
            passed += 1
            if passed >= nth:
                os.kill(os.getpid(), signal.SIGKILL)

    return crash_point


async def sweep_for_ever(sweep: Callable[[], Awaitable[None]]) -> None:
    while True:
        await sweep()
        await asyncio.sleep(0.02)


async def sweep_until_settled(
    store: Store,
    sweep: Callable[[], Awaitable[None]],
    is_open: Unit[bool],
    stand: Unit[list[str]],
    seconds: float,
) -> None:
    """Sweep until nothing is open, or nothing of how it stands has changed for so long."""
    before, since = None, time.monotonic()
    while await store.read(is_open):
        await sweep()
        now = await store.read(stand)
        if now != before:
            before, since = now, time.monotonic()
        if time.monotonic() - since > seconds:
            return
        await asyncio.sleep(0.02)


async def want_naively(path: Path, wishes: Iterable[int], want: Callable[[int], Awaitable[bool]]) -> None:
    """Call, then write, as everybody does first. What is written is done; whatever else happened is asked for again."""
    done = {json.loads(line)["wish"] for line in path.read_text().splitlines()} if path.exists() else ()
    with path.open("a") as book:
        for wish in wishes:
            if wish in done:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PACE.scaled(PACE.deadline)):
                    if await want(wish):
                        book.write(json.dumps({"wish": wish}) + "\n")
                        book.flush()
                        os.fsync(book.fileno())
