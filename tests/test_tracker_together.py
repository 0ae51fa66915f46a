"""Payloads that are entered together leave the same rows, and say the same, as one after the other."""

import dataclasses
import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

import carriers.ups.reading
import tracker.ledger
from bench.ledger import answer, number_of
from carriers.contract import Payload, Readings, Source
from fleet.clocks import to_us
from merchants.terms import shipped
from store.engine import Store, Tx, open_store
from store.migrate import migrate
from store.outbox import Saying, say, say_all
from store.parcels import find_parcel, register_parcel
from store.payloads import unread_payloads
from store.schema import mentions, outbox, parcels, payloads, sightings, told, unidentified, unknown_codes
from store.statement import statement
from tracker.ledger import Ledger

START = datetime(2026, 3, 2, 7, tzinfo=UTC)
NOW = START + timedelta(days=5)
COUNT = 9
_NOT_TOLD_TWICE = {"outbox": ("notice_id",), "payloads": ("lease_us", "tries")}
TABLES = (mentions, sightings, told, parcels, outbox, payloads, unidentified, unknown_codes)
ALL = {table.name: statement(select(table).order_by(*table.primary_key.columns)) for table in TABLES}


async def register(store: Store, indices: range) -> None:
    async def unit(tx: Tx) -> None:
        for index in indices:
            await register_parcel(
                tx, merchant="boutique-eu", carrier="ups", number=number_of(index), purpose="order", shipment="{}",
                now_us=to_us(START),
            )  # fmt: skip

    await store.write(unit)


def told_of(*indices: int, newest: int = 12, code: str = "") -> Payload:
    """One answer about these parcels, with so many of their twelve events; `code` stands in for the newest's."""
    shipments = []
    for index in indices:
        shipment = json.loads(answer(index))["trackResponse"]["shipment"][0]
        package = shipment["package"][0]
        package["activity"] = package["activity"][-newest:]
        if newest < 12:
            package["currentStatus"] = {"description": "In transit", "code": "005"}
        if code:
            package["activity"][0]["status"] |= {"code": code, "description": "", "statusCode": ""}
        shipments.append(shipment)
    body = json.dumps({"trackResponse": {"shipment": shipments}}).encode()
    return Payload("ups", Source.POLL, body, tuple(number_of(index) for index in indices))


def payloads_of(seed: int) -> list[Payload]:
    """Answers about parcels at every stage of their way, several about one, some about many, in any order."""
    dice = random.Random(seed)
    found = [told_of(index, newest=newest) for index in range(COUNT) for newest in (3, 8, 9, 11, 12)]
    found += [told_of(*dice.sample(range(COUNT), 4), newest=dice.randrange(2, 12)) for _ in range(6)]
    found += [told_of(2, newest=7, code="Q9"), Payload("ups", Source.PUSH, told_of(COUNT + 1).body)]
    dice.shuffle(found)
    return found


async def rows_of(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All that was written, but for what is drawn by chance."""

    async def unit(tx: Tx) -> dict[str, list[dict[str, Any]]]:
        return {
            name: [
                {key: value for key, value in dict(row).items() if key not in _NOT_TOLD_TWICE.get(name, ())}
                for row in await tx.all(every)
            ]
            for name, every in ALL.items()
        }

    return await store.read(unit)


def unordered(rows: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    """The same without the numbers that rows get in the order in which they are written."""
    return {
        name: sorted(repr({k: v for k, v in row.items() if k != "id" or name == "parcels"}) for row in found)
        for name, found in rows.items()
    }


@pytest.mark.parametrize("seed", range(3))
async def test_together_is_as_one_after_the_other(store: Store, seed: int, tmp_path: Path) -> None:
    """The same sightings, conclusions and notices, in the same order for each parcel, with no intermediate one left
    out; some parcels are registered, one is registered later, one never."""
    url = f"sqlite:///{tmp_path / 'alone.db'}"
    await migrate(url)
    alone = await open_store(url)
    found = []
    for kept_in, is_alone in ((store, False), (alone, True)):
        ledger = Ledger(kept_in, {"ups": carriers.ups.reading}, shipped())
        await register(kept_in, range(COUNT - 1))
        ids = [(await ledger.keep(payload, NOW)).id for payload in payloads_of(seed)]
        if is_alone:
            for id in ids:
                await ledger.read(id, NOW)
        else:
            assert await ledger.read_all(NOW) == len(ids)
        await register(kept_in, range(COUNT - 1, COUNT))
        while await ledger.review_due(NOW):
            pass
        await ledger.take_in_all([told_of(index, newest=10) for index in range(COUNT)], NOW + timedelta(hours=1))
        found.append(await rows_of(kept_in))
    await alone.close()
    together, single = found
    assert unordered(together) == unordered(single)
    assert {row["status"] for row in together["parcels"]} == {"delivered"}
    said = [(row["subject"], row["sequence"]) for row in together["outbox"] if row["subject"].startswith("parcel:")]
    counts = Counter(subject for subject, _ in said)
    assert sorted(said) == sorted((subject, n + 1) for subject, count in counts.items() for n in range(count))
    assert len(said) > 3 * COUNT


class Broken:
    """Reads as UPS's folder does, but of one number it says what nobody can enter."""

    def __init__(self, number: str) -> None:
        self.number = number

    def read(self, payload: Payload) -> Readings:
        found = carriers.ups.reading.read(payload)
        if self.number not in found.numbers:
            return found
        events = tuple(msgspec.structs.replace(event, at=event.at.replace(tzinfo=None)) for event in found.events)
        return Readings(events, found.told)


async def statuses(store: Store, count: int) -> list[str]:
    """Of the first so many parcels."""
    rows = [await store.read(partial(find_parcel, carrier="ups", number=number_of(index))) for index in range(count)]
    return [row["status"] for row in rows if row is not None]


async def test_what_cannot_be_entered_costs_no_other_anything(store: Store) -> None:
    """One of many fails in the middle: the others are entered on their own, it is raised, and stays unread."""
    await register(store, range(5))
    ledger = Ledger(store, {"ups": Broken(number_of(2))}, shipped())
    for index in range(5):
        await ledger.keep(told_of(index), NOW)
    with pytest.raises(TypeError):
        await ledger.read_all(NOW)
    assert await statuses(store, 5) == ["delivered", "delivered", "unknown", "delivered", "delivered"]
    later = ledger.real_us() + 60_000_000
    assert len(await store.read(lambda tx: unread_payloads(tx, 10, later))) == 1
    mended = dataclasses.replace(ledger, readings={"ups": carriers.ups.reading}, real_us=lambda: later)
    assert await mended.read_all(NOW) == 1


async def test_those_that_were_taken_ahead_are_seen_to_when_entering_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While some are entered the next are read and others taken: nobody waits for the end of their lease."""
    monkeypatch.setattr(tracker.ledger, "TOGETHER", 2)
    await register(store, range(8))
    ledger = Ledger(store, {"ups": Broken(number_of(1))}, shipped())
    for index in range(8):
        await ledger.keep(told_of(index), NOW)
    with pytest.raises(TypeError):
        await ledger.read_all(NOW)
    assert await statuses(store, 8) == ["delivered", "unknown"] + ["delivered"] * 6


async def test_notices_said_together_are_numbered_without_gaps(store: Store) -> None:
    """What was said before is left out, twice in one breath is once, and others' numbers go on where these end."""

    async def first(tx: Tx) -> bool:
        return await say(tx, subject="parcel:1", name="a", type="t", at=NOW, data={"n": 1})

    async def together(tx: Tx) -> None:
        names = [("parcel:1", "a"), ("parcel:1", "b"), ("parcel:2", "a"), ("parcel:1", "c"), ("parcel:1", "b")]
        await say_all(tx, [Saying(subject, name, "t", b'{"n":2}') for subject, name in names], NOW)

    async def last(tx: Tx) -> bool:
        return await say(tx, subject="parcel:1", name="d", type="t", at=NOW, data={})

    await store.write(first)
    await store.write(together)
    await store.write(together)
    await store.write(last)
    rows = await store.read(lambda tx: tx.all(ALL["outbox"]))
    assert [(row["subject"], row["name"], row["sequence"]) for row in rows] == [
        ("parcel:1", "a", 1), ("parcel:1", "b", 2), ("parcel:2", "a", 1), ("parcel:1", "c", 3), ("parcel:1", "d", 4),
    ]  # fmt: skip
    assert [json.loads(row["data"]) for row in rows[:2]] == [{"n": 1}, {"n": 2}]
