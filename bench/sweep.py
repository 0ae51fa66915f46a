"""The cost of finding what is due: it must grow with what is due, never with what exists; and memory while registering.

The statements are those of the sweeps (store/parcels.py), through the real store: the same 1,000 parcels are due among
10,000, 100,000 and 1,000,000. On SQLite every parcel is registered as the API does it; on PostgreSQL, where one can be
started, the rows are put in at once.
"""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, bindparam, case, cast, func, literal, select

from bench.own_postgres import own_postgres
from store.engine import POSTGRES, Store, Tx, open_store
from store.migrate import migrate
from store.parcels import claim_due_polls, due_reviews, register_parcel, release
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
        url = f"sqlite:///{folder / 'sweep.db'}"
        await migrate(url)
        store = await open_store(url)
        result = {"due": DUE, "claimed_at_once": LIMIT, "sqlite": await _measured(store, sizes, _register)}
        await store.close()
        result["postgresql"] = await _on_postgres(folder / "pg", sizes)
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


Fill = Callable[[Store, range], Awaitable[None]]


async def _measured(store: Store, sizes: Sequence[int], fill: Fill) -> dict[str, Any]:
    rows, memory, there, began = {}, {}, 0, time.perf_counter()
    for size in sizes:
        for first in range(there, size, TOGETHER):
            await fill(store, range(first, min(first + TOGETHER, size)))
        there = size
        memory[str(size)] = resident()
        rows[str(size)] = {
            "claim_due_polls_us": await _timed(store, _claim),
            "due_reviews_us": await _timed(store, _reviews),
            "nothing_due_us": await _timed(store, _nothing),
        }
    small, large = rows[str(sizes[0])], rows[str(sizes[-1])]
    return {
        **rows,
        "times_from_smallest_to_largest": {name: round(large[name] / small[name], 2) for name in small},
        "resident_mb": memory,
        "seconds": round(time.perf_counter() - began, 1),
    }


def resident(process: int | str = "self") -> float | None:
    """A process's resident memory in MB, where the system tells it."""
    status = Path(f"/proc/{process}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmRSS")), None)


async def _timed(store: Store, sweep: Callable[[Store], Awaitable[float]]) -> float:
    """The median of some rounds, in microseconds."""
    await sweep(store)
    return round(statistics.median([await sweep(store) for _ in range(ROUNDS)]) * 1e6, 1)


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


async def _on_postgres(folder: Path, sizes: Sequence[int]) -> dict[str, Any] | str:
    """The same on a PostgreSQL of our own; a line why not, where none can be started."""
    with own_postgres(folder) as url:
        if not url.startswith(POSTGRES):
            return url
        await migrate(url)
        store = await open_store(url)
        try:
            return await _measured(store, sizes, _put)
        finally:
            await store.close()
