"""What an ended purchase brings a return: its label and a parcel to follow, or the carrier's refusal."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from carriers.contract import Address
from fleet.clocks import from_us, to_us
from merchants.terms import Terms
from returns.dispatching import EXCHANGE, RESEND, settle_dispatch
from returns.forms import about_of, sender_of
from returns.showing import tell_return
from returns.states import BEFORE_THE_JOURNEY, ReturnState
from spending.intents import Till, hand_over
from spending.machine import State
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.parcels import parcel_by_id, register_parcel
from store.purchases import (
    ended_purchases,
    find_purchase,
    labels_of,
    purge_documents_of_returns,
    purge_void_documents,
)
from store.returns import change_return, lock_return_by_id, lock_return_by_parcel
from tracker.lifecycle import Purpose
from tracker.orders import Shelf, terms_for

KEPT = timedelta(days=30)
"""So long the bytes of a label stay after its return ended or it was voided.  # source: issue 5"""
ENDED = (
    ReturnState.ACCEPTED,
    ReturnState.PARTLY_ACCEPTED,
    ReturnState.REJECTED,
    ReturnState.SENT_BACK,
    ReturnState.EXCHANGED,
    ReturnState.REFUNDED,
    ReturnState.CANCELLED,
    ReturnState.LOST,
)
"""States in which nobody needs a return's label any more."""


async def settle(till: Till, shelf: Shelf, purchase_id: str) -> None:
    """Hand an ended purchase to its return, once: the label is ready and its parcel followed, or it was refused."""
    now = till.clock.now()

    async def unit(tx: Tx) -> None:
        purchase = await find_purchase(tx, purchase_id)
        if purchase is None:
            return
        row = await lock_return_by_id(tx, int(purchase["subject"].removeprefix("return:")))
        state = await hand_over(tx, till, purchase_id)
        if row is None or state is None:
            return
        if state is State.ISSUED:
            await _issue(tx, till, shelf, row, purchase_id, now)
        else:
            await _refuse(tx, row, purchase, now)

    await write_surely(till.store, unit)


async def settle_all(till: Till, shelf: Shelf, limit: int = 50) -> int:
    """Hand over what ended without anybody waiting for it; how many."""
    rows = await till.store.read(lambda tx: ended_purchases(tx, "label", limit))
    for row in rows:
        if settles := SETTLES.get(row["subject"].partition(":")[0]):
            await settles(till, shelf, row["id"])
    return len(rows)


SETTLES: Mapping[str, Callable[[Till, Shelf, str], Awaitable[None]]] = {
    "return": settle,
    RESEND: settle_dispatch,
    EXCHANGE: settle_dispatch,
}
"""Who takes what a purchase brought, by the kind of its subject."""


async def purge_labels(till: Till) -> int:
    """Drop the bytes of labels whose time is over; how many documents. Numbers and money stay."""
    before_us = to_us(till.clock.now() - KEPT)

    async def unit(tx: Tx) -> int:
        gone = await purge_void_documents(tx, before_us)
        for state in ENDED:
            gone += await purge_documents_of_returns(tx, state, before_us)
        return gone

    return await till.store.write(unit)


async def _issue(tx: Tx, till: Till, shelf: Shelf, row: Row, purchase_id: str, now: datetime) -> None:
    """The label is ready, and its parcel followed from now on, also where the return was given up meanwhile."""
    label = (await labels_of(tx, purchase_id))[0]
    terms = terms_for(shelf, row["merchant"], from_us(row["created_us"]))
    parcel_id = await register_parcel(
        tx,
        merchant=row["merchant"],
        carrier=label["carrier"],
        number=label["number"],
        purpose=Purpose.RETURN,
        shipment=_shipment(terms, sender_of(row, till.sealer)),
        now_us=to_us(now),
    )
    if not await _is_free(tx, row, parcel_id):
        await _say_taken(tx, row, label, now)
        return
    waited_for = row["state"] in BEFORE_THE_JOURNEY
    if row["parcel_id"] is not None and not waited_for and row["state"] != ReturnState.CANCELLED:
        return  # the label that this one was to replace travels after all: the return goes on with it
    state = ReturnState.LABEL_READY if waited_for else ReturnState(row["state"])
    about = msgspec.json.encode(replace(about_of(row), followed=0)).decode()  # the notices of another parcel
    await change_return(tx, row["id"], state=state, about=about, parcel_id=parcel_id, updated_us=to_us(now))
    if waited_for:
        said = "label_ready" if row["parcel_id"] is None else f"label_ready/{label['number']}"
        await tell_return(tx, row["number"], said, "return.label_ready", now)


def _shipment(terms: Terms, sender: Address | None) -> str:
    """What we know of the parcel before any carrier speaks: two places, no name and no street."""
    known: dict[str, Any] = {"destination": terms.warehouse.address.place, "service": terms.label.service}
    if sender:
        known["origin"] = sender.place
    return msgspec.json.encode(known).decode()


async def _is_free(tx: Tx, row: Row, parcel_id: int) -> bool:
    """Whether the number is this return's alone."""
    parcel = await parcel_by_id(tx, parcel_id)
    assert parcel is not None
    is_return = (parcel["merchant"], parcel["purpose"]) == (row["merchant"], Purpose.RETURN)
    return is_return and await lock_return_by_parcel(tx, parcel_id) is None


async def _say_taken(tx: Tx, row: Row, label: Row, now: datetime) -> None:
    """The carrier sold a label under a number that is another parcel's: nobody gets it before a person looked."""
    why = f"{label['carrier']} sold a label whose number {label['number']} is another parcel's"
    data = {"merchant": row["merchant"], "return_number": row["number"], "purchase_id": label["purchase_id"]}
    await say(
        tx,
        subject=f"return:{row['id']}",
        name=f"purchase/{label['purchase_id']}/number_taken",
        type="ops.purchase_unknown",
        at=now,
        data={**data, "carrier": label["carrier"], "state": State.NEEDS_HUMAN, "why": why},
    )


async def _refuse(tx: Tx, row: Row, purchase: Row, now: datetime) -> None:
    """The carrier refused the label: the return ends, so that its items are free for another one.

    Where it was to replace one, the return is as it was without a label.
    """
    state = ReturnState.CANCELLED if row["parcel_id"] is None else ReturnState.REGISTERED
    outcome = msgspec.json.decode(purchase["outcome"])
    why = " ".join(part for part in (outcome["code"], outcome["why"]) if part) or "the carrier refused the label"
    about = replace(about_of(row), why=why)
    await change_return(
        tx,
        row["id"],
        state=state,
        about=msgspec.json.encode(about).decode(),
        parcel_id=row["parcel_id"],
        updated_us=to_us(now),
    )
