"""The ledger on both databases: bytes first, sightings, conclusions, notices once, and nothing lost to bad payloads."""

import asyncio
import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

import carriers.ups.reading
import carriers.usps.reading
from carriers.contract import Payload, Readings, Source
from fleet.clocks import to_us
from merchants.terms import shipped
from store.engine import Store, Tx, open_store
from store.parcels import conclusions_of, find_parcel, lock_parcel, register_parcel, save_conclusions
from store.payloads import unread_payloads
from store.schema import outbox, payloads, sightings
from store.statement import statement
from tracker.ledger import Ledger

NUMBER = "1Z5338FF0107231059"
NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
FIXTURES = Path(__file__).parent / "fixtures"
OUTBOX = statement(select(outbox).order_by(outbox.c.id))
SIGHTINGS = statement(select(sightings))
PAYLOADS = statement(select(payloads).order_by(payloads.c.id))


def ledger(store: Store) -> Ledger:
    return Ledger(store, {"ups": carriers.ups.reading, "usps": carriers.usps.reading}, shipped())


async def register(store: Store, number: str = NUMBER, purpose: str = "order") -> int:
    async def unit(tx: Tx) -> int:
        return await register_parcel(
            tx,
            merchant="boutique-eu",
            carrier="ups",
            number=number,
            purpose=purpose,
            shipment="{}",
            now_us=to_us(NOW - timedelta(days=5)),
        )

    return await store.write(unit)


def visit(day: int, code: str = "48", status: str = "022", time: str = "120100") -> dict[str, Any]:
    return {
        "date": f"202603{day:02}",
        "time": time,
        "gmtDate": f"202603{day:02}",
        "gmtTime": f"{int(time[:2]) - 1:02}:{time[2:4]}:{time[4:]}",
        "gmtOffset": "+01:00",
        "location": {"address": {"city": "AMSTERDAM", "countryCode": "NL"}},
        "status": {"type": "X", "code": code, "statusCode": status, "description": "words"},
    }


def answer(*activities: dict[str, Any], number: str = NUMBER) -> Payload:
    package = {"trackingNumber": number, "activity": list(reversed(activities))}
    body = {"trackResponse": {"shipment": [{"inquiryNumber": number, "package": [package]}]}}
    return Payload("ups", Source.POLL, json.dumps(body).encode(), (number,))


def push(day: int, code: str = "48", status: str = "022", time: str = "120100") -> Payload:
    body = {
        "trackingNumber": NUMBER,
        "localActivityDate": f"202603{day:02}",
        "localActivityTime": time,
        "gmtActivityDate": f"202603{day:02}",
        "gmtActivityTime": f"{int(time[:2]) - 1:02}{time[2:]}",
        "gmtOffset": "+01.00",
        "activityLocation": {"city": "Amsterdam", "country": "NL"},
        "activityStatus": {"type": "X", "code": code, "description": "other words", "descriptionCode": status},
    }
    return Payload("ups", Source.PUSH, json.dumps(body).encode())


async def take(book: Ledger, payload: Payload, now: datetime = NOW) -> None:
    kept = await book.keep(payload, now)
    await book.read(kept.id, now)


async def said(store: Store) -> list[tuple[str, str]]:
    rows = await store.read(lambda tx: tx.all(OUTBOX))
    return [(row["type"], row["name"]) for row in rows]


async def conclusion(store: Store, number: str = NUMBER) -> dict[str, Any]:
    row = await store.read(lambda tx: find_parcel(tx, "ups", number))
    assert row is not None
    view: dict[str, Any] = msgspec.json.decode(row["conclusion"])
    return view


async def test_one_scan_by_push_and_by_poll_is_one_event_with_two_sightings(store: Store) -> None:
    """Two payloads, two rows of sightings, one event, one attempt, one notice."""
    await register(store)
    book = ledger(store)
    await take(book, push(3))
    await take(book, answer(visit(3)))
    view = await conclusion(store)
    assert [(e["id"], e["sources"]) for e in view["events"]] == [("X/48@2026-03-03T11:01:00Z", ["poll", "push"])]
    assert len(await store.read(lambda tx: tx.all(SIGHTINGS))) == 2
    assert [type for type, _ in await said(store)].count("parcel.attempt_failed") == 1


async def test_three_failed_attempts_send_the_parcel_home_and_each_verdict_is_said_once(store: Store) -> None:
    """Attempts 1, 2, 3, the change of status and the case; reading everything again says nothing new."""
    await register(store)
    book = ledger(store)
    history = [visit(3), visit(4, "KX", "023"), visit(5, "49", "024")]
    for count in (1, 2, 3, 3, 1):
        await take(book, answer(*history[:count]))
    await take(book, push(5, "49", "024"))
    view = await conclusion(store)
    assert view["attempts"]["count"] == 3 and view["attempts"]["exhausted"]
    assert view["return_to_warehouse"]["state"] == "expected"
    found = await said(store)
    assert len(found) == len(set(found))
    assert [name for type, name in found if type == "parcel.attempt_failed"] == [f"out/attempt/{n}" for n in (1, 2, 3)]
    assert ("return_to_warehouse.expected", "case/expected") in found


async def test_what_was_pushed_before_the_parcel_was_registered_is_not_lost(store: Store) -> None:
    """A payload about a number nobody knows is kept; registering the number reads it again."""
    book = ledger(store)
    await take(book, push(3))
    id = await register(store)
    await book.review(id, NOW)
    assert (await conclusion(store))["attempts"]["count"] == 1


async def test_a_push_after_the_registration_does_not_hide_what_came_before_it(store: Store) -> None:
    """The first conclusion enters everything that was ever told of the number, whatever brings it about."""
    book = ledger(store)
    await take(book, push(3))
    await register(store)
    await take(book, push(4, "KX", "023"))
    assert (await conclusion(store))["attempts"]["count"] == 2
    assert (await conclusion(store))["events"][0]["id"].startswith("X/48@")


async def test_an_unreadable_payload_stays_kept_poisons_nothing_and_is_told_once(store: Store) -> None:
    """The bytes stay, the next payload is read, ops hear once however often it comes."""
    await register(store)
    book = ledger(store)
    broken = Payload("ups", Source.PUSH, b'{"trackResponse": {"shi')
    await book.keep(broken, NOW)
    await book.keep(push(3), NOW)
    assert await book.read_all(NOW) == 2
    await take(book, broken)
    rows = await store.read(lambda tx: tx.all(PAYLOADS))
    assert bytes(rows[0]["body"]) == broken.body and rows[0]["error"]
    assert [type for type, _ in await said(store)].count("ops.payload_unreadable") == 1
    assert (await conclusion(store))["attempts"]["count"] == 1
    assert await store.read(lambda tx: unread_payloads(tx, 10, 0)) == []


async def test_a_payload_that_kills_its_reader_is_set_aside(store: Store) -> None:
    """Tries are counted before the work: after three interrupted ones it is put aside and told, not tried for ever."""
    await register(store)

    class Deadly:
        def read(self, payload: Payload) -> Any:
            raise SystemExit  # the process dies here

    book, minutes = ledger(store), itertools.count()
    deadly = Ledger(store, {"ups": Deadly()}, shipped(), real_us=lambda: next(minutes) * 60_000_000)
    kept = await book.keep(push(3), NOW)
    for _ in range(3):
        with pytest.raises(SystemExit):
            await deadly.read(kept.id, NOW)
    await deadly.read(kept.id, NOW)
    assert [type for type, _ in await said(store)] == ["ops.payload_unreadable"]


async def test_an_unknown_code_is_kept_counted_and_told_once_a_day(store: Store) -> None:
    """It changes no state; the same code the same day is one notice."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3, "Q?", "")))
    await take(book, answer(visit(3, "Q?", ""), visit(4, "Q?", "")))
    view = await conclusion(store)
    assert view["unknown_codes"] == ["X/Q?"] and view["status"] == "unknown"
    assert [type for type, _ in await said(store)].count("ops.unknown_code") == 1


async def test_a_correction_of_an_attempt_is_announced(store: Store) -> None:
    """What was said of an attempt and is no longer so goes out as parcel.attempt_corrected, never silently."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(4)))
    await take(book, answer(visit(3), visit(4)))  # a late scan: the first attempt was a day earlier
    assert "parcel.attempt_corrected" in [type for type, _ in await said(store)]


async def test_as_of_answers_from_what_was_known_then(store: Store) -> None:
    """Sightings are filtered by when we received them."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3)), NOW)
    await take(book, answer(visit(3), visit(4, "KX", "023")), NOW + timedelta(hours=5))

    async def unit(tx: Tx) -> tuple[int, int]:
        row = await find_parcel(tx, "ups", NUMBER)
        assert row is not None
        then = await book.conclusion(tx, row, NOW + timedelta(days=1), as_of=NOW + timedelta(hours=1))
        now = await book.conclusion(tx, row, NOW + timedelta(days=1))
        return then.parcel.count, now.parcel.count

    assert await store.read(unit) == (1, 2)


async def test_two_readers_at_once_conclude_once(store: Store) -> None:
    """The third attempt by push and by poll at the same moment, read by four at once: one case, one notice each."""
    await register(store)
    book = ledger(store)
    await take(book, answer(visit(3), visit(4, "KX", "023")))
    third = [await book.keep(p, NOW) for p in (push(5, "49", "024"), answer(visit(5, "49", "024")))]
    await asyncio.gather(*(book.read(kept.id, NOW) for kept in third * 2))
    found = await said(store)
    assert len(found) == len(set(found))
    assert [name for _, name in found].count("case/expected") == 1
    assert [name for _, name in found].count("out/attempt/3") == 1


async def test_time_alone_makes_a_conclusion(store: Store) -> None:
    """A passed hold is concluded by the review sweep at its hour, without any new payload."""

    async def add(tx: Tx) -> int:
        return await register_parcel(
            tx, merchant="boutique-us", carrier="usps", number="9405803699300124287899", purpose="order",
            shipment="{}", now_us=to_us(NOW),
        )  # fmt: skip

    await store.write(add)
    body = [
        {
            "trackingNumber": "9405803699300124287899",
            "trackingEvents": [
                {
                    "eventCode": "55",
                    "eventType": "Notice Left (No Secure Location Available)",
                    "eventTimestamp": "2026-03-04T13:00:00-08:00",
                    "GMTTimestamp": "2026-03-04T21:00:00Z",
                    "GMTOffset": "-08:00",
                    "eventCity": "RENO",
                    "eventState": "NV",
                    "eventZIPCode": "89501",
                }
            ],
        }
    ]
    book = ledger(store)
    await take(book, Payload("usps", Source.POLL, json.dumps(body).encode()))
    assert await book.review_due(NOW + timedelta(days=20)) == 1
    row = await store.read(lambda tx: find_parcel(tx, "usps", "9405803699300124287899"))
    assert row is not None and row["status"] == "undeliverable"
    assert ("return_to_warehouse.expected", "case/expected") in await said(store)


async def test_what_was_answered_before_costs_one_look(store: Store) -> None:
    """Of three answers taken in together the one that repeats is neither kept nor read again; the others are."""
    await register(store)
    book, reads = ledger(store), list[Payload]()

    class Counted:
        def read(self, payload: Payload) -> Readings:
            reads.append(payload)
            return carriers.ups.reading.read(payload)

    book = replace(book, readings={"ups": Counted()})
    first, second, third = answer(visit(3)), answer(visit(3), visit(4)), answer(visit(3), visit(4), visit(5))
    assert await book.take_in_all([first, first], NOW) == (NUMBER,)
    assert await book.take_in_all([second, first, third], NOW + timedelta(hours=1)) == (NUMBER, NUMBER)
    assert reads == [first, second, third]
    kept = await store.read(lambda tx: tx.all(PAYLOADS))
    assert [row["digest"] for row in kept] == [first.digest, second.digest, third.digest]
    assert all(row["read_us"] for row in kept) and len((await conclusion(store))["events"]) == 3


async def test_the_evidence_of_what_is_told_does_not_depend_on_arrival(store: Store) -> None:
    """Two payloads that say the same of a parcel and differ elsewhere: the same one is named, whichever came first."""

    def batch(other: str) -> Payload:
        waiting = {
            "trackingNumber": NUMBER,
            "accessPointInformation": {"pickupByDate": "20260304"},
            "activity": [visit(3, "ZP", "040")],
        }
        packages = [waiting, {"trackingNumber": other, "activity": [visit(3)]}]
        body = {"trackResponse": {"shipment": [{"inquiryNumber": NUMBER, "package": packages}]}}
        return Payload("ups", Source.POLL, json.dumps(body).encode(), (NUMBER,))

    one, other = batch("1Z5338FF0107231068"), batch("1Z5338FF0107231077")
    await register(store)
    first, last = sorted((one, other), key=lambda payload: payload.digest)
    book = ledger(store)
    await take(book, last)
    await take(book, first)
    evidence = (await conclusion(store))["return_to_warehouse"]["evidence"]
    assert evidence == [f"payload:{first.digest}#accessPointInformation.pickupByDate"]


@pytest.mark.postgres
async def test_whoever_waited_for_a_parcel_sees_what_was_concluded_meanwhile(postgres_url: str) -> None:
    """Somebody else holds the parcel and concludes: the conclusion before ours is theirs, not the one we came upon."""
    store = await open_store(postgres_url)
    await register(store)
    held, waits = asyncio.Event(), asyncio.Event()

    async def theirs(tx: Tx) -> None:
        row = await lock_parcel(tx, "ups", NUMBER)
        assert row is not None
        held.set()
        await waits.wait()
        await asyncio.sleep(0.2)  # the other one's statement is at the server by now
        columns = dict.fromkeys(("to_moved", "to_ended", "to_review", "to_next_poll", "to_stale"))
        await save_conclusions(tx, [{"of": row["id"], "to_leg": "out", "to_status": "lost"} | columns], ['{"new":1}'])

    async def ours(tx: Tx) -> tuple[str, str]:
        waits.set()
        row = await lock_parcel(tx, "ups", NUMBER)
        assert row is not None
        return row["status"], (await conclusions_of(tx, [row["id"]]))[row["id"]]

    async def after() -> tuple[str, str]:
        await held.wait()
        return await store.write(ours)

    _, seen = await asyncio.gather(store.write(theirs), after())
    assert seen == ("lost", '{"new":1}')
    await store.close()
