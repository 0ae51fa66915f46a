"""Facts about the desk of ops, on both databases: each notice is looked at once, one trouble is one alert."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from alerts.desk import acknowledge, open_alerts, sweep
from store.engine import Store, Tx
from store.outbox import say, unspread

NOW = datetime(2026, 3, 3, 11, 5, tzinfo=UTC)


async def tell(store: Store, type: str, name: str, subject: str = "parcel:7", **data: Any) -> None:
    base = {"merchant": "boutique-eu", "carrier": "ups", "number": "1Z1", "order_numbers": ["A1"]}

    async def unit(tx: Tx) -> None:
        await say(tx, subject=subject, name=name, type=type, at=NOW, data=base | data)

    await store.write(unit)


async def attempt(store: Store, count: int, subject: str = "parcel:7") -> None:
    view = {"status": "attempt_failed", "leg": "out", "attempts": {"count": count, "max": 3, "exhausted": count >= 3}}
    name = f"out/attempt/{count}"
    await tell(store, "parcel.attempt_failed", name, subject, parcel=view, attempt={"ordinal": count})


async def told(store: Store) -> list[tuple[str, str]]:
    """What callers hear of alerts, in order."""
    rows = await store.write(lambda tx: unspread(tx, 1000))
    return [
        (row["type"], msgspec.json.decode(row["data"])["alert"]["rung"])
        for row in rows
        if row["type"].startswith("alert.")
    ]


async def test_a_parcel_climbs_on_one_alert_and_delivery_clears_it(store: Store) -> None:
    """Three failed attempts are one alert that climbs, told each time it becomes graver; delivery clears it."""
    for count in (1, 2, 3):
        await attempt(store, count)
        await sweep(store, NOW)
        (alert,) = (await open_alerts(store)).alerts
        assert alert.severity == ("info", "warning", "critical")[count - 1] and alert.count == count
    await tell(store, "parcel.delivered", "delivered", parcel={"status": "delivered"})
    assert await sweep(store, NOW) >= 1
    assert (await open_alerts(store)).alerts == []
    assert await told(store) == [
        ("alert.raised", "attempt_1"),
        ("alert.raised", "attempt_2"),
        ("alert.raised", "attempts_over"),
        ("alert.cleared", "attempts_over"),
    ]


async def test_a_notice_is_looked_at_once(store: Store) -> None:
    """A second sweep finds nothing; four at once count a repeated trouble as often as it was told, not oftener."""
    for n in range(30):
        await tell(store, "ops.carrier_away", f"away/{n}", "carrier:ups", error="no answer")
    await asyncio.gather(*(sweep(store, NOW) for _ in range(4)))
    assert await sweep(store, NOW) == 0
    (alert,) = (await open_alerts(store)).alerts
    assert alert.count == 30
    assert await told(store) == [("alert.raised", "carrier_away")]


async def test_one_outage_is_one_alert_and_the_next_one_is_told_again(store: Store) -> None:
    """An outage is cleared by the carrier's return; a later one opens the alert again and is told again."""
    for n in (1, 2):
        await tell(store, "ops.carrier_away", f"away/{n}", "carrier:ups", error="no answer")
        await sweep(store, NOW + timedelta(hours=n))
        (alert,) = (await open_alerts(store)).alerts
        assert (alert.count, alert.opened_at) == (1, NOW + timedelta(hours=n))
        await tell(store, "ops.carrier_back", f"back/{n}", "carrier:ups")
        await sweep(store, NOW + timedelta(hours=n))
        assert (await open_alerts(store)).alerts == []
    assert [type for type, _ in await told(store)] == ["alert.raised", "alert.cleared"] * 2


async def test_acknowledging(store: Store) -> None:
    """An acknowledged alert stays open with its first reader's name until it is graver; unknown numbers are None."""
    await attempt(store, 1)
    await sweep(store, NOW)
    (alert,) = (await open_alerts(store)).alerts
    seen = await acknowledge(store, alert.id, "anna", NOW)
    again = await acknowledge(store, alert.id, "bob", NOW + timedelta(hours=1))
    assert seen is not None and seen == again and (seen.acked_by, seen.acked_at) == ("anna", NOW)
    assert len((await open_alerts(store)).alerts) == 1
    await attempt(store, 2)
    await sweep(store, NOW)
    (graver,) = (await open_alerts(store)).alerts
    assert (graver.rung, graver.acked_by, graver.acked_at) == ("attempt_2", "", None)
    assert await acknowledge(store, 99, "anna", NOW) is None


async def test_what_nothing_would_clear_is_over_when_seen(store: Store) -> None:
    """An unreadable payload is one alert for its digest, told once, and over once somebody has seen it."""
    for n, digest in enumerate(["aa", "aa", "bb"]):
        await tell(store, "ops.payload_unreadable", f"{n}", "payload:ups", digest=digest, error="no JSON")
    await sweep(store, NOW)
    one, two = (await open_alerts(store)).alerts
    assert {one.count, two.count} == {1, 2}
    seen = await acknowledge(store, one.id, "anna", NOW)
    assert seen is not None and seen.cleared_at == NOW
    assert [alert.id for alert in (await open_alerts(store)).alerts] == [two.id]
    assert [type for type, _ in await told(store)].count("alert.cleared") == 1


async def test_pages(store: Store) -> None:
    """Open alerts come newest first, a page at a time, each once."""
    for n in range(7):
        await attempt(store, 1, f"parcel:{n}")
    await sweep(store, NOW)
    seen: list[int] = []
    before = None
    while True:
        page = await open_alerts(store, before=before, limit=3)
        seen += [alert.id for alert in page.alerts]
        if page.next is None:
            break
        before = page.next
    assert len(seen) == 7 and seen == sorted(seen, reverse=True)


async def test_a_notice_that_cannot_be_judged_holds_nobody_up(store: Store) -> None:
    """Data that the ladder stumbles over becomes an alert of its own, and what waits behind it is looked at."""
    await tell(store, "parcel.attempt_failed", "odd", parcel={"attempts": {"count": "many"}}, attempt={"ordinal": 1})
    await attempt(store, 1, "parcel:8")
    await sweep(store, NOW)
    assert sorted(alert.rung for alert in (await open_alerts(store)).alerts) == ["attempt_1", "not_understood"]


async def test_an_alert_and_its_notice_are_one_transaction(store: Store) -> None:
    """When a sweep fails halfway nothing of it is kept, and the next one does the whole."""
    await attempt(store, 1)
    await attempt(store, 1, "parcel:8")

    class Broken(Exception):
        pass

    class Halfway:
        """The store, with a unit that is cut off at its end."""

        async def write(self, unit: Any) -> Any:
            async def cut(tx: Tx) -> None:
                await unit(tx)
                raise Broken

            return await store.write(cut)

    with pytest.raises(Broken):
        await sweep(Halfway(), NOW)  # type: ignore[arg-type]
    assert (await open_alerts(store)).alerts == [] and await told(store) == []
    await sweep(store, NOW)
    assert len((await open_alerts(store)).alerts) == 2
    assert await told(store) == [("alert.raised", "attempt_1")] * 2
