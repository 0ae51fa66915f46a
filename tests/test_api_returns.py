"""Returns through the real doors: the label is bought at the street's UPS once, whatever is retried."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from store.engine import Store
from store.idempotency import purge
from street.faults import Fault
from street.town import Town
from tests.doors import CANARIES, MONDAY, Doors, make_house, on_the_street, open_doors

FRIDAY = MONDAY + timedelta(days=11)
ASKED: dict[str, Any] = {
    "merchant": "boutique-eu",
    "orders": [{"order_number": "B-1001", "items": [{"sku": "COAT-42", "quantity": 1, "reason": "size"}]}],
}


@pytest.fixture
async def street() -> AsyncIterator[tuple[Town, dict[str, Any]]]:
    async with on_the_street(FRIDAY) as opened:
        yield opened


@pytest.fixture
async def doors(sqlite_store: Store, street: tuple[Town, dict[str, Any]]) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store, street[1], FRIDAY)) as doors:
        await doors.put_order()
        await doors.ship("B-1001", street[0].create("ups", "delivered_first_time", starts_at=MONDAY).number)
        yield doors


def labels_sold(town: Town) -> int:
    return sum(parcel.is_return for parcel in town.parcels.values())


async def test_a_return_gets_its_label_and_keeps_it(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """201 with the label; its bytes are a PDF, always the same; nothing about the person is in the answer."""
    status, made, headers = await doors.call("POST", "/v1/returns", json=ASKED)
    assert (status, made["state"], made["label"]["state"]) == (201, "label_ready", "live")
    assert headers["Location"] == f"/v1/returns/{made['return_number']}"
    assert made["clocks"] and all(clock["ends"] and clock["because"] for clock in made["clocks"])
    assert not [canary for canary in CANARIES if canary in str(made)]
    status, shown, _ = await doors.call("GET", headers["Location"])
    assert (status, shown) == (200, made)
    status, label, told = await doors.call("GET", f"{headers['Location']}/label?format=pdf")
    assert status == 200 and label.startswith(b"%PDF-")
    assert told["Content-Type"] == "application/pdf"
    assert told["Content-Disposition"] == f'attachment; filename="{made["return_number"]}.pdf"'
    assert (await doors.call("GET", f"{headers['Location']}/label"))[1] == label
    status, problem, _ = await doors.call("GET", f"{headers['Location']}/label?format=zpl")
    assert (status, problem["code"]) == (404, "label_unknown")
    assert labels_sold(street[0]) == 1


async def test_the_same_key_buys_one_label(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """A retry gets the stored answer; another body under the key is refused; one label is sold."""
    key = {"Idempotency-Key": "form-77"}
    first = await doors.call("POST", "/v1/returns", json=ASKED, headers=key)
    again = await doors.call("POST", "/v1/returns", json=ASKED, headers=key)
    assert (first[0], again[0], again[1]) == (201, 201, first[1])
    other = ASKED | {"courier": "own"}
    status, problem, _ = await doors.call("POST", "/v1/returns", json=other, headers=key)
    assert (status, problem["code"]) == (422, "idempotency_key_reused")
    assert labels_sold(street[0]) == 1


async def test_a_crash_between_buying_and_answering_buys_no_second_label(
    doors: Doors, street: tuple[Town, dict[str, Any]]
) -> None:
    """The answer was never stored; the same key is still the same return, with the same label."""
    key = {"Idempotency-Key": "form-77"}
    _, made, _ = await doors.call("POST", "/v1/returns", json=ASKED, headers=key)
    await doors.house.store.write(lambda tx: purge(tx, datetime(2100, 1, 1, tzinfo=UTC)))
    status, again, headers = await doors.call("POST", "/v1/returns", json=ASKED, headers=key)
    assert (status, again["return_number"]) == (201, made["return_number"])
    assert "Idempotent-Replayed" not in headers and labels_sold(street[0]) == 1


async def test_an_unknown_purchase_is_a_202(doors: Doors, street: tuple[Town, dict[str, Any]]) -> None:
    """The carrier charged and broke: nobody may say bought or not, and nobody buys another one."""
    street[0].faults.add(Fault("ups", "ship", "charged_then_500"))
    status, made, _ = await doors.call("POST", "/v1/returns", json=ASKED)
    assert (status, made["state"], made["label"]) == (202, "label_pending", None)
    status, problem, _ = await doors.call("GET", f"/v1/returns/{made['return_number']}/label")
    assert (status, problem["code"]) == (404, "label_unknown")
    assert labels_sold(street[0]) == 1


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"merchant": "nobody"}, "merchant_unknown", None),
        ({"orders": [ASKED["orders"][0] | {"order_number": "B-404"}]}, "order_not_found", "/orders/0/order_number"),
        (
            {"orders": [{"order_number": "B-1001", "items": [{"sku": "HAT", "reason": "size"}]}]},
            "item_not_in_order",
            "/orders/0/items/0/sku",
        ),
        ({"orders": []}, "invalid_body", "/orders"),
        (
            {"orders": [{"order_number": "B-1001", "items": [{"sku": "COAT-42", "reason": "ugly"}]}]},
            "invalid_body",
            "/orders/0/items/0/reason",
        ),
    ],
)
async def test_a_return_that_cannot_be_is_a_422_that_points(
    doors: Doors, change: dict[str, Any], code: str, pointer: str | None
) -> None:
    status, problem, _ = await doors.call("POST", "/v1/returns", json=ASKED | change)
    assert (status, problem["code"], problem.get("pointer")) == (422, code, pointer)


async def test_a_refusal_names_the_term(doors: Doors) -> None:
    """From another country than it was bought in: 422 with the shop's term."""
    address = {"name": "A", "lines": ["B 1"], "city": "Paris", "postal_code": "75001", "country": "FR"}
    status, problem, _ = await doors.call("POST", "/v1/returns", json=ASKED | {"from_address": address})
    assert (status, problem["code"], problem["term"]) == (422, "other_country", "returns.from_country")


async def test_a_return_is_given_up(doors: Doors) -> None:
    """Nothing is said, and twice is once; an unknown return is a 404."""
    _, made, _ = await doors.call("POST", "/v1/returns", json=ASKED)
    for _ in range(2):
        status, told, _ = await doors.call("POST", f"/v1/returns/{made['return_number']}/cancel")
        assert (status, told["state"]) == (200, "cancelled")
    status, problem, _ = await doors.call("POST", "/v1/returns/RNOTTHERE/cancel")
    assert (status, problem["code"]) == (404, "return_not_found")
