"""How old an answer may be: said in every answer, counted, one alert for a carrier, quiet during an outage."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from alerts import desk as alert_desk
from store.engine import Store
from store.parcels import find_parcel
from store.schema import alerts
from store.statement import statement
from tests.doors import Doors, make_house, on_the_street, open_doors
from tests.test_pages_states import NOW, start
from tests.test_tracker_ledger import NOW as FRIDAY
from tests.test_tracker_ledger import answer as told
from tests.test_tracker_ledger import ledger, register, take, visit
from tracker.freshness import watch
from tracker.lifecycle import Purpose, Status
from tracker.outages import away, back
from tracker.polling import next_poll, stale_at

ALERTS = statement(select(alerts.c.key, alerts.c.cleared_us).order_by(alerts.c.id))
HOUR = timedelta(hours=1)


async def open_keys(store: Store, now: Any) -> list[str]:
    await alert_desk.sweep(store, now)
    rows = await store.read(lambda tx: tx.all(ALERTS))
    return [row["key"] for row in rows if row["cleared_us"] is None and row["key"].endswith("/stale")]


@pytest.mark.parametrize(
    ("status", "hours"), [(Status.OUT_FOR_DELIVERY, 3), (Status.IN_TRANSIT, 9), (Status.LABEL_CREATED, 25)]
)
def test_what_is_promised_depends_on_what_the_parcel_is_doing(status: Status, hours: int) -> None:
    """Two turns and an hour after its carrier was heard; the closer to the door, the sooner it is old."""
    at = stale_at(status, Purpose.ORDER, registered=NOW, moved=NOW, heard=NOW)
    assert at == NOW + hours * HOUR


def test_unused_return_labels_and_ended_parcels_are_promised_nothing() -> None:
    """They cost almost nothing and alert nobody."""
    assert stale_at(Status.LABEL_CREATED, Purpose.RETURN, registered=NOW, moved=None, heard=NOW) is None
    later = NOW + timedelta(days=3)
    assert stale_at(Status.DELIVERED, Purpose.ORDER, registered=NOW, moved=NOW, heard=later) is None


def test_a_shops_own_figures_change_when_it_is_asked_and_what_is_promised() -> None:
    """`[polling] minutes` of the terms beats the house's own figure."""
    known = {"registered": NOW, "moved": NOW, "minutes": {"in_transit": 30}}
    assert next_poll(Status.IN_TRANSIT, Purpose.ORDER, now=NOW, **known) == NOW + 0.5 * HOUR  # type: ignore[arg-type]
    assert stale_at(Status.IN_TRANSIT, Purpose.ORDER, heard=NOW, **known) == NOW + 2 * HOUR  # type: ignore[arg-type]


async def test_every_answer_says_how_fresh_it_is(sqlite_store: Store) -> None:
    """Parcel, list, order and follow page: asked when, next when, and stale once nobody asked for too long."""
    async with on_the_street(NOW) as (town, carriers):
        async with open_doors(make_house(sqlite_store, carriers, NOW)) as doors:
            await doors.put_order("B-1")
            number = town.create("ups", "delivered_first_time", starts_at=start(3, 5)).number
            await doors.ship("B-1", number)
            for said in await answers(doors, number):
                assert said["stale"] is False and said["checked_at"] and said["next_check_at"], said
        async with open_doors(make_house(sqlite_store, carriers, NOW + timedelta(days=2))) as doors:
            for said in await answers(doors, number):
                assert said["stale"] is True, said
            async with doors.client.get("/metrics", headers=doors.auth) as response:
                assert 'homeward_parcels_stale{carrier="ups"} 1.0' in await response.text()


async def answers(doors: Doors, number: str) -> list[Any]:
    """The same parcel as each call tells it."""
    body = {"order_number": "B-1", "email": "canary@example.com"}
    return [
        (await doors.call("GET", f"/v1/parcels/ups/{number}"))[1],
        (await doors.call("GET", "/v1/parcels"))[1]["parcels"][0],
        (await doors.call("GET", "/v1/orders/boutique-eu/B-1"))[1]["parcels"][0],
        (await doors.call("POST", "/v1/follow/order", json=body))[1],
    ]


async def test_stale_tracking_is_one_alert_for_a_carrier_that_clears_itself(store: Store) -> None:
    """Two old parcels are one alert; nothing new while it stands; a push that makes both fresh clears it."""
    await register(store)
    await register(store, "1Z5338FF0107231060")
    book = ledger(store)
    for number in ("1Z5338FF0107231059", "1Z5338FF0107231060"):
        await take(book, told(visit(5), number=number), FRIDAY)
    assert await open_keys(store, FRIDAY) == []
    later = FRIDAY + timedelta(days=2)
    await watch(store, ["ups", "usps"], later)
    await watch(store, ["ups", "usps"], later)
    assert await open_keys(store, later) == ["carrier:ups/stale"]
    for number in ("1Z5338FF0107231059", "1Z5338FF0107231060"):
        await take(book, told(visit(5), visit(8), number=number), later)
    await watch(store, ["ups", "usps"], later)
    assert await open_keys(store, later) == []


async def test_an_outage_stays_one_alert(store: Store) -> None:
    """While the carrier is away, and while it is caught up with, nobody hears that its parcels are old."""
    await register(store)
    await take(ledger(store), told(visit(5)), FRIDAY)
    later = FRIDAY + timedelta(days=2)
    await store.write(lambda tx: away(tx, "ups", FRIDAY, "down"))
    await watch(store, ["ups"], later)
    assert await open_keys(store, later) == []
    await store.write(lambda tx: back(tx, "ups", later))
    await watch(store, ["ups"], later + HOUR)
    assert await open_keys(store, later) == []
    await watch(store, ["ups"], later + 4 * HOUR)
    assert await open_keys(store, later) == ["carrier:ups/stale"]


async def test_a_parcel_is_stale_from_what_is_stored(store: Store) -> None:
    """The instant lies beside the conclusion, so that an answer costs no second reading."""
    await register(store)
    await take(ledger(store), told(visit(5)), FRIDAY)
    row = await store.read(lambda tx: find_parcel(tx, "ups", "1Z5338FF0107231059"))
    assert row is not None and row["stale_us"] > row["created_us"]
