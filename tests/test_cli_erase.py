"""`homeward erase`: no byte of a person is left, on both databases; and nothing is kept longer than it may be."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import bindparam, select, update

from carriers.contract import Payload, Source
from cli.erasing import erase_call
from cli.keeping import read_keep, tidy
from cli.settings import Misconfigured, read_settings
from fleet.clocks import to_us
from returns.forgetting import KEEP
from store.engine import Store, open_store
from store.mails import add_mail
from store.schema import mails, metadata, orders, payloads, returns
from store.statement import statement
from street.town import Town
from tests.doors import MONDAY, Doors, make_house, on_the_street, open_doors
from tests.test_pages_states import NOW, start

_SEALED = statement(select(orders.c.sealed))
_PAYLOAD = statement(select(payloads.c.body).limit(1))
_REFUSED = statement(update(mails).values(detail=bindparam("words")))
_SEALED_IN = {table.name: ("sealed",) for table in metadata.sorted_tables if "sealed" in table.c}
_TOUCH = statement(update(returns).values(updated_us=bindparam("at")))
_ALL = {table.name: statement(select(table)) for table in metadata.sorted_tables}

PERSON: dict[str, Any] = {
    "name": "Zebulon Quetzalcoatl",
    "lines": ["Kanarienvogelweg 4711"],
    "city": "Amsterdam",
    "postal_code": "1077 QZ",
    "country": "NL",
    "phone": "31209988776",
}
EMAIL = "zebulon.canary@example.com"
CANARIES = (
    "Zebulon",
    "ZEBULON",
    "Quetzalcoatl",
    "Kanarienvogel",
    "KANARIENVOGEL",
    "1077 QZ",
    "1077QZ",
    "31209988776",
    EMAIL,
)


def bytes_of(folder: Path) -> bytes:
    """Everything that lies on the disk for this database."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("homeward.db*")) if path.suffix != ".lock")


async def rows_of(store: Store) -> dict[str, bytes]:
    """Every row of every table, as bytes, by the table's name."""

    async def unit(tx: Any) -> dict[str, bytes]:
        return {
            name: b"\n".join(
                bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                for row in await tx.all(every)
                for value in dict(row).values()
            )
            for name, every in _ALL.items()
        }

    return await store.read(unit)


def found_in(rows: dict[str, bytes]) -> list[tuple[str, str]]:
    """Where a canary sings."""
    return [
        (table, canary)
        for table, content in rows.items()
        for canary in CANARIES
        if canary.encode() in content or canary.encode().hex().encode() in content
    ]


def parts(doors: Doors) -> Any:
    house = doors.house
    return SimpleNamespace(
        store=house.store, clock=house.clock, shelf=house.terms, sealer=house.sealer, till=house.till,
    )  # fmt: skip


async def a_life(doors: Doors, town: Town) -> tuple[str, str]:
    """An order that was delivered, told with all that a carrier knows of a person, and is coming back."""
    await doors.put_order("B-1", ship_to=PERSON, email=EMAIL)
    number = town.create("ups", "delivered_first_time", starts_at=start(3, 2)).number
    await doors.ship("B-1", number)
    await _talk(doors, number)
    items = [{"sku": "COAT-42", "reason": "size"}]
    asked = {
        "merchant": "boutique-eu",
        "orders": [{"order_number": "B-1", "items": items}],
        "from_address": PERSON | {"email": EMAIL},
    }
    headers = {"Idempotency-Key": "a-key-of-the-shop"}
    status, made, _ = await doors.call("POST", "/v1/returns", json=asked, headers=headers)
    assert status == 201, made
    returned = made["return_number"]
    await doors.call("POST", "/v1/links", json={"merchant": "boutique-eu", "order_number": "B-1"})
    await doors.call("POST", "/v1/links", json={"merchant": "boutique-eu", "return_number": returned})
    await doors.house.store.write(_mail)
    day = (NOW + timedelta(days=1)).date().isoformat()
    wanted = {"day": day, "ready": "09:00", "close": "17:00"}
    status, told, _ = await doors.call("POST", f"/v1/returns/{returned}/pickup", json=wanted)
    assert status in (200, 201, 202), told
    box = {"name": PERSON["name"], "order_number": "B-1", "note": f"of {EMAIL}"}
    status, told, _ = await doors.call("POST", "/v1/unidentified", json=box)
    assert status in (200, 201), told
    await _talk(doors, made["label"]["number"] if made.get("label") else number)
    return returned, number


async def _mail(tx: Any) -> None:
    """The label was mailed, and the mail server said to whom it could not be."""
    row = {"subject": "return:1", "name": "label", "state": "due", "message_id": "m", "to_mark": "mark", "number": "n"}
    await add_mail(tx, row | {"language": "en", "sealed": b"sealed", "next_us": 1, "created_us": 1})
    await tx.run(_REFUSED, words=f"550 no such user {EMAIL}")


async def _talk(doors: Doors, number: str) -> None:
    """A poll and a push that say everything a carrier may say of a person; both are read."""
    place = '{"address":{"city":"Amsterdam","countryCode":"NL","postalCode":"1077 QZ"}}'
    status = '{"type":"I","code":"OR","description":"Origin Scan","statusCode":"005"}'
    body = (
        f'{{"trackResponse":{{"shipment":[{{"inquiryNumber":"{number}","package":[{{"trackingNumber":"{number}",'
        '"packageAddress":[{"type":"DESTINATION","name":"ZEBULON QUETZALCOATL","attentionName":"Zebulon",'
        '"address":{"addressLine1":"KANARIENVOGELWEG 4711","city":"AMSTERDAM","postalCode":"1077 QZ",'
        '"countryCode":"NL"}}],'
        '"deliveryInformation":{"location":"Front Door","receivedBy":"ZEBULON","signature":{"image":"Kanarienvogel"}},'
        f'"activity":[{{"date":"20260302","time":"130000","gmtDate":"20260302","gmtTime":"12:00:00","gmtOffset":"+01:00",'
        f'"location":{place},"status":{status}}}]}}]}}]}}}}'
    )
    ledger, now = doors.house.ledger, doors.house.clock.now()
    await ledger.keep(Payload("ups", Source.POLL, body.encode(), (number,)), now)
    push = (
        f'{{"trackingNumber":"{number}","localActivityDate":"20260302","localActivityTime":"140000",'
        '"activityLocation":{"city":"Amsterdam","stateProvince":"","postalCode":"1077 QZ","country":"NL"},'
        '"activityStatus":{"type":"I","code":"DP","description":"Departed from Facility","descriptionCode":"005"},'
        '"gmtActivityDate":"20260302","gmtActivityTime":"130000","gmtOffset":"+01.00","receivedBy":"ZEBULON"}'
    )
    await ledger.keep(Payload("ups", Source.PUSH, push.encode()), now)
    await ledger.read_all(now)


async def sealed_in(store: Store) -> dict[str, int]:
    """How many sealed fields each table still holds: unreadable without the key, and yet a person's."""

    async def unit(tx: Any) -> dict[str, int]:
        counts = {}
        for name, columns in {"purchases": ("body",), "unidentified": ("note",), **_SEALED_IN}.items():
            rows = await tx.all(_ALL[name])
            counts[name] = sum(bool(row[column]) for row in rows for column in columns)
        return {name: count for name, count in counts.items() if count}

    return await store.read(unit)


async def test_nothing_of_a_person_is_left(store: Store, database_url: str) -> None:
    """Names, streets, phones, e-mails and postcodes, ours and the carriers': out of every table; facts still answer."""
    async with on_the_street(NOW) as (town, carriers), open_doors(make_house(store, carriers, NOW)) as doors:
        returned, number = await a_life(doors, town)
        before = {canary for _, canary in found_in(await rows_of(store))}
        assert before >= {"ZEBULON", "KANARIENVOGEL", "1077 QZ"}, "the carriers' words are kept before"
        assert set(await sealed_in(store)) >= {"orders", "returns", "purchases", "documents", "pickups", "mails"}
        told = await erase_call(parts(doors), {"do": "erase.order", "number": "B-1", "merchant": ""})
        assert told["orders"] == told["returns"] == 1 and told["payloads"] >= 4 and told["papers"] >= 1, told
        assert found_in(await rows_of(store)) == [] and await sealed_in(store) == {}
        status, order, _ = await doors.call("GET", "/v1/orders/boutique-eu/B-1")
        assert status == 200 and order["parcels"][0]["number"] == number
        _, parcel, _ = await doors.call("GET", f"/v1/parcels/ups/{number}")
        assert parcel["status"] == "delivered" and len(parcel["events"]) >= 3
        assert (await doors.call("GET", f"/v1/returns/{returned}"))[0] == 200
        assert (await doors.call("GET", f"/v1/returns/{returned}/label"))[0] == 404
        body = {"order_number": "B-1", "email": EMAIL}
        assert (await doors.call("POST", "/v1/follow/order", json=body))[0] == 404
        assert (await doors.call("POST", "/v1/follow/order", json={"order_number": "B-1"}))[0] == 200
        await doors.house.ledger.review_due(NOW + timedelta(days=400))
        again = await erase_call(parts(doors), {"do": "erase.order", "number": "B-1", "merchant": ""})
        assert again["orders"] == 1 and again["payloads"] == 0, "twice is once"
        assert found_in(await rows_of(store)) == []


async def test_nothing_of_a_person_is_left_on_the_disk(sqlite_url: str) -> None:
    """Sealed fields, request bytes, papers and raw payloads are gone from the file, its log and its free pages."""
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    store = await open_store(sqlite_url)
    try:
        async with on_the_street(NOW) as (town, carriers), open_doors(make_house(store, carriers, NOW)) as doors:
            await a_life(doors, town)
            kept = await store.read(lambda tx: tx.all(_SEALED))
            sealed = [bytes(row["sealed"])[8:40] for row in kept]
            payload = await store.read(lambda tx: tx.one(_PAYLOAD))
            assert payload is not None
            marks = [*sealed, bytes(payload["body"])[:60], b"KANARIENVOGEL", b"1077 QZ"]
            disk = bytes_of(folder)
            assert marks and all(mark in disk for mark in marks)  # they lie there before
            await erase_call(parts(doors), {"do": "erase.order", "number": "B-1", "merchant": ""})
            disk = bytes_of(folder)
            assert not [mark for mark in marks if mark in disk]
            assert not [canary for canary in CANARIES if canary.encode() in disk]
    finally:
        await store.close()


@pytest.mark.postgres
async def test_on_postgresql_too(postgres_url: str) -> None:
    """The same as the server itself shows its rows, whole and as text."""
    store = await open_store(postgres_url)
    try:
        async with on_the_street(NOW) as (town, carriers), open_doors(make_house(store, carriers, NOW)) as doors:
            await a_life(doors, town)
            assert await _sung(postgres_url)
            await erase_call(parts(doors), {"do": "erase.order", "number": "B-1", "merchant": ""})
            assert await _sung(postgres_url) == []
    finally:
        await store.close()


async def _sung(url: str) -> list[tuple[str, str]]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        rows = {}
        for table in metadata.sorted_tables:
            found = await connection.fetch(f'SELECT t::text AS whole FROM "{table.name}" t')
            rows[table.name] = "\n".join(row["whole"] for row in found).encode()
        return found_in(rows)
    finally:
        await connection.close()


async def test_what_cannot_be_erased_is_said(sqlite_store: Store) -> None:
    """No such number, a number that two shops use: an error that says what to do; nothing is touched."""
    async with open_doors(make_house(sqlite_store, now=MONDAY)) as doors:
        await doors.put_order("B-1")
        told = await erase_call(parts(doors), {"do": "erase.order", "number": "B-404", "merchant": ""})
        assert told == {"error": "no order B-404"}
        told = await erase_call(parts(doors), {"do": "erase.return", "number": "R404", "merchant": ""})
        assert told == {"error": "no return R404"}
        told = await erase_call(parts(doors), {"do": "erase.order", "number": "B-1", "merchant": "other"})
        assert "error" in told


# ----------------------------------------------------------------------------------------------------------- retention


async def tidied(doors: Doors, days: int) -> int:
    """What the sweep forgets so many days on."""
    return await tidy(doors.house.store, doors.house.terms, read_keep(""), NOW + timedelta(days=days))


async def test_what_is_over_is_forgotten_in_its_time(store: Store) -> None:
    """Raw payloads ninety days after the parcel's end, addresses after a hundred and fifty; what is open stays."""
    async with on_the_street(NOW) as (town, carriers), open_doors(make_house(store, carriers, NOW)) as doors:
        await doors.put_order("B-1", ship_to=PERSON, email=EMAIL)
        number = town.create("ups", "delivered_first_time", starts_at=start(3, 2)).number
        await doors.ship("B-1", number)
        await _talk(doors, number)
        await doors.put_order("B-2")
        under_way = town.create("ups", "three_attempts_home", starts_at=start(3, 5)).number
        await doors.ship("B-2", under_way)
        for days, payloads_gone, address_gone in (
            (80, False, False),
            (95, True, False),
            (149, True, False),
            (160, True, True),
        ):
            await tidied(doors, days)
            rows = await rows_of(store)
            assert (b"KANARIENVOGEL" not in rows["payloads"]) is payloads_gone, days
            status, _, _ = await doors.call("POST", "/v1/follow/order", json={"order_number": "B-1", "email": EMAIL})
            assert (status == 404) is address_gone, days
            assert under_way.encode() in rows["payloads"], "it has not ended"
        assert found_in(await rows_of(store)) == []
        body = {"order_number": "B-2", "email": "canary@example.com"}
        assert (await doors.call("POST", "/v1/follow/order", json=body))[0] == 200
        _, parcel, _ = await doors.call("GET", f"/v1/parcels/ups/{number}")
        assert parcel["status"] == "delivered", "the sightings are the source from now on"


async def test_a_return_that_is_younger_keeps_its_order(sqlite_store: Store) -> None:
    """An address is needed for as long as something of it may be under way; then links and keys go too."""
    async with on_the_street(NOW) as (town, carriers), open_doors(make_house(sqlite_store, carriers, NOW)) as doors:
        await a_life(doors, town)
        touched = to_us(NOW + timedelta(days=100))
        await sqlite_store.write(lambda tx: tx.run(_TOUCH, at=touched))
        body = {"order_number": "B-1", "email": EMAIL}
        for days, status in ((160, 200), (260, 200), (420, 404)):
            await tidied(doors, days)
            assert (await doors.call("POST", "/v1/follow/order", json=body))[0] == status, days
        assert found_in(await rows_of(sqlite_store)) == []
        assert (await rows_of(sqlite_store))["links"] == b""


def test_how_long_is_a_setting() -> None:
    """Days by name; what is not named is as shipped; anything else is said."""
    assert read_keep("") == KEEP and read_keep("payloads=7") == {**KEEP, "payloads": 7}
    for wrong in ("payloads", "payloads=0", "names=3", "payloads=x", "payloads=99999"):
        with pytest.raises(ValueError, match="DAYS"):
            read_keep(wrong)
        with pytest.raises(Misconfigured, match="HOMEWARD_KEEP"):
            read_settings({"HOMEWARD_KEEP": wrong})
