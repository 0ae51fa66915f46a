"""The cost of finding what is due: it must grow with what is due, never with what exists; and memory while registering.

The statements are those of the sweeps (store/parcels.py), through the real store: 1,000 parcels are due among 10,000,
100,000 and 1,000,000. On SQLite every parcel is registered as the API does it; on PostgreSQL, where one can be started,
the rows are put in at once.
"""

import asyncio
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, case, cast, func, literal, select

from bench.own_postgres import own_postgres
from store.engine import POSTGRES, Store, Tx, open_store
from store.migrate import migrate
from store.parcels import claim_due_polls, due_reviews, register_parcel, release
from store.postgres import plain
from store.schema import parcels
from store.statement import statement

SIZES = (10_000, 100_000, 1_000_000)
DUE, LIMIT, ROUNDS = 1_000, 200, 25
NOW, LATER = 1_772_438_400_000_000, 1_772_524_800_000_000  # microseconds; LATER is a day after
TOGETHER = 1_000  # parcels in one transaction


def _big(value: int | str) -> ColumnElement[int]:
    """A number that PostgreSQL may not take for a small one; a name stands for a parameter."""
    bound = bindparam(value, type_=BigInteger) if isinstance(value, str) else literal(value, BigInteger)
    return cast(bound, BigInteger)


_N = func.generate_series(_big("first"), _big("last")).column_valued("n")
_NUMBER = func.concat("1Z", func.lpad(cast(_N, Text), 16, "0"))
_WHEN = case((_N < DUE, _big(NOW)), else_=_big(LATER) + _N * 1_000)
_PUT = statement(  # PostgreSQL's own way to many rows
    lambda insert: insert(parcels).from_select(
        ["merchant", "carrier", "number", "purpose", "created_us", "next_poll_us", "review_us"],
        select(literal("boutique-eu"), literal("ups"), _NUMBER, literal("order"), _WHEN, _WHEN, _WHEN),
    )
)


def run(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Microseconds for each sweep at each size, and the growth from the smallest to the largest."""
    return asyncio.run(_run(sizes))


async def _run(sizes: Sequence[int]) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="homeward-sweep-"))
    try:
        return {
            "due": DUE,
            "claimed_at_once": LIMIT,
            "sqlite": await _on_sqlite(folder, sizes),
            "postgresql": await _on_postgres(folder / "pg", sizes),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _on_sqlite(folder: Path, sizes: Sequence[int]) -> dict[str, Any]:
    return await _measured({size: f"sqlite:///{folder / f'{size}.db'}" for size in sizes}, _register, _as_it_is)


async def _on_postgres(folder: Path, sizes: Sequence[int]) -> dict[str, Any] | str:
    """The same on a PostgreSQL of our own; a line why not, where none can be started."""
    with own_postgres(folder) as url:
        if not url.startswith(POSTGRES):
            return url
        urls = {size: re.sub(r"/postgres(?=\?|$)", f"/parcels_{size}", url) for size in sizes}
        for size in sizes:
            await _run_sql(url, f"CREATE DATABASE parcels_{size}")
        return await _measured(urls, _put, _vacuum)


Fill = Callable[[Store, range], Awaitable[None]]
Settle = Callable[[str], Awaitable[None]]


async def _measured(urls: Mapping[int, str], fill: Fill, settle: Settle) -> dict[str, Any]:
    """One database for each size, all measured in turn: what the machine does meanwhile happens to all of them.

    What claims leave behind is dead versions of the rows that are due, which has nothing to do with how many rows there
    are. Measured one size after the other in one table, due reviews seemed to grow: the largest had three times as many
    claims behind it, and PostgreSQL's VACUUM leaves an index alone while less than 2 % of a table's pages need it, so
    it tidied the small table only. So they are measured before the claims, and after them.
    """
    began, memory = time.perf_counter(), {}
    async with AsyncExitStack() as stack:
        stores = {}
        for size, url in urls.items():
            await migrate(url)
            store = stores[size] = await open_store(url)
            stack.push_async_callback(store.close)
            for first in range(0, size, TOGETHER):
                await fill(store, range(first, min(first + TOGETHER, size)))
            memory[str(size)] = resident()
        for url in urls.values():
            await settle(url)
        rows: dict[str, dict[str, float]] = {str(size): {} for size in stores}
        for name, sweep in SWEEPS.items():
            for size, took in (await _timed(stores, sweep)).items():
                rows[str(size)][name] = took
    small, large = rows[str(min(stores))], rows[str(max(stores))]
    return {
        **rows,
        "times_from_smallest_to_largest": {name: round(large[name] / small[name], 2) for name in small},
        "resident_mb": memory,
        "seconds": round(time.perf_counter() - began, 1),
    }


async def _as_it_is(url: str) -> None:
    """SQLite keeps no dead versions."""


async def _vacuum(url: str) -> None:
    """What autovacuum does from time to time."""
    await _run_sql(url, "VACUUM (ANALYZE) parcels")


async def _run_sql(url: str, sql: str) -> None:
    connection = await asyncpg.connect(plain(url))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def resident(process: int | str = "self") -> float | None:
    """A process's resident memory in MB, where the system tells it."""
    status = Path(f"/proc/{process}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmRSS")), None)


async def _timed(stores: Mapping[int, Store], sweep: Callable[[Store], Awaitable[float]]) -> dict[int, float]:
    """The median of some rounds at each size, in microseconds."""
    took: dict[int, list[float]] = {size: [] for size in stores}
    for _ in range(1 + ROUNDS):
        for size, store in stores.items():
            took[size].append(await sweep(store))
    return {size: round(statistics.median(rounds[1:]) * 1e6, 1) for size, rounds in took.items()}


# ---------------------------------------------------------------------------------------------------------- the sweeps


async def _claim(store: Store) -> float:
    """Claim a sweep's worth; afterwards they are given back, outside the time."""

    async def claim(tx: Tx) -> tuple[float, list[Any]]:
        began = time.perf_counter()
        mine = await claim_due_polls(tx, "ups", now_us=NOW, real_now_us=1, lease_until_us=2, limit=LIMIT)
        return time.perf_counter() - began, mine

    took, mine = await store.write(claim)
    if len(mine) != LIMIT:
        raise AssertionError(f"{len(mine)} parcels were claimed, not {LIMIT}")

    async def give_back(tx: Tx) -> None:
        for row, fence in mine:
            await release(tx, row["id"], fence, next_poll_us=NOW)

    await store.write(give_back)
    return took


async def _reviews(store: Store) -> float:
    async def look(tx: Tx) -> float:
        began = time.perf_counter()
        found = await due_reviews(tx, NOW, LIMIT)
        took = time.perf_counter() - began
        if len(found) != LIMIT:
            raise AssertionError(f"{len(found)} parcels were due, not {LIMIT}")
        return took

    return await store.read(look)


async def _nothing(store: Store) -> float:
    async def look(tx: Tx) -> float:
        began = time.perf_counter()
        await claim_due_polls(tx, "ups", now_us=NOW - 1, real_now_us=1, lease_until_us=2, limit=LIMIT)
        await due_reviews(tx, NOW - 1, LIMIT)
        return time.perf_counter() - began

    return await store.write(look)


SWEEPS = {
    "due_reviews_us": _reviews,
    "nothing_due_us": _nothing,
    "claim_due_polls_us": _claim,
    "due_reviews_after_claims_us": _reviews,
}


# --------------------------------------------------------------------------------------------------------- the parcels


async def _register(store: Store, serials: range) -> None:
    """The first ones are due now, the others tomorrow and after, spread."""
    await register(store, serials, lambda serial: NOW if serial < DUE else LATER + serial * 1_000)


async def register(store: Store, serials: range, due_us: Callable[[int], int]) -> None:
    """Parcels as the API registers them, together in one transaction."""

    async def unit(tx: Tx) -> None:
        for serial in serials:
            await register_parcel(
                tx,
                merchant="boutique-eu",
                carrier="ups",
                number=f"1Z{serial:016d}",
                purpose="order",
                shipment="{}",
                now_us=due_us(serial),
            )

    await store.write(unit)


async def _put(store: Store, serials: range) -> None:
    await store.write(lambda tx: tx.run(_PUT, first=serials[0], last=serials[-1]))
