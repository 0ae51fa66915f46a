"""The carrier collects a return at the customer's door: booked once per return and day, looked at, called off.

What is wanted is kept before the carrier is asked. A booking whose end nobody knows is simply made again: UPS gives the
same number for the same address, USPS names the one that is there, and neither charges for collecting a return.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec

from carriers.contract import Address, CarrierError, PickupBooked, PickupRequest, PickupStage, Refused
from fleet.clocks import from_us, to_us
from returns.forms import about_of, sender_of
from returns.mailing import usable_label
from returns.showing import pickup_view
from spending.intents import Till, real_us
from store.again import write_surely
from store.engine import Row, Tx
from store.pickups import add_pickup, change_pickup, due_pickups, find_pickup, pickups_of
from store.returns import find_return, lock_return
from tracker.orders import Declined, Shelf, terms_for

log = logging.getLogger(__name__)

LEASE = 120.0  # real seconds; longer than a call can take
FIRST_WAIT, LONGEST_WAIT = 30.0, 900.0
FRESH = timedelta(minutes=15)  # so long what the carrier said of a collection is not asked again
OPEN = frozenset({"wanted", "booked", "dispatched", "cancelling"})
STAGES = {
    PickupStage.BOOKED: "booked",
    PickupStage.DISPATCHED: "dispatched",
    PickupStage.DONE: "done",
    PickupStage.NOT_DONE: "not_done",
    PickupStage.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """When somebody is there to hand it over, on the wall clock of the place; nothing stated: the sender's address."""

    day: date
    ready: time
    close: time
    address: Address | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """How far it is. 201 or 200: it is so at the carrier; 202: it is being settled."""

    view: dict[str, Any]
    status: int


async def book(till: Till, shelf: Shelf, number: str, wanted: Wanted) -> Collected:
    """Have the parcel collected. Raises Declined, also with the carrier's reason."""
    now = till.clock.now()
    if wanted.close <= wanted.ready:
        raise Declined("pickup_impossible", "it has to be ready before the last hour", "/close")
    if wanted.day < (now - timedelta(days=1)).date():
        raise Declined("pickup_impossible", "that day is over", "/day")
    pickup_id = await write_surely(till.store, lambda tx: _enter(tx, till, shelf, number, wanted, now))
    row = await _row(till, pickup_id)
    if row["state"] == "wanted" and row["tries"] == 0:
        row = await _book(till, row)
    if row["state"] == "refused":
        raise Declined("pickup_refused", row["words"], "/day")
    return Collected(pickup_view(row), 202 if row["state"] == "wanted" else 201)


async def look(till: Till, number: str) -> dict[str, Any]:
    """The newest collection of a return, as the carrier tells it now where it does. Raises Declined."""
    row = await till.store.read(lambda tx: _newest(tx, number))
    now = till.clock.now()
    checked = from_us(row["checked_us"]) if row["checked_us"] is not None else None
    if row["state"] not in ("booked", "dispatched") or (checked and now - checked < FRESH):
        return pickup_view(row)
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            told = await till.carriers[row["carrier"]].pickup_state(row["confirmation"])
    except (CarrierError, TimeoutError, KeyError) as error:
        log.info("a collection was not looked at", extra={"kind": type(error).__name__})
        return pickup_view(row)
    state = STAGES.get(told.state, row["state"])
    await _change(till, row, state=state, words=told.words or row["words"], checked_us=to_us(now))
    return pickup_view(await _row(till, row["id"]))


async def call_off(till: Till, number: str) -> Collected:
    """Nobody is to come. Twice is the same. Raises Declined, also with the carrier's reason."""
    row = await till.store.read(lambda tx: _newest(tx, number))
    if row["state"] in ("cancelled", "refused", "not_done"):
        return Collected(pickup_view(row), 200)
    if row["state"] == "done":
        raise Declined("pickup_over", "it was collected")
    if row["state"] == "wanted" and row["tries"] == 0 and await _change(till, row, state="cancelled", next_us=None):
        return Collected(pickup_view(await _row(till, row["id"])), 200)  # the carrier never heard of it
    if row["state"] != "cancelling":
        lease = real_us(till.real() + LEASE)
        if await _change(till, row, state="cancelling", next_us=lease, tries=0):
            row = await _call_off(till, await _row(till, row["id"]))
    if row["state"] in ("booked", "dispatched"):
        raise Declined("pickup_over", row["words"] or "the carrier does not call it off any more")
    return Collected(pickup_view(row), 202 if row["state"] == "cancelling" else 200)


async def see_to(till: Till, limit: int = 20) -> int:
    """A sweep: book what is still wanted, call off what is still to be; how many were taken up."""
    rows = await till.store.read(lambda tx: due_pickups(tx, real_us(till.real()), limit))
    for row in rows:
        if row["carrier"] in till.carriers:
            await (_book(till, row) if row["state"] == "wanted" else _call_off(till, row))
    return len(rows)


# --------------------------------------------------------------------------------------------------------------- wanted


async def _enter(tx: Tx, till: Till, shelf: Shelf, number: str, wanted: Wanted, now: datetime) -> int:
    """The row of this return and day: new, there already, or wanted once more after it came to nothing."""
    row = await lock_return(tx, number)
    if row is None:
        raise Declined("return_not_found", f"no return {number}")
    day = wanted.day.isoformat()
    there = await pickups_of(tx, row["id"])
    for one in there:
        if one["state"] in OPEN and one["day"] != day:
            raise Declined("pickup_booked", f"it is collected on {one['day']}: call that off first")
        if one["state"] in OPEN or (one["state"] == "done" and one["day"] == day):
            return int(one["id"])
    label = await usable_label(tx, row)
    values = {
        "state": "wanted",
        "window": f"{wanted.ready:%H:%M}-{wanted.close:%H:%M}",
        "sealed": till.sealer.seal(msgspec.json.encode(_request(till, shelf, row, label, wanted))),
        "next_us": real_us(till.real() + LEASE),
    }
    if before := next((one for one in there if one["day"] == day), None):
        fresh = {"confirmation": "", "words": "", "price": "", "currency": "", "checked_us": None, "tries": 0}
        await change_pickup(tx, before, to_us(now), **values, **fresh)
        return int(before["id"])
    dated = {"created_us": to_us(now), "updated_us": to_us(now)}
    await add_pickup(tx, {"return_id": row["id"], "day": day, "carrier": label["carrier"], **values, **dated})
    return next(int(one["id"]) for one in await pickups_of(tx, row["id"]) if one["day"] == day)


def _request(till: Till, shelf: Shelf, row: Row, label: Row, wanted: Wanted) -> PickupRequest:
    carrier = till.carriers.get(label["carrier"])
    if carrier is None:
        raise Declined("carrier_unknown", f"{label['carrier']} is not connected")
    if carrier.abilities.pickup:
        raise Declined("pickup_refused", carrier.abilities.pickup)
    address = wanted.address or sender_of(row, till.sealer)
    if address is None:
        raise Declined("address_erased", "the address of this return was erased: state one", "/address")
    terms = terms_for(shelf, row["merchant"], from_us(row["created_us"]))
    return PickupRequest(
        address=address,
        day=wanted.day,
        ready=wanted.ready,
        close=wanted.close,
        numbers=(label["number"],),
        weight_kg=about_of(row).weight_kg or terms.label.weight_kg,
        note=wanted.note,
    )


# ------------------------------------------------------------------------------------------------------------ the calls


async def _book(till: Till, row: Row) -> Row:
    """One try. Only the carrier's word ends it, or the day itself."""
    if row["sealed"] is None or date.fromisoformat(row["day"]) < (till.clock.now() - timedelta(days=1)).date():
        await _change(till, row, state="not_done", next_us=None, words="it was not booked in time")
        return await _row(till, row["id"])
    taken = await _taken(till, row)
    if taken is None:
        return await _row(till, row["id"])
    found = await _ask(till, taken)
    match found:
        case PickupBooked():
            await _change(till, taken, state="booked", next_us=None, **_booked(found))
        case Refused():
            await _change(till, taken, state="refused", next_us=None, words=str(found))
        case _:
            await _change(till, taken, next_us=_later(till, taken), words=f"not settled yet ({type(found).__name__})")
    return await _row(till, row["id"])


async def _call_off(till: Till, row: Row) -> Row:
    """One try. Where nobody knows whether it was booked, it is booked first: then it has a number to call it off by."""
    taken = await _taken(till, row)
    if taken is None:
        return await _row(till, row["id"])
    confirmation = taken["confirmation"]
    if not confirmation and taken["sealed"] is None:
        await _change(till, taken, state="cancelled", next_us=None, words="its address was erased")
        return await _row(till, row["id"])
    if not confirmation:
        found = await _ask(till, taken)
        if isinstance(found, Refused):
            await _change(till, taken, state="cancelled", next_us=None, words=str(found))
            return await _row(till, row["id"])
        confirmation = found.confirmation if isinstance(found, PickupBooked) else ""
    try:
        if not confirmation:
            raise TimeoutError
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            await till.carriers[taken["carrier"]].cancel_pickup(confirmation)
    except Refused as error:
        await _change(till, taken, state="booked", next_us=None, confirmation=confirmation, words=str(error))
    except (CarrierError, TimeoutError):
        await _change(till, taken, next_us=_later(till, taken), confirmation=confirmation)
    else:
        await _change(till, taken, state="cancelled", next_us=None, confirmation=confirmation, words="")
    return await _row(till, row["id"])


async def _ask(till: Till, row: Row) -> PickupBooked | CarrierError | TimeoutError:
    wanted = msgspec.json.decode(till.sealer.open(bytes(row["sealed"])), type=PickupRequest)
    try:
        async with asyncio.timeout(till.pace.scaled(till.pace.deadline)):
            return await till.carriers[row["carrier"]].book_pickup(wanted)
    except (CarrierError, TimeoutError) as error:
        return error


def _booked(found: PickupBooked) -> dict[str, Any]:
    total = found.charge.total
    return {
        "confirmation": found.confirmation,
        "words": found.charge.note,
        "price": str(total.amount) if total else "",
        "currency": total.currency if total else "",
    }


# ---------------------------------------------------------------------------------------------------------------- rows


async def _taken(till: Till, row: Row) -> Row | None:
    """The row, one try further, ours until the lease ends. None: somebody else was first."""
    lease = real_us(till.real() + LEASE)
    return await _row(till, row["id"]) if await _change(till, row, tries=row["tries"] + 1, next_us=lease) else None


def _later(till: Till, row: Row) -> int:
    wait = min(FIRST_WAIT * 2.0 ** min(row["tries"] - 1, 16), LONGEST_WAIT)
    return real_us(till.real() + till.pace.scaled(wait))


async def _change(till: Till, row: Row, **changes: Any) -> bool:
    now_us = to_us(till.clock.now())
    return await till.store.write(lambda tx: change_pickup(tx, row, now_us, **changes))


async def _row(till: Till, pickup_id: int) -> Row:
    row = await till.store.read(lambda tx: find_pickup(tx, pickup_id))
    assert row is not None
    return row


async def _newest(tx: Tx, number: str) -> Row:
    found = await find_return(tx, number)
    if found is None:
        raise Declined("return_not_found", f"no return {number}")
    rows = await pickups_of(tx, found["id"])
    if not rows:
        raise Declined("pickup_unknown", "no collection was asked for")
    return rows[-1]
