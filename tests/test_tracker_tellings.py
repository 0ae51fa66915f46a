"""What an answer costs the ledger: only what was not told before in the same words is entered and judged."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs
from sqlalchemy import bindparam, select, update

import carriers.ups.reading
from bench.ledger import answer, number_of
from carriers.contract import Event, Payload, Readings, Source
from fleet.clocks import to_us
from merchants.terms import shipped
from store.engine import Store, Tx
from store.parcels import find_parcel, register_parcel
from store.payloads import take_payload
from store.schema import payloads, sightings
from store.statement import statement
from tracker.known import teller
from tracker.ledger import TOGETHER, Ledger

START = datetime(2026, 3, 2, 7, tzinfo=UTC)
NOW = START + timedelta(days=5)
_TRIES = statement(select(payloads.c.id, payloads.c.tries, payloads.c.read_us).order_by(payloads.c.id))


async def begun(store: Store, parcels: int = 1, reading: Any = carriers.ups.reading) -> Ledger:
    async def unit(tx: Tx) -> None:
        for index in range(parcels):
            await register_parcel(
                tx, merchant="boutique-eu", carrier="ups", number=number_of(index), purpose="order", shipment="{}",
                now_us=to_us(START),
            )  # fmt: skip

    await store.write(unit)
    return Ledger(store, {"ups": reading}, shipped())


def told(index: int = 0, newest: int = 12, **layout: Any) -> Payload:
    """UPS's answer with so many of the twelve events, in a layout of bytes of its own."""
    said = json.loads(answer(index))
    package = said["trackResponse"]["shipment"][0]["package"][0]
    package["activity"] = package["activity"][-newest:]
    if newest < 12:
        package["currentStatus"] = {"description": "In transit", "code": "005"}
    return Payload("ups", Source.POLL, json.dumps(said, **layout).encode(), (number_of(index),))


async def version(store: Store) -> int:
    row = await store.read(lambda tx: find_parcel(tx, "ups", number_of(0)))
    assert row is not None
    return int(row["version"])


async def test_other_bytes_that_tell_the_same_change_nothing(sqlite_store: Store) -> None:
    """A batch is new bytes when one of its parcels moved: the others are neither entered nor judged again."""
    ledger = await begun(sqlite_store)
    assert await ledger.take_in(told(newest=9), NOW) == (number_of(0),)
    before = await version(sqlite_store)
    for turn, layout in enumerate(({"indent": 1}, {"indent": 2}, {"separators": (",", ":")}), start=1):
        assert await ledger.take_in(told(newest=9, **layout), NOW + timedelta(hours=turn)) == ()
    assert await version(sqlite_store) == before
    assert await ledger.take_in(told(newest=10), NOW + timedelta(hours=9)) == (number_of(0),)
    assert await version(sqlite_store) == before + 1


async def test_an_answer_that_was_taken_in_is_not_taken_in_again(sqlite_store: Store) -> None:
    """The same bytes are one payload, read once."""
    ledger = await begun(sqlite_store)
    assert await ledger.take_in(told(), NOW) == (number_of(0),)
    assert await ledger.take_in(told(), NOW + timedelta(hours=1)) == ()
    assert len(await sqlite_store.read(lambda tx: tx.all(_TRIES))) == 1


async def test_what_is_kept_is_read_together_and_nothing_is_left(sqlite_store: Store) -> None:
    """More than one handful; an unreadable one among them is set aside and costs no other anything."""
    count = TOGETHER + 5
    ledger = await begun(sqlite_store, count)
    for index in range(count):
        await ledger.keep(told(index), NOW)
    await ledger.keep(Payload("ups", Source.POLL, b"{broken", (number_of(0),)), NOW)
    before = sqlite_store.commits
    assert await ledger.read_all(NOW) == count + 1
    assert await ledger.read_all(NOW) == 0
    assert sqlite_store.commits is not None and before is not None and sqlite_store.commits - before < count
    for index in range(count):
        row = await sqlite_store.read(lambda tx, index=index: find_parcel(tx, "ups", number_of(index)))  # type: ignore[misc]
        assert row is not None and row["status"] == "delivered"


class Killed(BaseException):
    """The process is gone."""


class Poisoned:
    """Reads as UPS's folder does, but for one payload, which kills its reader."""

    def __init__(self, poison: bytes) -> None:
        self.poison = poison

    def read(self, payload: Payload) -> Readings:
        if payload.body == self.poison:
            raise Killed
        return carriers.ups.reading.read(payload)


async def test_what_kills_its_reader_is_blamed_alone(sqlite_store: Store) -> None:
    """Taken together with others once; from then on each is read by itself, and only the poison is tried again."""
    poison = told(1)
    ledger = await begun(sqlite_store, 3, Poisoned(poison.body))
    for payload in (told(0), poison, told(2)):
        await ledger.keep(payload, NOW)
    real = ledger.real_us()
    for deaths in range(1, 4):
        late = Ledger(
            sqlite_store, ledger.readings, ledger.shelf, real_us=lambda deaths=deaths: real + deaths * 60_000_000
        )
        with pytest.raises(Killed):
            await late.read_all(NOW)
        rows = await sqlite_store.read(lambda tx: tx.all(_TRIES))
        first, poisonous, last = ((row["tries"], row["read_us"] is not None) for row in rows)
        assert poisonous == (deaths, False)
        assert first[0] <= 2 and last[0] <= 2, "the others are not blamed"
    later = Ledger(sqlite_store, ledger.readings, ledger.shelf, real_us=lambda: real + 600_000_000)
    await later.read_all(NOW)
    rows = await sqlite_store.read(lambda tx: tx.all(_TRIES))
    assert all(row["read_us"] is not None for row in rows)
    assert not await sqlite_store.write(
        lambda tx: take_payload(tx, rows[1]["id"], real_now_us=real + 900_000_000, until_us=0)
    ), "it is set aside"
    for index in (0, 2):
        row = await sqlite_store.read(lambda tx, index=index: find_parcel(tx, "ups", number_of(index)))  # type: ignore[misc]
        assert row is not None and row["status"] == "delivered"


_LONG_FORM = statement(
    update(sightings)
    .where(sightings.c.event_id == bindparam("of"))
    .values(event=bindparam("long"), teller=bindparam("by"))
)


async def test_events_that_an_older_release_kept_are_read_as_they_were(store: Store) -> None:
    """It wrote every field, also where it said nothing: the same event told again changes no conclusion."""
    ledger = await begun(store)
    await ledger.take_in(told(newest=9), NOW)

    async def written_by_the_older_one(tx: Tx) -> list[int]:
        rows = await tx.all(statement(select(sightings.c.event_id, sightings.c.event)))
        sizes = []
        for row in rows:
            event = msgspec.json.decode(row["event"], type=Event)
            every_field = structs.asdict(event) | {"place": structs.asdict(event.place)}
            long = msgspec.json.encode(every_field).decode()
            assert msgspec.json.decode(long, type=Event) == event
            await tx.run(_LONG_FORM, of=row["event_id"], long=long, by=teller(Source.POLL, long))
            sizes.append(len(long) - len(row["event"]))
        return sizes

    assert min(await store.write(written_by_the_older_one)) > 80
    before = await version(store)
    await ledger.take_in(told(newest=9, indent=1), NOW + timedelta(hours=1))
    assert await version(store) == before
    assert await ledger.take_in(told(newest=9, indent=2), NOW + timedelta(hours=2)) == ()
