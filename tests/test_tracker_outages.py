"""A carrier's silence is said once and its return once, whatever it was asked for: against the street's faults."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from sqlalchemy import select

from carriers.contract import Address, Bought, Carrier, Refused, Unknown
from carriers.door import Circuit, Unlimited
from carriers.ups.connect import Settings, Ups, connect
from fleet.clocks import Clock
from store.engine import Store
from store.schema import outbox
from store.statement import statement
from street.faults import Fault
from street.town import Town
from tests.ups import request
from tests.walk import street
from tracker.outages import KEPT_SECONDS, Outages, looking

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
_SAID = statement(select(outbox.c.type, outbox.c.data).order_by(outbox.c.id))


class Real:
    def __init__(self) -> None:
        self.us = 1_000_000_000

    def __call__(self) -> int:
        return self.us


async def said(store: Store) -> list[str]:
    return [row["type"] for row in await store.read(lambda tx: tx.all(_SAID))]


def outages(store: Store, real: Real, **carriers: Any) -> Outages:
    return Outages(store, cast(dict[str, Carrier], carriers), Clock(START, 1.0, time.time()), real)


@pytest.fixture
async def town_and_ups() -> AsyncIterator[tuple[Town, Ups]]:
    async with street() as (town, caller):
        environment = {
            "UPS_BASE_URL": f"{caller.http.base_url}".rstrip("/") + "/ups",
            "UPS_CLIENT_ID": "street", "UPS_CLIENT_SECRET": "street", "UPS_ACCOUNT": "W95789",
            "UPS_CONTACT_NAME": "Returns desk", "UPS_CONTACT_PHONE": "+1 212 5550100",
        }  # fmt: skip
        ups = connect(Settings.from_env(environment), budget=Unlimited())
        ups.circuit._first = 0.0  # no rest: the test asks at once
        yield town, ups
        await ups.aclose()


async def test_labels_that_fail_are_an_outage_told_once(sqlite_store: Store, town_and_ups: tuple[Town, Ups]) -> None:
    """Nobody polls: purchases alone find UPS away, and a label bought after all brings it back."""
    town, ups = town_and_ups
    real = Real()
    watch = outages(sqlite_store, real, ups=ups)
    town.faults.add(Fault("ups", "ship", "500", times=8, status=503))
    for _ in range(8):
        await watch.look()
        assert await said(sqlite_store) == []
        assert isinstance(await ups.buy(ups.prepare_label(request())), Unknown)
    for _ in range(3):
        await watch.look()
    assert await said(sqlite_store) == ["ops.carrier_away"]
    assert isinstance(await ups.buy(ups.prepare_label(request())), Bought)
    await watch.look()
    real.us += int(KEPT_SECONDS * 1e6) + 1
    for _ in range(3):
        await watch.look()
    assert await said(sqlite_store) == ["ops.carrier_away", "ops.carrier_back"]


async def test_a_token_host_that_refuses_us_is_told_whatever_is_asked(
    sqlite_store: Store, town_and_ups: tuple[Town, Ups]
) -> None:
    """Wrong credentials: the carrier is there, and ops are told so; labels and address checks alike find out."""
    _, ups = town_and_ups
    ups._keeper._fetch = _refused
    watch = outages(sqlite_store, Real(), ups=ups)
    for _ in range(8):
        with pytest.raises(Refused):
            await ups.check_address(Address("A", ("1 Main St",), "Reno", "89501", "US"))
    assert not isinstance(await ups.buy(ups.prepare_label(request())), Bought)
    await watch.look()
    (row,) = await sqlite_store.read(lambda tx: tx.all(_SAID))
    assert row["type"] == "ops.carrier_away" and '"down":false' in str(row["data"]).replace(" ", "")


async def _refused() -> Any:
    raise Refused("UPS: the client id or secret is not accepted")


@dataclass
class Parcels:
    """A carrier of which only the door counts."""

    circuit: Circuit


def silent(circuit: Circuit) -> None:
    for _ in range(8):
        circuit.failed("track", "no answer")


async def test_what_one_process_finds_away_another_does_not_take_back(sqlite_store: Store) -> None:
    """While labels fail in one process, answers to the other's polls say nothing; when the first is dead, they do."""
    real, mine, other = Real(), Circuit("UPS"), Circuit("UPS")
    first, second = (outages(sqlite_store, real, ups=Parcels(each)) for each in (mine, other))
    silent(mine)
    for _ in range(10):
        await first.look()
        other.answered("track")
        await second.look()
        real.us += 2_000_000
    assert await said(sqlite_store) == ["ops.carrier_away"]
    real.us += int(KEPT_SECONDS * 1e6)
    await second.look()
    assert await said(sqlite_store) == ["ops.carrier_away"], "it heard nothing since"
    other.answered("track")
    await second.look()
    assert await said(sqlite_store) == ["ops.carrier_away", "ops.carrier_back"]


async def test_a_look_that_fails_is_not_the_last(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database away for a moment: the next look tells."""
    monkeypatch.setattr("tracker.outages.LOOK_SECONDS", 0.001)
    circuit, looks = Circuit("UPS"), 0

    class Flaky(Outages):
        async def look(self) -> None:
            nonlocal looks
            looks += 1
            if looks == 1:
                raise OSError("no database")
            await Outages.look(self)

    silent(circuit)
    watch = Flaky(sqlite_store, cast(Any, {"ups": Parcels(circuit)}), Clock(START, 1.0, time.time()))
    async with looking(watch):
        while not await said(sqlite_store):
            await asyncio.sleep(0.001)
    assert await said(sqlite_store) == ["ops.carrier_away"]
