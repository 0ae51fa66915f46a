"""Returns follow their parcels: each change of a parcel's status moves its return once, in order.

The tracker writes outbox rows and knows no returns; this reads them. Which rows are new is decided per parcel, by the
numbers of its notices, which have no gaps; the cursor over the outbox only says where it is worth looking.
"""

from dataclasses import replace
from datetime import datetime

import msgspec

from fleet.clocks import to_us
from returns.forms import about_of
from returns.showing import tell_return
from returns.states import ReturnState, state_after
from store.again import write_surely
from store.engine import Row, Store, Tx
from store.returns import change_return, lock_return_by_parcel, moved_since, newest_notice, notices_after
from store.settings import get_setting, put_setting
from tracker.lifecycle import Leg, Status

CURSOR = "returns.followed"
# Where several write, a row may become visible after one with a higher number: everything is looked at in two sweeps,
# and so many rows before them.
MARGIN = 200
PAGE = 1000


async def follow(store: Store, now: datetime) -> int:
    """Move every return whose parcel has moved; how many parcels were looked at."""
    before, last, newest, parcels = await store.read(_worth_looking)
    if before == newest:
        return 0
    for parcel_id in parcels:
        await follow_parcel(store, parcel_id, now)
    await write_surely(store, lambda tx: put_setting(tx, CURSOR, f"{last} {newest}"))
    return len(parcels)


async def _worth_looking(tx: Tx) -> tuple[int, int, int, list[int]]:
    """Where the last two sweeps ended, where this one ends, and the returns' parcels that moved since the former."""
    before, last = (int(part) for part in (await get_setting(tx, CURSOR) or "0 0").split())
    newest = await newest_notice(tx)
    parcels: dict[int, None] = {}
    after = max(0, before - MARGIN)
    while before != newest:
        rows = await moved_since(tx, after, PAGE)
        parcels.update(dict.fromkeys(row["parcel_id"] for row in rows))
        if len(rows) < PAGE:
            break
        after = rows[-1]["id"]
    return before, last, newest, list(parcels)


async def follow_parcel(store: Store, parcel_id: int, now: datetime) -> None:
    """Bring one parcel's return up to what was told of the parcel; nothing for a parcel that is no return's."""

    async def unit(tx: Tx) -> None:
        row = await lock_return_by_parcel(tx, parcel_id)
        if row is not None:
            for notice in await notices_after(tx, parcel_id, about_of(row).followed):
                row = await _move(tx, row, notice, now)

    await write_surely(store, unit)


async def _move(tx: Tx, row: Row, notice: Row, now: datetime) -> Row:
    """One step, and the notice about it under the number of the step that caused it."""
    parcel = msgspec.json.decode(notice["data"])["parcel"]
    state, type = state_after(ReturnState(row["state"]), Leg(parcel["leg"]), Status(parcel["status"]))
    about = replace(about_of(row), followed=notice["sequence"])
    await change_return(
        tx,
        row["id"],
        state=state,
        about=msgspec.json.encode(about).decode(),
        parcel_id=row["parcel_id"],
        updated_us=to_us(now),
    )
    if type:
        await tell_return(tx, row["number"], f"{state}/{notice['sequence']}", type, now)
    moved = await lock_return_by_parcel(tx, row["parcel_id"])
    assert moved is not None
    return moved
