"""A payload's way: 1,000 kept answers of 12 events become sightings, parcels, conclusions and notices.

The floor is the same end by the shortest way: the bytes decoded, and the very rows that came of them put in again, in
batches, with `executemany` on the raw driver (of SQLite with the same pragmas). It reads nothing, folds nothing and
decides nothing.
"""

import asyncio
import json
import re
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec

import carriers.ups.reading
from bench.own_postgres import own_postgres
from carriers.contract import Payload, Source
from cli.settling import settle_down
from fleet.clocks import to_us
from merchants.terms import shipped
from store import sqlite
from store.engine import POSTGRES, SQLITE, Store, Tx, open_store, sqlite_path
from store.migrate import migrate
from store.parcels import register_parcel
from store.postgres import plain
from tracker.ledger import Ledger

PARCELS, ROUNDS, TOGETHER = 1_000, 11, 256
START = datetime(2026, 3, 2, 7, tzinfo=UTC)
NOW = START + timedelta(days=5)
# A life: there and not at home, there again and delivered.  # source: facts/ups.md 4.6, 5
LIFE = (
    ("M", "MP", "003", "Shipper created a label, UPS has not received the package yet. "),
    ("I", "OR", "005", "Origin Scan"), ("I", "DP", "005", "Departed from Facility"),
    ("I", "AR", "005", "Arrived at Facility"), ("I", "DP", "005", "Departed from Facility"),
    ("I", "AR", "005", "Arrived at Facility"), ("I", "YP", "071", "Processing at UPS Facility"),
    ("I", "OT", "021", "Out For Delivery Today"),
    ("X", "48", "022", "The receiver was not available for delivery. We'll make a second attempt the next business"
                       " day."),
    ("I", "YP", "071", "Processing at UPS Facility"), ("I", "OT", "021", "Out For Delivery Today"),
    ("D", "FS", "011", "DELIVERED"),
)  # fmt: skip
CITIES = ("AMSTERDAM", "UTRECHT", "EINDHOVEN", "ALMERE")
WRITTEN = ("mentions", "sightings", "told", "outbox")
"""Tables that get rows of their own."""
CHANGED = {
    "parcels": ("leg", "status", "version", "moved_us", "ended_us", "review_us", "next_poll_us", "stale_us", "id"),
    "conclusions": ("conclusion", "parcel_id"),
    "payloads": ("read_us", "error", "tries", "lease_us", "id"),
}
"""Tables whose rows are changed, and in what; last the column that names the row."""


def number_of(index: int) -> str:
    return f"1Z5338FF01{index:08d}"


def answer(index: int) -> bytes:
    """What UPS tells of a parcel at the end of its way, newest first."""
    activity = []
    for step, (kind, code, status, words) in enumerate(LIFE):
        at = START + timedelta(hours=8 * step, seconds=index)
        local = at + timedelta(hours=1)
        address = {"city": CITIES[(index + step) % len(CITIES)], "countryCode": "NL", "country": "NL"}
        activity.append(
            {
                "location": {"address": address, "slic": "1234"},
                "status": {"type": kind, "description": words, "code": code, "statusCode": status},
                "date": f"{local:%Y%m%d}", "time": f"{local:%H%M%S}", "gmtDate": f"{at:%Y%m%d}",
                "gmtOffset": "+01:00", "gmtTime": f"{at:%H:%M:%S}",
            }
        )  # fmt: skip
    package = {
        "trackingNumber": number_of(index), "currentStatus": {"description": "Delivered", "code": "011"},
        "deliveryDate": [{"type": "SDD", "date": "20260305"}], "deliveryTime": {"type": "EOD"}, "packageCount": 1,
        "service": {"code": "011", "description": "UPS Standard"}, "activity": activity[::-1],
    }  # fmt: skip
    shipment = {"inquiryNumber": number_of(index), "package": [package]}
    return json.dumps({"trackResponse": {"shipment": [shipment]}}).encode()


async def _opened(url: str) -> tuple[Store, Ledger]:
    store = await open_store(url)
    return store, Ledger(store, {"ups": carriers.ups.reading}, shipped())


async def _begin(url: str) -> None:
    """Parcels that have been concluded about once, and the answers about them, kept and unread."""
    await migrate(url)
    store, ledger = await _opened(url)

    async def register(tx: Tx) -> None:
        for index in range(PARCELS):
            await register_parcel(
                tx, merchant="boutique-eu", carrier="ups", number=number_of(index), purpose="order", shipment="{}",
                now_us=to_us(START),
            )  # fmt: skip

    await store.write(register)
    while await ledger.review_due(START):
        pass
    payloads = [Payload("ups", Source.POLL, answer(index), (number_of(index),)) for index in range(PARCELS)]
    await asyncio.gather(*(ledger.keep(payload, NOW) for payload in payloads))
    await store.close()


async def _path(url: str) -> tuple[float, float]:
    """Seconds and seconds of the processor that the ledger takes."""
    store, ledger = await _opened(url)
    began, cpu = time.perf_counter(), time.process_time()
    while await ledger.read_all(NOW):
        pass
    taken = time.perf_counter() - began, time.process_time() - cpu
    await store.close()
    return taken


# ------------------------------------------------------------------------------------------------------------ the floor


@dataclass(frozen=True, slots=True)
class Raw:
    """sqlite3 or asyncpg with nothing between. `?` stands for a value in what is run `many` times."""

    all: Callable[[str], Awaitable[Sequence[Any]]]
    many: Callable[[str, Sequence[Sequence[Any]]], Awaitable[object]]
    transaction: Callable[[], AbstractAsyncContextManager[object]]


@asynccontextmanager
async def _raw(url: str) -> AsyncIterator[Raw]:
    if url.startswith(POSTGRES):
        server = await asyncpg.connect(plain(url))

        async def all_there(sql: str) -> Sequence[Any]:
            return [tuple(row) for row in await server.fetch(sql)]

        async def many_there(sql: str, rows: Sequence[Sequence[Any]]) -> None:
            places = count(1)
            await server.executemany(re.sub(r"\?", lambda _: f"${next(places)}", sql), rows)

        yield Raw(all_there, many_there, server.transaction)
        await server.close()
        return
    file = sqlite3.connect(sqlite_path(url), isolation_level=None)
    for pragma in sqlite.WRITER:
        file.execute(pragma)

    async def all_here(sql: str) -> Sequence[Any]:
        return file.execute(sql).fetchall()

    async def many_here(sql: str, rows: Sequence[Sequence[Any]]) -> None:
        file.executemany(sql, rows)

    @asynccontextmanager
    async def transaction_here() -> AsyncIterator[None]:
        file.execute("BEGIN IMMEDIATE")
        yield
        file.execute("COMMIT")

    yield Raw(all_here, many_here, transaction_here)
    file.close()


async def _made(base: str, name: str, like: str = "") -> str:
    """A database of this name beside that of `base` (`like` another one there: a copy); its URL."""
    if base.startswith(POSTGRES):
        server = await asyncpg.connect(plain(base))
        await server.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {like}" if like else ""))
        await server.close()
        return urlsplit(base)._replace(path=f"/{name}").geturl()
    path = sqlite_path(base).with_name(name)
    if like:
        shutil.copy(path.with_name(like), path)
    return f"{SQLITE}{path}"


async def _rows(raw: Raw) -> dict[str, Sequence[Any]]:
    """What the ledger wrote, table by table, and how it left each parcel and each payload."""
    said = {table: await raw.all(f"SELECT * FROM {table} ORDER BY 1") for table in WRITTEN}  # noqa: S608
    for table, columns in CHANGED.items():
        said[table] = await raw.all(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {columns[-1]}")  # noqa: S608
    return said


async def _floor(raw: Raw, said: dict[str, Sequence[Any]]) -> tuple[float, float]:
    """Seconds for decoding every body and writing the same rows, `TOGETHER` parcels in a transaction."""
    fresh = {table: said[table][len(await raw.all(f"SELECT 1 FROM {table}")) :] for table in WRITTEN}  # noqa: S608
    puts = {
        table: f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})"  # noqa: S608
        for table, rows in fresh.items()
        if rows
    }
    saves = {
        table: f"UPDATE {table} SET {', '.join(f'{column}=?' for column in columns)} WHERE {key}=?"  # noqa: S608
        for table, (*columns, key) in CHANGED.items()
    }
    bodies = await raw.all("SELECT body FROM payloads ORDER BY id")
    began, cpu = time.perf_counter(), time.process_time()
    for first in range(0, PARCELS, TOGETHER):
        batch = bodies[first : first + TOGETHER]
        for (body,) in batch:
            msgspec.json.decode(body)
        async with raw.transaction():
            for table, put in puts.items():
                share = len(fresh[table]) / PARCELS
                await raw.many(put, fresh[table][round(first * share) : round((first + len(batch)) * share)])
            for table, save in saves.items():
                await raw.many(save, said[table][first : first + len(batch)])
    return time.perf_counter() - began, time.process_time() - cpu


# ---------------------------------------------------------------------------------------------------------- the figures


async def _measured(base: str) -> dict[str, Any]:
    paths, floors = [], []
    await _begin(await _made(base, "begun"))
    for round_ in range(ROUNDS):
        ours, theirs = [await _made(base, f"{whose}{round_}", like="begun") for whose in ("ours", "theirs")]
        paths.append(await _path(ours))
        async with _raw(ours) as left, _raw(theirs) as right:
            said = await _rows(left)
            floors.append(await _floor(right, said))
            assert {table: len(rows) for table, rows in (await _rows(right)).items()} == {
                table: len(rows) for table, rows in said.items()
            }, "the floor wrote other rows"
    seconds, floor = statistics.median(p for p, _ in paths), statistics.median(f for f, _ in floors)
    return {
        "parcels_per_second": round(PARCELS / seconds),
        "floor_per_second": round(PARCELS / floor),
        "cpu_ms": round(statistics.median(c for _, c in paths) / PARCELS * 1e3, 3),
        "floor_cpu_ms": round(statistics.median(c for _, c in floors) / PARCELS * 1e3, 3),
        "ratio": round(statistics.median(f / p for (p, _), (f, _) in zip(paths, floors, strict=True)), 3),
        "cpu_ratio": round(statistics.median(f / p for (_, p), (_, f) in zip(paths, floors, strict=True)), 3),
    }


def run() -> dict[str, Any]:
    """By database: parcels a second both ways, and the floor's time as a share of ours: the goal is 0.35."""
    folder = Path(tempfile.mkdtemp(prefix="homeward-ledger-"))
    settle_down()
    try:
        found: dict[str, Any] = {"parcels": PARCELS, "events": len(LIFE), "rounds": ROUNDS}
        found["sqlite"] = asyncio.run(_measured(f"{SQLITE}{folder}/any"))
        with own_postgres(folder / "pg") as url:
            found["postgresql"] = asyncio.run(_measured(url)) if url.startswith(POSTGRES) else url
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
