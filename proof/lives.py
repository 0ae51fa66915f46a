"""What every rig's buyer does that is killed again and again, and what the naive one beside it does."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

from httpx_aiohttp import AiohttpTransport

from merchants.terms import shipped, without_calendar
from proof.nursery import Job
from spending.brakes import Limits
from spending.machine import Pace
from store.engine import Store, Unit
from store.statement import Statement

FACTOR = 1 / 300
PACE = Pace(factor=FACTOR, audits=(1800.0,))
KEY = b"rig of the purchases, 32 bytes !"
DIED_AT = "died-at"
"""The file in which a life says at which point it killed itself."""
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


def preload() -> None:
    """Before any life is forked: what each of them would else make for itself, a third of a second long."""
    for terms in chain.from_iterable(shipped().values()):
        without_calendar(terms)
    for each in gc.get_objects():
        if type(each) is Statement:
            _ = each.sqlite


def killer(points: Mapping[str, int], folder: Path) -> Callable[[str], None]:
    """Dies where the first of these points is passed so many times, in the middle of whatever else goes on."""
    left = dict(points)

    def crash_point(name: str) -> None:
        if name in left:
            left[name] -= 1
            if left[name] <= 0:
                (folder / DIED_AT).write_text(name)
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
