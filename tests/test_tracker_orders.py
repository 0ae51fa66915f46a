"""Orders and "it shipped": said once, whoever calls how often, on both databases."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from carriers.contract import Address
from merchants.terms import shipped
from store.engine import open_store
from store.outbox import said_about
from store.parcels import find_parcel, register_parcel
from store.sealing import Sealer
from tracker.lifecycle import Leg, Status
from tracker.orders import (
    Declined,
    Item,
    ItemCount,
    Order,
    OrderState,
    email_proof,
    order_view,
    postcode_proof,
    put_order,
    ship,
)

KEY = b"k" * 32
SEALER = Sealer(KEY)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOME = Address("Ada Bianchi", ("Keizersgracht 1",), "Amsterdam", "1015 CJ", "NL", email="Ada.Bianchi@example.com")
ORDER = Order(
    "boutique-eu",
    "EU-1001",
    NOW,
    HOME,
    "Ada.Bianchi@example.com",
    "EUR",
    (Item("DRESS-M", 2, Decimal("120.00"), "dresses"), Item("SCARF", 1, Decimal("40.00"), "accessories")),
    promise=(date(2026, 3, 4), date(2026, 3, 6)),
)
FIRST = {"merchant": "boutique-eu", "number": "EU-1001", "carrier": "ups", "tracking_number": "1Z5338FF0107231059"}
SECOND = FIRST | {"tracking_number": "1Z999AA10123456784"}


async def put(store, order=ORDER):
    return await put_order(store, SEALER, shipped(), order, NOW)


async def shipping(store, **call):
    return await ship(store, SEALER, shipped(), now=NOW, **call)


async def said(store, order_id=1):
    return [(row["type"], row["name"]) for row in await store.read(lambda tx: said_about(tx, f"order:{order_id}"))]


async def test_an_order_is_kept_without_personal_data_in_the_clear(store):
    """Name, street, e-mail and postcode of an order are nowhere in its row but sealed; the proofs still match."""
    answer = await put(store)
    assert answer.created and answer.view["state"] == "being_prepared"

    async def row(tx):
        from store.orders import find_order

        return dict(await find_order(tx, "boutique-eu", "EU-1001"))

    found = await store.read(row)
    clear = json.dumps({k: v for k, v in found.items() if k != "sealed"}) + json.dumps(answer.view)
    for secret in ("Ada", "Keizersgracht", "example.com", "1015", "Amsterdam"):
        assert secret not in clear
        assert secret.encode() not in found["sealed"]
    assert found["proof_email"] == email_proof(SEALER, " ada.bianchi@EXAMPLE.com ")
    assert found["proof_postcode"] == postcode_proof(SEALER, "1015cj")
    assert postcode_proof(SEALER, "07094-1234") == postcode_proof(SEALER, "07094")


async def test_putting_an_order_again_changes_it(store):
    """The same PUT twice is one order; a later state and a new address replace the old ones."""
    await put(store)
    again = await put(store, replace(ORDER, state=OrderState.HELD_FOR_SHIPPING_PAYMENT))
    assert not again.created
    assert again.view["state"] == "held_for_shipping_payment"


async def test_the_first_parcel_says_order_shipped_and_a_further_one_parcel_shipped(store):
    """Two parcels of one order: order.shipped once with the first, parcel.shipped with the second."""
    await put(store)
    first = await shipping(store, **FIRST, items=(ItemCount("DRESS-M", 2),))
    assert first.created and first.view["state"] == "partly_shipped"
    second = await shipping(store, **SECOND)
    assert second.view["state"] == "shipped"
    assert [p["items"] for p in second.view["parcels"]] == [
        [{"sku": "DRESS-M", "quantity": 2}],
        [{"sku": "SCARF", "quantity": 1}],
    ]
    assert await said(store) == [
        ("order.shipped", "shipped"),
        ("parcel.shipped", "parcel/ups/1Z999AA10123456784"),
    ]


async def test_the_same_call_again_changes_nothing_and_answers_the_same(store):
    """A retried call is a no-op with the same view."""
    await put(store)
    one = await shipping(store, **FIRST)
    two = await shipping(store, **FIRST)
    assert (two.view, two.created) == (one.view, False)
    assert await said(store) == [("order.shipped", "shipped")]


@pytest.mark.parametrize("callers", [2, 12])
async def test_callers_at_once_say_shipped_once(store, callers):
    """However many callers at the same instant, one order.shipped and one parcel."""
    await put(store)
    answers = await asyncio.gather(*(shipping(store, **FIRST) for _ in range(callers)))
    assert sum(answer.created for answer in answers) == 1
    assert await said(store) == [("order.shipped", "shipped")]


async def test_two_parcels_at_once_say_shipped_once(store):
    """Two different parcels of one order at the same instant: one order.shipped, one parcel.shipped."""
    await put(store)
    await asyncio.gather(
        shipping(store, **FIRST, items=(ItemCount("SCARF", 1),)),
        shipping(store, **SECOND, items=(ItemCount("DRESS-M", 1),)),
    )
    assert sorted(type for type, _ in await said(store)) == ["order.shipped", "parcel.shipped"]


async def test_two_orders_race_for_one_number(store):
    """One tracking number belongs to one order, also when two ask for it at the same instant."""
    await put(store)
    await put(store, replace(ORDER, number="EU-1002"))
    both = await asyncio.gather(
        shipping(store, **FIRST), shipping(store, **FIRST | {"number": "EU-1002"}), return_exceptions=True
    )
    refused = [found for found in both if isinstance(found, Declined)]
    assert [found.code for found in refused] == ["tracking_number_taken"]
    assert len(await said(store, 1)) + len(await said(store, 2)) == 1


async def test_a_number_of_another_shop_or_purpose_is_taken(store):
    """A number registered for another merchant or a return cannot be an order's parcel; nothing is kept of the call."""
    await put(store)

    async def other(tx):
        common = {"carrier": "ups", "number": FIRST["tracking_number"], "shipment": "{}", "now_us": 0}
        await register_parcel(tx, merchant="boutique-eu", purpose="return", **common)

    await store.write(other)
    with pytest.raises(Declined) as caught:
        await shipping(store, **FIRST)
    assert (caught.value.code, caught.value.pointer) == ("tracking_number_taken", "/tracking_number")
    view = await store.read(lambda tx: order_view(tx, "boutique-eu", "EU-1001"))
    assert view["state"] == "being_prepared" and await said(store) == []


@pytest.mark.parametrize(
    ("items", "code", "pointer"),
    [
        ((ItemCount("HAT", 1),), "item_not_in_order", "/items/0/sku"),
        ((ItemCount("SCARF", 1), ItemCount("DRESS-M", 3)), "quantity_wrong", "/items/1/quantity"),
        ((ItemCount("SCARF", 0),), "quantity_wrong", "/items/0/quantity"),
    ],
)
async def test_items_must_be_of_the_order(sqlite_store, items, code, pointer):
    """A parcel carries what the order holds and has not shipped."""
    await put(sqlite_store)
    with pytest.raises(Declined) as caught:
        await shipping(sqlite_store, **FIRST, items=items)
    assert (caught.value.code, caught.value.pointer) == (code, pointer)


async def test_what_may_not_ship(sqlite_store):
    """Policy 15: unpaid shipping holds the order; unknown, cancelled and wholly shipped orders do not ship either."""
    store = sqlite_store
    codes = []
    for order, call in (
        (None, FIRST),
        (replace(ORDER, state=OrderState.HELD_FOR_SHIPPING_PAYMENT), FIRST),
        (replace(ORDER, state=OrderState.CANCELLED), FIRST),
    ):
        if order:
            await put(store, order)
        with pytest.raises(Declined) as caught:
            await shipping(store, **call)
        codes.append(caught.value.code)
    await put(store)
    await shipping(store, **FIRST)
    with pytest.raises(Declined) as caught:
        await shipping(store, **SECOND)
    assert [*codes, caught.value.code] == [
        "order_not_found",
        "order_held",
        "order_cancelled",
        "nothing_left_to_ship",
    ]


async def test_an_order_service_that_is_behind_does_not_undo_the_shipping(sqlite_store):
    """A late PUT that still says being_prepared keeps the order shipped; cancelling it then is refused."""
    await put(sqlite_store)
    await shipping(sqlite_store, **FIRST)
    assert (await put(sqlite_store)).view["state"] == "shipped"
    for change, code in (
        ({"state": OrderState.CANCELLED}, "order_already_shipped"),
        ({"items": ORDER.items[:1]}, "item_already_shipped"),
    ):
        with pytest.raises(Declined) as caught:
            await put(sqlite_store, replace(ORDER, **change))
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"merchant": "nobody"}, "merchant_unknown"),
        ({"items": ()}, "order_empty"),
        ({"items": ORDER.items[:1] * 2}, "item_twice"),
        ({"items": (replace(ORDER.items[0], quantity=0),)}, "quantity_wrong"),
        ({"promise": (date(2026, 3, 9), date(2026, 3, 6))}, "promise_wrong"),
    ],
)
async def test_an_order_that_makes_no_sense_is_declined(sqlite_store, change, code):
    """What cannot be an order is declined with a code, and not kept."""
    with pytest.raises(Declined) as caught:
        await put(sqlite_store, replace(ORDER, **change))
    assert caught.value.code == code


async def test_delivered_and_returned_follow_the_parcels(sqlite_store):
    """All parcels delivered: delivered. All home again: returned, never delivered."""
    from store.parcels import save_conclusions

    await put(sqlite_store)
    await shipping(sqlite_store, **FIRST)

    async def move(tx, leg):
        row = await find_parcel(tx, "ups", FIRST["tracking_number"])
        found = {"of": row["id"], "to_leg": leg, "to_status": Status.DELIVERED}
        none = dict.fromkeys(("to_moved", "to_ended", "to_review", "to_next_poll", "to_stale"))
        await save_conclusions(tx, [found | none], ["{}"])

    for leg, state in ((Leg.OUT, "delivered"), (Leg.BACK, "returned")):
        await sqlite_store.write(lambda tx, leg=leg: move(tx, leg))
        view = await sqlite_store.read(lambda tx: order_view(tx, "boutique-eu", "EU-1001"))
        assert view["state"] == state


CALLER = """
import asyncio, sys
sys.path.insert(0, {root!r})
from tests.test_tracker_orders import FIRST, put, shipping
from store.engine import open_store

async def main():
    store = await open_store(sys.argv[1])
    await put(store)
    print("ready", flush=True)
    while True:
        await shipping(store, **FIRST)

asyncio.run(main())
"""


def caller(url: str) -> "subprocess.Popen[str]":
    """A process that registers the order and its parcel again and again until it is killed."""
    root = str(Path(__file__).parent.parent)
    code = CALLER.format(root=root)
    return subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True)


async def test_killed_callers_leave_exactly_one(sqlite_url):
    """kill -9 around the first call, several times over: one order.shipped is left."""
    for pause in (0.0, 0.002, 0.01):
        process = caller(sqlite_url)
        try:
            assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
            await asyncio.sleep(pause)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
    store = await open_store(sqlite_url)
    await shipping(store, **FIRST)
    assert await said(store) == [("order.shipped", "shipped")]
    await store.close()


@pytest.mark.postgres
async def test_processes_at_once_on_postgresql_leave_exactly_one(postgres_url):
    """Three processes hammer the same call, and are killed: one order.shipped, one parcel."""
    processes = [caller(postgres_url) for _ in range(3)]
    try:
        for process in processes:
            assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        await asyncio.sleep(0.3)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
    store = await open_store(postgres_url)
    await shipping(store, **FIRST)
    assert await said(store) == [("order.shipped", "shipped")]
    await store.close()
