"""Numbers nobody registered: matched by themselves or by a person, announced, never delivered to the shopper."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from carriers.contract import Address, Payload, Place, Source
from fleet.clocks import Clock, to_us
from merchants.terms import shipped
from returns.candidates import Identifier
from returns.claiming import confirm, dismiss
from returns.following import follow
from returns.identifying import Box, enter, identify
from spending.intents import Till
from store.engine import Store, Tx
from store.parcels import find_parcel, register_parcel
from store.returns import add_return, find_return
from store.schema import outbox, unidentified
from store.sealing import Sealer
from store.statement import statement
from store.unidentified import unidentified_page
from tests.test_tracker_ledger import NOW, NUMBER, answer, conclusion, ledger, said, take, visit
from tracker.orders import Declined
from tracker.polling import Poller

NEW = "1Z5338FF6812345679"
WAYBILL = "1ZW957896898765432"
LATER = NOW + timedelta(days=4)
HOUSE, DOOR = Place("Bentivoglio", "BO", "40010", "IT"), Place("Amsterdam", "", "", "NL")
SEALER = Sealer(bytes(range(32)))
ROWS = statement(select(unidentified).order_by(unidentified.c.id))
OUTBOX = statement(select(outbox).order_by(outbox.c.id))


def desk(store: Store, now: datetime = LATER) -> Identifier:
    clock = Clock(now, 1.0, datetime.now(UTC).timestamp())
    book = ledger(store)
    return Identifier(store, SEALER, shipped(), {}, book, Poller(store, book, clock), clock)


def till(store: Store) -> Till:
    return Till(store, SEALER, {}, Clock(LATER, 1.0, datetime.now(UTC).timestamp()))


def scan(day: int, kind: str, code: str, status: str, city: str, country: str, hour: int = 12) -> dict[str, Any]:
    return {
        "date": f"202603{day:02}",
        "time": f"{hour:02}0100",
        "gmtDate": f"202603{day:02}",
        "gmtTime": f"{hour - 1:02}:01:00",
        "gmtOffset": "+01:00",
        "location": {"address": {"city": city, "countryCode": country}},
        "status": {"type": kind, "code": code, "statusCode": status, "description": "words"},
    }


def picked_up(day: int) -> dict[str, Any]:
    return scan(day, "I", "OR", "038", "AMSTERDAM", "NL")


def at_home(day: int) -> dict[str, Any]:
    return scan(day, "D", "FS", "011", "BENTIVOGLIO", "IT")


def pushed(number: str, *activities: dict[str, Any], to: str = "BENTIVOGLIO", country: str = "IT") -> Payload:
    """What a feed of the whole account brings: a number that nobody asked for."""
    package = {
        "trackingNumber": number,
        "activity": list(reversed(activities)),
        "packageAddress": [{"type": "DESTINATION", "address": {"city": to, "countryCode": country}}],
    }
    body = {"trackResponse": {"shipment": [{"inquiryNumber": number, "package": [package]}]}}
    return Payload("ups", Source.POLL, json.dumps(body).encode())


def told_alternate(day: int, number: str, other: str) -> Payload:
    body = {
        "trackingNumber": number,
        "localActivityDate": f"202603{day:02}",
        "localActivityTime": "150000",
        "gmtActivityDate": f"202603{day:02}",
        "gmtActivityTime": "140000",
        "gmtOffset": "+01.00",
        "activityLocation": {"city": "Amsterdam", "country": "NL"},
        "activityStatus": {"type": "X", "code": "CG", "description": "new number", "descriptionCode": ""},
        "alternateTrackingNumber": other,
    }
    return Payload("ups", Source.PUSH, json.dumps(body).encode())


async def a_case(store: Store, number: str = NUMBER) -> None:
    """A parcel to Amsterdam after its third failed attempt on 5 March."""

    async def unit(tx: Tx) -> None:
        known = msgspec.json.encode({"origin": HOUSE, "destination": DOOR}).decode()
        await register_parcel(
            tx, merchant="boutique-eu", carrier="ups", number=number, purpose="order", shipment=known,
            now_us=to_us(NOW - timedelta(days=5)),
        )  # fmt: skip

    await store.write(unit)
    visits = (visit(3), visit(4, "KX", "023"), visit(5, "49", "024"))
    await take(ledger(store), answer(*visits, number=number))


async def a_waybill(store: Store, number: str = "R7K2M4QX4TB") -> None:
    """A return whose customer was told how to fill in a blank waybill."""
    about = {
        "courier": "prepaid", "asked": "x", "followed": 7,
        "waybill": {"issued_at": "2026-03-05T10:00:00Z", "account": "W95789", "service": "Standard",
                    "reference": number},
    }  # fmt: skip
    address = Address("Wilhelmina Canary", ("Canarystraat 77",), "Amsterdam", "", "NL")
    values = {
        "merchant": "boutique-eu", "number": number, "state": "registered",
        "return": msgspec.json.encode(about).decode(),
        "sealed": SEALER.seal(msgspec.json.encode({"address": address})),
        "created_us": to_us(NOW), "updated_us": to_us(NOW),
    }  # fmt: skip

    async def unit(tx: Tx) -> None:
        assert await add_return(tx, values)

    await store.write(unit)


async def row_of(store: Store, number: str) -> Any:
    rows = await store.read(lambda tx: tx.all(ROWS))
    return next((row for row in rows if (row["carrier"], row["number"]) == ("ups", number)), None)


async def types(store: Store) -> list[str]:
    return [type for type, _ in await said(store)]


async def test_a_case_that_comes_home_under_the_number_its_carrier_tells_arrives(store: Store) -> None:
    """The carrier names the new number; its scans are the old parcel's way home; nothing was ever delivered."""
    await a_case(store)
    book = ledger(store)
    await take(book, told_alternate(6, NUMBER, NEW))
    assert await identify(desk(store)) == 1
    row = await row_of(store, NEW)
    assert (row["state"], row["decided_by"]) == ("matched", "score")
    assert json.loads(row["outcome"])["because"]
    view = await conclusion(store)
    assert view["further_numbers"] == [{"carrier": "ups", "number": NEW}]
    assert (view["leg"], view["return_to_warehouse"]["state"]) == ("out", "expected")
    await take(book, answer(picked_up(9), number=NEW), LATER)
    view = await conclusion(store)
    assert (view["leg"], view["return_to_warehouse"]["state"]) == ("back", "under_way")
    await take(book, answer(picked_up(9), at_home(11), number=NEW), LATER)
    view = await conclusion(store)
    assert (view["leg"], view["status"]) == ("back", "delivered")
    assert (view["return_to_warehouse"]["state"], view["return_to_warehouse"]["reason"]) == (
        "arrived",
        "failed_delivery_attempts",
    )
    assert (view["delivered_at"], view["returned_at"]) == (None, "2026-03-11T11:01:00Z")
    assert view["attempts"]["count"] == 3
    assert "parcel.delivered" not in await types(store)
    assert (await types(store)).count("return_to_warehouse.arrived") == 1
    assert (await conclusion(store, NEW))["home_of"] == {"carrier": "ups", "number": NUMBER}


async def test_a_match_is_announced_once_and_everything_is_said_of_the_first_parcel(store: Store) -> None:
    """The change names the further number; the number's own row says nothing to anybody."""
    await a_case(store)
    book = ledger(store)
    await take(book, told_alternate(6, NUMBER, NEW))
    await identify(desk(store))
    await take(book, answer(picked_up(9), at_home(11), number=NEW), LATER)
    rows = await store.read(lambda tx: tx.all(OUTBOX))
    linked = [row for row in rows if row["name"] == f"further/ups/{NEW}"]
    assert [row["type"] for row in linked] == ["parcel.status_changed"]
    data = json.loads(linked[0]["data"])
    assert (data["number"], data["further"]["number"]) == (NUMBER, NEW)
    further = await store.read(lambda tx: find_parcel(tx, "ups", NEW))
    assert further is not None
    assert not [row for row in rows if row["subject"] == f"parcel:{further['id']}"]


async def test_what_was_known_before_the_match_is_answered_as_it_was(store: Store) -> None:
    """`as_of` an instant before the link: the parcel had not turned yet, though the scans were there."""
    await a_case(store)
    book = ledger(store)
    await take(book, told_alternate(6, NUMBER, NEW))
    await take(book, pushed(NEW, picked_up(9)), LATER)
    await identify(desk(store, LATER + timedelta(hours=2)))
    row = await store.read(lambda tx: find_parcel(tx, "ups", NUMBER))
    assert row is not None

    async def at(moment: datetime) -> str:
        return str((await store.read(lambda tx: book.conclusion(tx, row, moment, moment))).leg)

    assert await at(LATER + timedelta(hours=1)) == "out"
    assert await at(LATER + timedelta(hours=3)) == "back"


async def test_a_return_under_a_waybill_is_matched_and_goes_on(store: Store) -> None:
    """Account, town, warehouse and window: the number becomes the return's parcel, and its scans move the return."""
    await a_waybill(store)
    book = ledger(store)
    await take(book, pushed(WAYBILL, picked_up(9)), LATER)
    assert await identify(desk(store)) == 0  # an order service may still register it
    assert await identify(desk(store, LATER + timedelta(hours=2))) == 1
    assert (await row_of(store, WAYBILL))["state"] == "matched"
    held = await store.read(lambda tx: find_return(tx, "R7K2M4QX4TB"))
    parcel = await store.read(lambda tx: find_parcel(tx, "ups", WAYBILL))
    assert held is not None and parcel is not None
    assert (held["parcel_id"], parcel["purpose"]) == (parcel["id"], "return")
    await follow(till(store), shipped())
    await take(book, answer(picked_up(9), at_home(11), number=WAYBILL), LATER)
    await follow(till(store), shipped())
    held = await store.read(lambda tx: find_return(tx, "R7K2M4QX4TB"))
    assert held is not None and held["state"] == "received"
    assert {"return.on_its_way", "return.received"} <= set(await types(store))


async def test_below_the_threshold_it_waits_with_its_best_candidates(store: Store) -> None:
    """Two waybills alike: nobody is chosen, ops are told once, and a person decides; the alert's end is said."""
    await a_waybill(store)
    await a_waybill(store, "R0000000000")
    book = ledger(store)
    await take(book, pushed(WAYBILL, picked_up(9)), LATER)
    judge = desk(store, LATER + timedelta(hours=2))
    await identify(judge)
    waiting = await store.read(lambda tx: unidentified_page(tx, limit=10))
    assert [row["number"] for row in waiting] == [WAYBILL]
    candidates = json.loads(waiting[0]["candidates"])
    assert {each["return_number"] for each in candidates} == {"R7K2M4QX4TB", "R0000000000"}
    assert all(each["score"] >= 0.85 and each["because"] for each in candidates)
    assert (await types(store)).count("ops.unidentified") == 1
    await confirm(judge, waiting[0]["id"], "test", return_number="R0000000000")
    held = await store.read(lambda tx: find_return(tx, "R0000000000"))
    assert held is not None and held["parcel_id"] is not None
    assert await store.read(lambda tx: unidentified_page(tx, limit=10)) == []
    assert (await types(store)).count("ops.identified") == 1
    with pytest.raises(Declined, match="matched"):
        await confirm(judge, waiting[0]["id"], "test", return_number="R7K2M4QX4TB")


async def test_a_number_that_is_registered_within_the_hour_is_no_riddle(store: Store) -> None:
    """The push came before the order service: nothing waits, nobody is told."""
    book = ledger(store)
    await take(book, pushed(NUMBER, picked_up(3)))
    await a_case(store)
    await identify(desk(store))
    assert (await row_of(store, NUMBER))["state"] == "known"
    assert "ops.unidentified" not in await types(store)


async def test_a_number_that_goes_elsewhere_does_not_concern_us(store: Store) -> None:
    """A parcel of the same account to somewhere else: never at the desk, forgotten after thirty days."""
    await a_case(store)
    await take(ledger(store), pushed(NEW, picked_up(9), to="PARIS", country="FR"), LATER)
    await identify(desk(store, LATER + timedelta(hours=2)))
    assert (await row_of(store, NEW))["state"] == "elsewhere"
    assert "ops.unidentified" not in await types(store)


async def test_a_box_without_a_number_is_found_by_order_number_and_by_name(store: Store) -> None:
    """Keyed in by the warehouse: it waits, is found by what stands on it, and no name lies in the clear."""
    judge = desk(store)
    id = await enter(judge, Box(order_number="B-1001", name="Wilhelmina Canary", note="torn"), "warehouse")
    mark = judge.name_mark("canary, WILHELMINA")

    async def found(text: str, mark: str = "") -> list[int]:
        return [row["id"] for row in await store.read(lambda tx: unidentified_page(tx, text=text, mark=mark))]

    assert await found(text="B-1001") == await found(text="x", mark=mark) == [id]
    assert await found(text="B-1002") == await found(text="x", mark=judge.name_mark("Somebody Else")) == []
    row = await store.read(lambda tx: tx.one(ROWS))
    assert row is not None and "canary" not in str(dict(row)).lower()
    await dismiss(judge, id, "warehouse", "a supplier's")
    row = await store.read(lambda tx: tx.one(ROWS))
    assert row is not None
    assert (row["state"], row["note"], row["name_mark"]) == ("dismissed", None, "")


async def test_a_number_keyed_in_twice_is_one_row_and_a_known_one_is_refused(store: Store) -> None:
    """The same number again adds what is new; a registered one says whose it is."""
    await a_case(store)
    judge = desk(store)
    first = await enter(judge, Box("ups", NEW), "a")
    assert await enter(judge, Box("ups", NEW, order_number="B-7"), "b") == first
    assert (await row_of(store, NEW))["order_number"] == "B-7"
    with pytest.raises(Declined, match="boutique-eu"):
        await enter(judge, Box("ups", NUMBER), "a")
    with pytest.raises(Declined):
        await enter(judge, Box(), "a")


async def test_a_person_may_say_which_parcel_it_is(store: Store) -> None:
    """Confirmed by hand: the parcel travels home under the number, and the score that was there is kept."""
    await a_case(store)
    judge = desk(store)
    id = await enter(judge, Box("ups", NEW), "warehouse")
    await confirm(judge, id, "key:1", carrier="ups", number=NUMBER)
    assert (await conclusion(store))["further_numbers"] == [{"carrier": "ups", "number": NEW}]
    assert (await row_of(store, NEW))["decided_by"] == "key:1"


async def test_what_waits_is_judged_again_when_its_own_may_have_begun(store: Store) -> None:
    """The box was found before anybody told of a waybill: hours later it is matched, and the alert is over."""
    book = ledger(store)
    await take(book, pushed(WAYBILL, picked_up(9)), LATER)
    await identify(desk(store, LATER + timedelta(hours=2)))
    assert (await row_of(store, WAYBILL))["state"] == "open"  # it goes to the warehouse
    await a_waybill(store)
    assert await identify(desk(store, LATER + timedelta(hours=3))) == 0
    assert await identify(desk(store, LATER + timedelta(hours=9))) == 1
    assert (await row_of(store, WAYBILL))["state"] == "matched"
    assert (await types(store)).count("ops.unidentified") == (await types(store)).count("ops.identified") == 1
