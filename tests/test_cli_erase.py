"""`homeward erase`: no byte of a person is left in the database file, its log or its free pages."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from cli.erasing import erase_call
from store.engine import Store, open_store
from store.schema import orders, payloads
from store.statement import statement
from tests.doors import CANARIES, MONDAY, Doors, make_house, on_the_street, open_doors
from tests.test_pages_states import NOW, start

_SEALED = statement(select(orders.c.sealed))
_PAYLOAD = statement(select(payloads.c.body).limit(1))


def bytes_of(folder: Path) -> bytes:
    """Everything that lies on the disk for this database."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("homeward.db*")) if path.suffix != ".lock")


def parts(store: Store) -> Any:
    return SimpleNamespace(store=store)


async def a_life(doors: Doors, town: Any) -> tuple[str, str]:
    """An order that was delivered and is coming back; its return's number and its parcel's."""
    await doors.put_order("B-1")
    number = town.create("ups", "delivered_first_time", starts_at=start(3, 2)).number
    await doors.ship("B-1", number)
    items = [{"sku": "COAT-42", "reason": "size"}]
    asked = {"merchant": "boutique-eu", "orders": [{"order_number": "B-1", "items": items}]}
    status, made, _ = await doors.call("POST", "/v1/returns", json=asked)
    assert status == 201, made
    return made["return_number"], number


async def test_nothing_of_a_person_is_left_on_the_disk(sqlite_url: str) -> None:
    """Sealed fields, request bytes, papers and raw payloads are gone from file and log; the facts still answer."""
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    store = await open_store(sqlite_url)
    try:
        async with on_the_street(NOW) as (town, carriers), open_doors(make_house(store, carriers, NOW)) as doors:
            return_number, number = await a_life(doors, town)
            await doors.call("POST", "/v1/links", json={"merchant": "boutique-eu", "order_number": "B-1"})
            kept = await store.read(lambda tx: tx.all(_SEALED))
            sealed = [bytes(row["sealed"])[8:40] for row in kept]
            payload = await store.read(lambda tx: tx.one(_PAYLOAD))
            assert payload is not None
            marks = [*sealed, bytes(payload["body"])[:60]]
            disk = bytes_of(folder)
            assert marks and all(mark in disk for mark in marks)  # they lie there before
            told = await erase_call(parts(store), {"do": "erase.order", "number": "B-1", "merchant": ""})
            assert told["orders"] == told["returns"] == 1 and told["payloads"] >= 1 and told["papers"] >= 1, told
            disk = bytes_of(folder)
            assert not [mark for mark in marks if mark in disk]
            assert not [canary for canary in CANARIES if canary.encode() in disk]
            status, order, _ = await doors.call("GET", "/v1/orders/boutique-eu/B-1")
            assert status == 200 and order["parcels"][0]["number"] == number
            assert (await doors.call("GET", f"/v1/returns/{return_number}/label"))[0] == 404
            body = {"order_number": "B-1", "email": "canary@example.com"}
            assert (await doors.call("POST", "/v1/follow/order", json=body))[0] == 404
            assert (await doors.call("POST", "/v1/follow/order", json={"order_number": "B-1"}))[0] == 200
    finally:
        await store.close()


async def test_what_cannot_be_erased_is_said(sqlite_store: Store) -> None:
    """No such number, a number that two shops use: an error that says what to do; nothing is touched."""
    async with open_doors(make_house(sqlite_store, now=MONDAY)) as doors:
        await doors.put_order("B-1")
        told = await erase_call(parts(sqlite_store), {"do": "erase.order", "number": "B-404", "merchant": ""})
        assert told == {"error": "no order B-404"}
        told = await erase_call(parts(sqlite_store), {"do": "erase.return", "number": "R404", "merchant": ""})
        assert told == {"error": "no return R404"}
        told = await erase_call(parts(sqlite_store), {"do": "erase.order", "number": "B-1", "merchant": "other"})
        assert "error" in told
