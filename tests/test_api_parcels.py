"""Orders ship and parcels are read back: through the real doors, the real UPS client and the simulated street."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.cursors import cursor_at
from api.parcels import ParcelOut
from store.engine import Store
from store.outbox import said_about
from street.faults import Fault
from street.town import Town
from tests.doors import CANARIES, MONDAY, PUSH_SECRET, Doors, make_house, on_the_street, open_doors

FRIDAY = MONDAY + timedelta(days=11)


@pytest.fixture
async def street() -> AsyncIterator[tuple[Town, dict[str, Any]]]:
    async with on_the_street(FRIDAY) as opened:
        yield opened


@pytest.fixture
async def doors(sqlite_store: Store, street: tuple[Town, dict[str, Any]]) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store, street[1], FRIDAY)) as doors:
        yield doors


async def test_an_order_is_registered_and_updated(doors: Doors) -> None:
    """201 when it is new, 200 when it is not; nothing about a person is ever shown again."""
    await doors.put_order()
    status, order, _ = await doors.call("GET", "/v1/orders/boutique-eu/B-1001")
    assert status == 200
    assert (order["state"], order["country"], order["promise"]) == (
        "being_prepared",
        "NL",
        ["2026-03-04", "2026-03-06"],
    )
    assert order["items"][1]["price"] == "45.50"
    assert not [canary for canary in CANARIES if canary in str(order)]
    changed = await doors.put_order(state="held_for_shipping_payment")
    assert (changed["state"], changed["version"]) == ("held_for_shipping_payment", order["version"] + 1)
    status, problem, _ = await doors.call(
        "POST",
        "/v1/orders/boutique-eu/B-1001/parcels",
        json={"carrier": "ups", "tracking_number": "1Z5338FF0107231059"},
    )
    assert (status, problem["code"]) == (409, "order_held")


async def test_order_shipped_is_said_once_whoever_repeats_it(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """The same parcel again, with or without a key, changes nothing; a further one is parcel.shipped."""
    await doors.put_order()
    first = street[0].create("ups", "delivered_first_time").number
    second = street[0].create("ups", "delivered_first_time").number
    path = "/v1/orders/boutique-eu/B-1001/parcels"
    body = {"carrier": "ups", "tracking_number": first, "items": [{"sku": "COAT-42", "quantity": 1}]}
    for expected, headers in ((201, {"Idempotency-Key": "k1"}), (201, {"Idempotency-Key": "k1"}), (200, {})):
        status, order, _ = await doors.call("POST", path, json=body, headers=headers)
        assert (status, order["state"]) == (expected, "partly_shipped")
    status, order, _ = await doors.call("POST", path, json={"carrier": "ups", "tracking_number": second})
    assert (status, order["state"]) == (201, "shipped")
    assert [parcel["items"] for parcel in order["parcels"]] == [
        [{"sku": "COAT-42", "quantity": 1}],
        [{"sku": "SCARF", "quantity": 2}],
    ]
    said = await doors.house.store.read(lambda tx: said_about(tx, "order:1"))
    assert [row["type"] for row in said] == ["order.shipped", "parcel.shipped"]


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"carrier": "dhl", "tracking_number": "1Z5338FF0107231059"}, 422, "carrier_unknown", "/carrier"),
        ({"carrier": "ups", "tracking_number": "hello"}, 422, "number_impossible", "/tracking_number"),
        (
            {"carrier": "ups", "tracking_number": "1Z5338FF0107231059", "items": [{"sku": "HAT", "quantity": 1}]},
            422,
            "item_not_in_order",
            "/items/0/sku",
        ),
        (
            {"carrier": "ups", "tracking_number": "1Z5338FF0107231059", "items": [{"sku": "SCARF", "quantity": 3}]},
            422,
            "quantity_wrong",
            "/items/0/quantity",
        ),
    ],
)
async def test_a_parcel_that_cannot_be_is_refused(
    doors: Doors, body: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    await doors.put_order()
    found, problem, _ = await doors.call("POST", "/v1/orders/boutique-eu/B-1001/parcels", json=body)
    assert (found, problem["code"], problem["pointer"]) == (status, code, pointer)


async def test_the_whole_truth_about_a_parcel(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """Three failed attempts and home: the attempt ledger, the case, every event with its evidence, and why."""
    await doors.put_order()
    number = street[0].create("ups", "three_attempts_home", starts_at=MONDAY).number
    parcel = await doors.ship("B-1001", number)
    counted = [row for row in parcel["attempts"]["ledger"] if row["counted"]]
    assert [row["ordinal"] for row in counted] == [1, 2, 3]
    assert parcel["attempts"]["count"] == parcel["attempts"]["max"] == 3
    assert parcel["leg"] == "back" and parcel["return_to_warehouse"]["reason"] == "failed_delivery_attempts"
    events = {event["id"] for event in parcel["events"]}
    assert all(set(row["evidence"]) <= events for row in counted)
    assert parcel["because"] and parcel["order_numbers"] == ["B-1001"] and parcel["as_of"] is None
    status, again, _ = await doors.call("GET", f"/v1/parcels/ups/{number}")
    assert status == 200 and again == parcel
    status, order, _ = await doors.call("GET", "/v1/orders/boutique-eu/B-1001")
    assert order["parcels"][0]["attempts"]["count"] == 3


@pytest.mark.parametrize("journey", ["three_attempts_home", "delivered_first_time", "label_never_used"])
async def test_an_answer_is_what_its_model_says(
    journey: str, doors: Doors, street: tuple[Town, dict[str, Any]]
) -> None:
    """It is put together without making a `ParcelOut`; made from it, that one has every field and no other value."""
    await doors.put_order()
    number = street[0].create("ups", journey, starts_at=MONDAY).number
    parcel = await doors.ship("B-1001", number)
    assert json.loads(ParcelOut.model_validate(parcel, strict=False).model_dump_json()) == parcel


async def test_as_of_tells_what_was_known_then(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """Before the first answer was received nothing was known, whatever had happened by then."""
    await doors.put_order()
    number = street[0].create("ups", "delivered_first_time", starts_at=MONDAY).number
    parcel = await doors.ship("B-1001", number)
    assert parcel["status"] == "delivered"
    before = (FRIDAY - timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    _, then, _ = await doors.call("GET", f"/v1/parcels/ups/{number}", params={"as_of": before})
    assert (then["status"], then["events"], then["as_of"]) == ("unknown", [], before)
    later = (FRIDAY + timedelta(hours=1)).isoformat()
    _, now, _ = await doors.call("GET", f"/v1/parcels/ups/{number}", params={"as_of": later})
    assert (now["status"], now["events"]) == ("delivered", parcel["events"])


async def test_parcels_are_listed_in_pages(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """Following the cursor gives every parcel once; filters narrow it; a foreign cursor is refused."""
    numbers = []
    for index in range(5):
        await doors.put_order(f"B-{index}")
        numbers.append(street[0].create("ups", "delivered_first_time", starts_at=MONDAY).number)
        await doors.ship(f"B-{index}", numbers[-1])
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        _, page, _ = await doors.call("GET", "/v1/parcels", params={"limit": "2", "cursor": cursor})
        seen += [parcel["number"] for parcel in page["parcels"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert (seen, pages) == (numbers, 3)
    for query, count in (
        ({"status": "delivered"}, 5),
        ({"status": "lost"}, 0),
        ({"leg": "back"}, 0),
        ({"merchant": "boutique-eu"}, 5),
        ({"merchant": "boutique-us"}, 0),
    ):
        _, page, _ = await doors.call("GET", "/v1/parcels", params=query)
        assert len(page["parcels"]) == count, query
    for bad in ("row:1", cursor_at(1) + "x", cursor_at(1)[:-2]):
        assert (await doors.call("GET", "/v1/parcels", params={"cursor": bad}))[1]["code"] == "invalid_cursor"


async def test_a_number_is_read_as_its_carrier_writes_it(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """Spaces and lower case are how people write a number."""
    await doors.put_order()
    number = street[0].create("ups", "delivered_first_time", starts_at=MONDAY).number
    await doors.ship("B-1001", number)
    written = f"{number[:2]} {number[2:].lower()}"
    status, parcel, _ = await doors.call("GET", f"/v1/parcels/ups/{written}")
    assert (status, parcel["number"]) == (200, number)


async def test_what_stands_between_us_and_a_carrier_is_told(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """Down is a 503, a quota a 429, both with Retry-After; what is known stays readable, what is unknown is a 404."""
    await doors.put_order()
    number = street[0].create("ups", "delivered_first_time", starts_at=MONDAY).number
    await doors.ship("B-1001", number)
    path = f"/v1/parcels/ups/{number}"
    street[0].faults.add(Fault("ups", "*", "500", times=9))
    status, problem, headers = await doors.call("POST", f"{path}/refresh")
    assert (status, problem["code"], headers["Retry-After"]) == (503, "carrier_away", "60")
    street[0].faults.waiting.clear()
    street[0].faults.add(Fault("ups", "*", "429", retry_after="7"))
    status, problem, headers = await doors.call("POST", f"{path}/refresh")
    assert (status, problem["code"], headers["Retry-After"]) == (429, "carrier_busy", "7")
    assert (await doors.call("GET", path))[0] == 200
    status, problem, _ = await doors.call("POST", "/v1/parcels/ups/1Z5338FF0107231059/refresh")
    assert (status, problem["code"]) == (404, "parcel_unknown")


async def test_a_push_is_kept_and_a_forged_one_refused(doors: Doors) -> None:
    """200 once the bytes are kept; 401 without the proof; 404 for a carrier not connected; only JSON is taken."""
    body = b'{"trackingNumber": "1Z5338FF0107231059"}'
    json = {"Content-Type": "application/json"}
    path = "/webhooks/ups"
    status, told, _ = await doors.call("POST", path, data=body, headers=json | {"credential": PUSH_SECRET})
    assert (status, told) == (200, {"kept": True})
    status, problem, _ = await doors.call("POST", path, data=body, headers=json | {"credential": "wrong"})
    assert (status, problem["code"]) == (401, "push_refused")
    status, problem, _ = await doors.call("POST", "/webhooks/dhl", data=body, headers=json)
    assert (status, problem["code"]) == (404, "carrier_unknown")
    status, problem, _ = await doors.call("POST", path, data=b"x" * 300_000, headers=json | {"credential": PUSH_SECRET})
    assert (status, problem["code"]) == (413, "body_too_large")
    status, problem, _ = await doors.call("POST", path, data=body, headers={"credential": PUSH_SECRET})
    assert (status, problem["code"]) == (415, "unsupported_media_type")
