"""Returns follow their parcels: each change of a parcel's status moves its return once, in order.

The tracker writes outbox rows and knows no returns; this reads them. Which changes are new to a return is decided by
the numbers of its parcel's notices, which have no gaps; the mark on a row only says that somebody has looked at it.
"""

from dataclasses import replace
from datetime import datetime
from functools import partial

import msgspec

from fleet.clocks import from_us, to_us
from returns.arrival import become, enter_receipt, not_lost
from returns.clocks import silent_until
from returns.forms import Receipt, Teller, about_of
from returns.homecoming import come_home
from returns.lines import scan_at
from returns.losing import loss_of
from returns.reviewing import lose
from returns.showing import own_labels, tell_return
from returns.states import ReturnState, state_after
from spending.intents import Till
from store.again import write_surely
from store.engine import Row, Tx
from store.returns import lock_return_by_parcel, mark_followed, notices_after, set_review, unfollowed
from tracker.lifecycle import Leg, Status
from tracker.orders import Shelf, terms_for

PAGE = 500


async def follow(till: Till, shelf: Shelf) -> int:
    """Move every return whose parcel has moved; how many changes were looked at."""
    total = 0
    while rows := await till.store.read(lambda tx: unfollowed(tx, PAGE)):
        for parcel_id in dict.fromkeys(row["parcel_id"] for row in rows if row["parcel_id"] is not None):
            await follow_parcel(till, shelf, parcel_id)
        for parcel_id in dict.fromkeys(row["home_id"] for row in rows if row["home_id"] is not None):
            await come_home(till, shelf, parcel_id)
        ids, at = [row["id"] for row in rows], to_us(till.clock.now())
        await write_surely(till.store, partial(mark_followed, ids=ids, at_us=at))
        total += len(rows)
    return total


async def follow_parcel(till: Till, shelf: Shelf, parcel_id: int) -> None:
    """Bring one parcel's return up to what was told of the parcel; nothing for a parcel that is no return's."""
    now = till.clock.now()

    async def unit(tx: Tx) -> None:
        row = await lock_return_by_parcel(tx, parcel_id)
        if row is not None:
            for notice in await notices_after(tx, parcel_id, about_of(row).followed):
                row = await _move(tx, till, shelf, row, notice, now)

    await write_surely(till.store, unit)


async def _move(tx: Tx, till: Till, shelf: Shelf, row: Row, notice: Row, now: datetime) -> Row:
    """One step, and the notice about it under the number of the step that caused it."""
    parcel = msgspec.json.decode(notice["data"])["parcel"]
    state, type = state_after(ReturnState(row["state"]), Leg(parcel["leg"]), Status(parcel["status"]))
    terms = terms_for(shelf, row["merchant"], from_us(row["created_us"]))
    about = replace(about_of(row), followed=notice["sequence"])
    name = f"{state}/{notice['sequence']}"
    if type and state is ReturnState.RECEIVED:
        at = parcel.get("delivered_at")
        receipt = Receipt(datetime.fromisoformat(at) if at else now, Teller.SCAN, scan_at(parcel, at))
        await enter_receipt(tx, till, terms, row, replace(about, received=None), receipt, name, now)
    elif type and state is ReturnState.LOST:
        loss = loss_of(terms, parcel["number"], parcel, await own_labels(tx, row["id"]), Teller.CARRIER, now)
        await lose(tx, terms, row, about, loss, name, now)
    else:
        if type:  # under way, whatever was thought before
            about = replace(not_lost(about), received=None, checked_between=None)
            await set_review(tx, row["id"], to_us(silent_until(terms, from_us(notice["at_us"]))))
        await become(tx, row, state, about, now)
        if type:
            await tell_return(tx, row["number"], name, type, now)
    moved = await lock_return_by_parcel(tx, row["parcel_id"])
    assert moved is not None
    return moved
