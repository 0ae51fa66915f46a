"""A payload's way: 1,000 kept answers of 12 events become sightings, parcels, conclusions and notices, on SQLite.

The floor is the same end by the shortest way: the bytes decoded, and the very rows that came of them put in again, in
batches, with `executemany` on the raw driver and the same pragmas. It reads nothing, folds nothing and decides nothing.
"""

import asyncio
import json
import shutil
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

import carriers.ups.reading
from carriers.contract import Payload, Source
from fleet.clocks import to_us
from merchants.terms import shipped
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.parcels import register_parcel
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
"""Tables that get rows of their own; a parcel's row and a payload's are changed."""
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


async def _opened(path: Path) -> tuple[Store, Ledger]:
    store = await open_store(f"sqlite:///{path}")
    return store, Ledger(store, {"ups": carriers.ups.reading}, shipped())


async def _begin(path: Path) -> None:
    """Parcels that have been concluded about once, and the answers about them, kept and unread."""
    await migrate(f"sqlite:///{path}")
    store, ledger = await _opened(path)

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


async def _path(path: Path) -> tuple[float, float]:
    """Seconds and seconds of the processor that the ledger takes."""
    store, ledger = await _opened(path)
    began, cpu = time.perf_counter(), time.process_time()
    while await ledger.read_all(NOW):
        pass
    taken = time.perf_counter() - began, time.process_time() - cpu
    await store.close()
    return taken


def _rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What the ledger wrote, table by table, and how it left each parcel."""
    with sqlite3.connect(path) as done:
        said = {table: done.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in WRITTEN}  # noqa: S608
        columns = "leg, status, conclusion, version, moved_us, ended_us, review_us, next_poll_us, stale_us, id"
        said["parcels"] = done.execute(f"SELECT {columns} FROM parcels ORDER BY id").fetchall()  # noqa: S608
    return said


def _floor(path: Path, said: dict[str, list[tuple[Any, ...]]], there: dict[str, int]) -> tuple[float, float]:
    """Seconds for decoding every body and writing the same rows, `TOGETHER` parcels in a transaction."""
    raw = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        raw.execute(pragma)
    fresh = {table: said[table][there[table] :] for table in WRITTEN}
    puts = {
        table: f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})"  # noqa: S608
        for table, rows in fresh.items()
        if rows
    }
    save = (
        "UPDATE parcels SET leg=?, status=?, conclusion=?, version=?, moved_us=?, ended_us=?, review_us=?,"
        " next_poll_us=?, stale_us=? WHERE id=?"
    )
    bodies = raw.execute("SELECT id, body FROM payloads ORDER BY id").fetchall()
    began, cpu = time.perf_counter(), time.process_time()
    for first in range(0, PARCELS, TOGETHER):
        batch = bodies[first : first + TOGETHER]
        for _, body in batch:
            msgspec.json.decode(body)
        raw.execute("BEGIN IMMEDIATE")
        for table, put in puts.items():
            share = len(fresh[table]) / PARCELS
            raw.executemany(put, fresh[table][round(first * share) : round((first + len(batch)) * share)])
        raw.executemany(save, said["parcels"][first : first + len(batch)])
        raw.executemany("UPDATE payloads SET read_us=1, tries=1 WHERE id=?", [(id,) for id, _ in batch])
        raw.execute("COMMIT")
    taken = time.perf_counter() - began, time.process_time() - cpu
    raw.close()
    return taken


def _there(path: Path) -> dict[str, int]:
    """How many rows were there before."""
    with sqlite3.connect(path) as begun:
        return {table: begun.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in WRITTEN}  # noqa: S608


def run() -> dict[str, Any]:
    """Parcels a second both ways, and the floor's time as a share of ours: the goal is 0.35."""
    folder, paths, floors = Path(tempfile.mkdtemp(prefix="homeward-ledger-")), [], []
    try:
        begun = folder / "begun.db"
        asyncio.run(_begin(begun))
        there = _there(begun)
        for round_ in range(ROUNDS):
            ours, raw = folder / f"ours{round_}.db", folder / f"raw{round_}.db"
            shutil.copy(begun, ours)
            shutil.copy(begun, raw)
            paths.append(asyncio.run(_path(ours)))
            floors.append(_floor(raw, _rows(ours), there))
            assert {table: len(rows) for table, rows in _rows(raw).items()} == {
                table: len(rows) for table, rows in _rows(ours).items()
            }, "the floor wrote other rows"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds, floor = statistics.median(p for p, _ in paths), statistics.median(f for f, _ in floors)
    return {
        "parcels": PARCELS,
        "events": len(LIFE),
        "parcels_per_second": round(PARCELS / seconds),
        "floor_per_second": round(PARCELS / floor),
        "cpu_ms": round(statistics.median(c for _, c in paths) / PARCELS * 1e3, 3),
        "floor_cpu_ms": round(statistics.median(c for _, c in floors) / PARCELS * 1e3, 3),
        "ratio": round(statistics.median(f / p for (p, _), (f, _) in zip(paths, floors, strict=True)), 3),
        "cpu_ratio": round(statistics.median(f / p for (_, p), (_, f) in zip(paths, floors, strict=True)), 3),
        "rounds": ROUNDS,
    }
