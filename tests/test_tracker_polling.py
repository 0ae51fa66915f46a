"""Who is asked about when there is more to ask than the carrier allows: whoever was due first, and nobody in vain."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import carriers.ups.reading
from carriers.contract import Abilities, Away, Busy, CarrierError, Payload, Source
from fleet.clocks import Clock, to_us
from merchants.terms import shipped
from store.engine import Store, Tx
from store.parcels import claim_due_polls, find_parcel, register_parcel
from store.unit import Row
from tracker.ledger import Ledger
from tracker.polling import Poller

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOTHING = (
    b'{"trackResponse":{"shipment":[{"warnings":[{"code":"TW0001","message":"Tracking Information Not Found"}]}]}}'
)


@dataclass
class Asked:
    """A carrier that answers until its calls are used up, one number in a call."""

    name: str = "ups"
    abilities: Abilities = field(default_factory=lambda: Abilities(batch=1))
    calls: int = 1
    error: CarrierError = field(default_factory=lambda: Busy("used up", retry_after=60))
    asked: list[str] = field(default_factory=list)
    refused: int = 0

    async def track(self, numbers: Sequence[str]) -> list[Payload]:
        if self.calls == 0:
            self.refused += 1
            raise self.error
        self.calls -= 1
        self.asked += numbers
        return [Payload("ups", Source.POLL, NOTHING, tuple(numbers))]


@dataclass
class Real:
    """Real time by hand, in microseconds."""

    us: int = 1_000_000

    def __call__(self) -> int:
        return self.us


async def poller(store: Store, real: Real) -> Poller:
    """Four parcels, due an hour apart from each other, all overdue."""
    for number in range(4):

        async def unit(tx: Tx, number: int = number) -> None:
            due = to_us(START - timedelta(hours=10 - number))
            await register_parcel(
                tx, merchant="boutique-eu", carrier="ups", number=f"1Z{number}", purpose="order", shipment="{}",
                now_us=due,
            )  # fmt: skip

        await store.write(unit)
    ledger = Ledger(store, {"ups": carriers.ups.reading}, shipped())
    return Poller(store, ledger, Clock(START, 1.0, time.time()), real)


async def test_a_used_up_quota_costs_nobody_its_place(store: Store) -> None:
    """One call a minute, four that are due: they are asked about in the order in which they were due."""
    real, ups = Real(), Asked()
    sweeps = await poller(store, real)
    for _ in range(4):
        await sweeps.sweep(ups)
        refused = ups.refused
        await sweeps.sweep(ups)  # still busy: nobody is asked again
        assert ups.refused == refused
        real.us += 61_000_000
        ups.calls = 1
    assert ups.asked == ["1Z0", "1Z1", "1Z2", "1Z3"]


async def test_an_outage_puts_off_and_does_not_keep_the_others_waiting(store: Store) -> None:
    """A carrier that is away is asked again in a minute of its time; it is no quota, so nothing is held back."""
    real, ups = Real(), Asked(calls=0, error=Away("down"))
    sweeps = await poller(store, real)
    assert await sweeps.sweep(ups) == 4
    row = await store.read(lambda tx: find_parcel(tx, "ups", "1Z0"))
    assert row is not None and to_us(START) < row["next_poll_us"] < to_us(START + timedelta(minutes=2))


async def test_two_workers_at_once_never_claim_the_same_parcel(store: Store) -> None:
    """Each has its own, oldest first; a lease that ran out is claimed again under a higher fence."""
    await poller(store, Real())

    async def claim(tx: Tx) -> list[tuple[Row, int]]:
        return await claim_due_polls(
            tx, "ups", now_us=to_us(START), real_now_us=1_000, lease_until_us=2_000, limit=2
        )  # fmt: skip

    one, other = await asyncio.gather(store.write(claim), store.write(claim))
    rest = await store.write(claim)
    mine = [[row["number"] for row, _ in each] for each in (one, other)]
    assert sorted([*mine[0], *mine[1]]) == ["1Z0", "1Z1", "1Z2", "1Z3"] and rest == []
    assert all(each == sorted(each) for each in mine) and {fence for _, fence in one} == {1}

    async def later(tx: Tx) -> list[tuple[Row, int]]:
        return await claim_due_polls(
            tx, "ups", now_us=to_us(START), real_now_us=2_001, lease_until_us=9_000, limit=4
        )  # fmt: skip

    again = await store.write(later)
    assert [(row["number"], fence) for row, fence in again] == [("1Z0", 2), ("1Z1", 2), ("1Z2", 2), ("1Z3", 2)]
