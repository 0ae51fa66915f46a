"""Rebuilds sightings and conclusions from the kept bytes with today's tables, parcel by parcel."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from carriers.contract import Payload, Unreadable
from store.engine import Store, Tx
from store.outbox import say
from store.parcels import conclusions_of, forget_tellings, list_parcels, lock_parcel_by_id
from store.payloads import (
    forget_unknown_code,
    list_unknown_codes,
    payload_named,
    payloads_mentioning,
    unread_again,
)
from tracker.ledger import Ledger, payload_of

PAGE = 200
Report = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One parcel replayed: from how many payloads (none: their retention is over, the sightings stand in), and whether
    its conclusion changed."""

    carrier: str
    number: str
    payloads: int
    source: str  # "payloads" | "sightings"
    changed: bool
    was: str
    now: str


async def replay(
    ledger: Ledger, now: datetime, report: Report, *, carrier: str = "", number: str = ""
) -> list[Replayed]:
    """Every parcel (or one) concluded anew. What changed is announced as a correction, never silently; what was said is
    not said again. Payloads that could not be read are handed to the work loop once more."""
    await ledger.store.write(unread_again)
    found: list[Replayed] = []
    after = 0
    while ids := await _page(ledger.store, after):
        for id, its_carrier, its_number in ids:
            if (carrier in ("", its_carrier)) and (number in ("", its_number)):
                found.append(await replay_parcel(ledger, id, now))
                await report(len(found))
        after = ids[-1][0]
    return found


async def settle_codes(ledger: Ledger, now: datetime) -> list[tuple[str, str]]:
    """The codes nobody knew that today's tables know, by their samples: off the list, and their alerts are over."""

    async def unit(tx: Tx) -> list[tuple[str, str]]:
        known = []
        for row in await list_unknown_codes(tx):
            sample = await payload_named(tx, row["digest"])
            if sample is None or not _knows(ledger, payload_of(sample), row["code"]):
                continue
            carrier, code = row["carrier"], row["code"]
            await forget_unknown_code(tx, carrier, code)
            name, data = f"{code}/known/{row['last_day']}", {"carrier": carrier, "code": code}
            await say(tx, subject=f"code:{carrier}", name=name, type="ops.code_known", at=now, data=data)
            known.append((carrier, code))
        return known

    return await ledger.store.write(unit)


def _knows(ledger: Ledger, payload: Payload, code: str) -> bool:
    """Whether every event of this code in the sample is known now. The words are the code where there is none."""
    if payload.carrier not in ledger.readings:
        return False
    try:
        readings = ledger.readings[payload.carrier].read(payload)
    except Unreadable:
        return False
    found = [event.known for event in readings.events if (event.code or event.words) == code]
    return bool(found) and all(found)


async def _page(store: Store, after: int) -> list[tuple[int, str, str]]:
    rows = await store.read(lambda tx: list_parcels(tx, after=after, limit=PAGE))
    return [(row["id"], row["carrier"], row["number"]) for row in rows]


async def replay_parcel(ledger: Ledger, id: int, now: datetime) -> Replayed:
    """One parcel, in one transaction: forget what the kept payloads told, let them tell it again, conclude."""

    async def unit(tx: Tx) -> Replayed:
        row = await lock_parcel_by_id(tx, id)
        assert row is not None
        kept = await payloads_mentioning(tx, row["carrier"], row["number"])
        for each in kept:
            await forget_tellings(tx, id, each["digest"])
        told = 0
        for each in kept:
            payload = payload_of(each)
            try:
                readings = ledger.readings[payload.carrier].read(payload)
            except Unreadable:
                continue
            await ledger.tell(tx, row, readings, payload, each["received_us"])
            told += 1
        before = msgspec.json.decode((await conclusions_of(tx, [id]))[id])
        after = await ledger.conclude(tx, row, now)
        return Replayed(
            row["carrier"],
            row["number"],
            told,
            "payloads" if told else "sightings",
            before != after,
            f"{before.get('leg', '-')} {before.get('status', '-')}",
            f"{after['leg']} {after['status']}",
        )

    return await ledger.store.write(unit)
