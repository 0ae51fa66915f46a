"""Facts about several workers on one PostgreSQL: one at a time where it must be, all at once where it may be."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

import carriers.ups.reading
from carriers.contract import Away, Payload, Readings
from cli import muster as mustering
from cli.muster import Muster, muster
from cli.wiring import SHARED
from fleet.clocks import to_us
from merchants.terms import shipped
from store.engine import Store, Tx, open_store
from store.outbox import say
from store.parcels import due_reviews, register_parcel
from store.payloads import unread_payloads
from store.schema import outbox, payloads
from store.statement import statement
from tests.test_tracker_ledger import push
from tracker.ledger import Ledger
from tracker.outages import away, back

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
_SAID = statement(select(outbox.c.type, outbox.c.subject, outbox.c.name).order_by(outbox.c.id))
_TRIES = statement(select(payloads.c.tries, payloads.c.error))


@pytest.fixture
async def stores(postgres_url: str) -> Any:
    """Four processes' stores on one database."""
    async with AsyncExitStack() as stack:
        opened = [await open_store(postgres_url) for _ in range(4)]
        for store in opened:
            stack.push_async_callback(store.close)
        yield opened


async def test_what_one_does_another_takes_up_when_it_dies(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four that want a lease one has it; it keeps it while it works; dead, it is another's within the lease."""
    monkeypatch.setattr(mustering, "LEASE", 1.0)
    monkeypatch.setattr(mustering, "ASK_AGAIN", 0.1)
    workers = [Muster(store, "work", alone=False) for store in stores]
    held = [await worker.holds("keep:ups") for worker in workers]
    assert sum(held) == 1
    dead = held.index(True)
    async with workers[dead].turn("keep:ups"):  # long at work: its signs of life keep the lease
        for _ in range(4):
            await asyncio.sleep(0.4)
            await workers[dead].beat()
            assert not any([await worker.holds("keep:ups") for worker in workers if worker is not workers[dead]])
    await asyncio.sleep(1.2)
    taken = [worker for worker in workers if worker is not workers[dead] and await worker.holds("keep:ups")]
    assert len(taken) == 1 and not await workers[dead].holds("keep:ups")


async def test_whoever_leaves_lets_go_at_once(stores: list[Store], postgres_url: str) -> None:
    """Processes are counted while they run; what one held is free the moment it ends in order."""
    async with muster(stores[0], "work", postgres_url) as one:
        async with muster(stores[1], "web", postgres_url) as two:
            assert await two.holds("purge") and not await one.holds("purge")
            assert two.processes == 2
        one._refused.clear()
        assert await one.holds("purge")
        await one.beat()
        assert one.processes == 1


async def test_alone_nobody_is_asked(sqlite_store: Store) -> None:
    """On SQLite the one process holds everything, and writes nothing for it."""
    async with muster(sqlite_store, "serve", "sqlite:///x") as one:
        assert await one.holds("purge") and one.processes == 1


async def test_a_payload_is_read_by_one_of_four(stores: list[Store]) -> None:
    """Four that read at once try each payload once: nobody is taken to have died over it."""
    ledgers = [Ledger(store, {"ups": carriers.ups.reading}, shipped()) for store in stores]
    for day in range(1, 25):
        await ledgers[0].keep(push(day), NOW)
    await asyncio.gather(*(each.read_all(NOW) for each in ledgers))
    rows = await stores[0].read(lambda tx: tx.all(_TRIES))
    assert Counter(row["tries"] for row in rows) == {1: 24} and {row["error"] for row in rows} == {""}


async def test_a_dead_readers_payload_is_taken_up_within_thirty_seconds(stores: list[Store]) -> None:
    """While its reader may live nobody else reads it; 20 s later it is due again."""

    class Dies:
        def read(self, payload: Payload) -> Readings:
            raise SystemExit

    real = 1_000_000_000
    dying = Ledger(stores[0], {"ups": Dies()}, shipped(), real_us=lambda: real)
    kept = await dying.keep(push(3), NOW)
    with pytest.raises(SystemExit):
        await dying.read(kept.id, NOW)
    assert await stores[1].read(lambda tx: unread_payloads(tx, 10, real + 19_000_000)) == []
    assert await stores[1].read(lambda tx: unread_payloads(tx, 10, real + 21_000_000)) == [kept.id]
    heir = Ledger(stores[1], {"ups": carriers.ups.reading}, shipped(), real_us=lambda: real + 21_000_000)
    assert await heir.read_all(NOW) == 1


async def test_a_review_is_done_by_one_of_four(stores: list[Store]) -> None:
    """Four that review at once leave nothing due, and what follows is said once."""

    async def register(tx: Tx) -> None:
        for number in range(20):
            await register_parcel(
                tx, merchant="boutique-eu", carrier="ups", number=f"1Z{number}", purpose="order", shipment="{}",
                now_us=to_us(NOW),
            )  # fmt: skip

    await stores[0].write(register)
    ledgers = [Ledger(store, {"ups": carriers.ups.reading}, shipped()) for store in stores]
    later = NOW + timedelta(minutes=1)
    await asyncio.gather(*(each.review_due(later) for each in ledgers))
    assert await stores[0].read(lambda tx: due_reviews(tx, to_us(later), 99)) == []
    said = await stores[0].read(lambda tx: tx.all(_SAID))
    assert max(Counter((row["subject"], row["name"]) for row in said).values(), default=1) == 1


async def test_an_outage_that_four_see_is_one_notice(stores: list[Store]) -> None:
    """Four workers that find the carrier away at once say it once, and once that it is back."""
    error = Away("down")

    async def see(store: Store, second: int) -> None:
        await store.write(lambda tx: away(tx, "ups", NOW + timedelta(seconds=second), str(error)))

    await asyncio.gather(*(see(store, n) for n, store in enumerate(stores * 3)))
    await asyncio.gather(*(store.write(lambda tx: back(tx, "ups", NOW)) for store in stores))
    said = [row["type"] for row in await stores[0].read(lambda tx: tx.all(_SAID))]
    assert said == ["ops.carrier_away", "ops.carrier_back"]


def test_a_new_sweep_runs_in_one_process_at_a_time() -> None:
    """Only sweeps that claim row by row are done by several at once; whoever adds one has to say so."""
    assert {"read", "review", "spread", "deliver", "poll", "purchases", "labels", "voids"} == SHARED


async def test_what_a_unit_touched_is_told_once_it_is_kept(store: Store) -> None:
    """Subjects are told after the commit; a unit that fails tells nothing."""
    heard: list[str] = []
    store.changed = lambda subjects: heard.extend(sorted(subjects))

    async def unit(tx: Tx) -> None:
        await say(tx, subject="parcel:7", name="x", type="parcel.delivered", at=NOW, data={})

    async def fails(tx: Tx) -> None:
        await unit(tx)
        tx.touch("parcel:8")
        raise ValueError

    with pytest.raises(ValueError):
        await store.write(fails)
    await store.write(unit)
    assert heard == ["parcel:7"]
