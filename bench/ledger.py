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
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import asyncpg
import msgspec

import carriers.ups.reading
from bench.own_postgres import own_postgres
from carriers.contract import Payload, Source
from cli.settling import settle_down
from fleet.clocks import to_us
from merchants.terms import shipped
from store.engine import POSTGRES, Store, Tx, open_store
from store.migrate import migrate
from store.parcels import register_parcel
from store.postgres import plain
from tracker.ledger import Ledger

PARCELS, ROUNDS, TOGETHER = 1_000, 5, 256
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
    "parcels": (
        "leg", "status", "conclusion", "version", "moved_us", "ended_us", "review_us", "next_poll_us", "stale_us"
    ),
    "payloads": ("read_us", "error", "tries", "lease_us"),
}  # fmt: skip
"""Tables whose rows are changed, and in what."""
PRAGMAS = (
    "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA wal_autocheckpoint=0", "PRAGMA secure_delete=ON",
    "PRAGMA foreign_keys=ON",
)  # fmt: skip


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


class Raw(Protocol):
    """A driver with nothing between, and the databases that it makes (`like` another one: a copy)."""

    def url(self, name: str) -> str: ...
    async def new(self, name: str, like: str = "") -> None: ...
    def opened(self, name: str) -> AbstractAsyncContextManager["Connection"]: ...


class Connection(Protocol):
    """`?` stands for a value, as in sqlite3."""

    async def all(self, sql: str) -> Sequence[tuple[Any, ...]]: ...
    async def many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None: ...
    def transaction(self) -> AbstractAsyncContextManager[None]: ...


class _Sqlite:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, name: str) -> str:
        return f"sqlite:///{self._folder / name}.db"

    async def new(self, name: str, like: str = "") -> None:
        if like:
            shutil.copy(self._folder / f"{like}.db", self._folder / f"{name}.db")

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[Connection]:
        raw = sqlite3.connect(self._folder / f"{name}.db", isolation_level=None)
        for pragma in PRAGMAS:
            raw.execute(pragma)
        yield _SqliteConnection(raw)
        raw.close()


class _SqliteConnection:
    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    async def all(self, sql: str) -> Sequence[tuple[Any, ...]]:
        return self._raw.execute(sql).fetchall()

    async def many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._raw.executemany(sql, rows)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self._raw.execute("BEGIN IMMEDIATE")
        yield
        self._raw.execute("COMMIT")


class _Postgres:
    def __init__(self, url: str) -> None:
        self._url = url

    def url(self, name: str) -> str:
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    async def new(self, name: str, like: str = "") -> None:
        raw = await asyncpg.connect(plain(self._url))
        await raw.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {like}" if like else ""))
        await raw.close()

    @asynccontextmanager
    async def opened(self, name: str) -> AsyncIterator[Connection]:
        raw = await asyncpg.connect(plain(self.url(name)))
        yield _PostgresConnection(raw)
        await raw.close()


class _PostgresConnection:
    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def all(self, sql: str) -> Sequence[tuple[Any, ...]]:
        return [tuple(row) for row in await self._raw.fetch(sql)]

    async def many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        places = count(1)
        await self._raw.executemany(re.sub(r"\?", lambda _: f"${next(places)}", sql), rows)

    def transaction(self) -> AbstractAsyncContextManager[None]:
        found: AbstractAsyncContextManager[None] = self._raw.transaction()
        return found


async def _rows(raw: Connection) -> dict[str, Sequence[tuple[Any, ...]]]:
    """What the ledger wrote, table by table, and how it left each parcel and each payload."""
    said = {table: await raw.all(f"SELECT * FROM {table} ORDER BY 1") for table in WRITTEN}  # noqa: S608
    for table, columns in CHANGED.items():
        said[table] = await raw.all(f"SELECT {', '.join(columns)}, id FROM {table} ORDER BY id")  # noqa: S608
    return said


async def _floor(raw: Connection, said: dict[str, Sequence[tuple[Any, ...]]]) -> tuple[float, float]:
    """Seconds for decoding every body and writing the same rows, `TOGETHER` parcels in a transaction."""
    fresh = {table: said[table][len(await raw.all(f"SELECT 1 FROM {table}")) :] for table in WRITTEN}  # noqa: S608
    puts = {
        table: f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})"  # noqa: S608
        for table, rows in fresh.items()
        if rows
    }
    saves = {
        table: f"UPDATE {table} SET {', '.join(f'{column}=?' for column in columns)} WHERE id=?"  # noqa: S608
        for table, columns in CHANGED.items()
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


async def _measured(raw: Raw) -> dict[str, Any]:
    paths, floors = [], []
    await raw.new("begun")
    await _begin(raw.url("begun"))
    for round_ in range(ROUNDS):
        ours, theirs = f"ours{round_}", f"raw{round_}"
        await raw.new(ours, like="begun")
        await raw.new(theirs, like="begun")
        paths.append(await _path(raw.url(ours)))
        async with raw.opened(ours) as left, raw.opened(theirs) as right:
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
        found["sqlite"] = asyncio.run(_measured(_Sqlite(folder)))
        with own_postgres(folder / "pg") as url:
            found["postgresql"] = asyncio.run(_measured(_Postgres(url))) if url.startswith(POSTGRES) else url
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
