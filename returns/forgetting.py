"""Forgets people: an order or a return when somebody asks, and whatever is over when its time has come.

What stays: numbers, states, instants, towns, money. After its raw payloads are gone a parcel's sightings are what is
judged again.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from fleet.clocks import real_now, to_us
from merchants.terms import Terms
from returns.dispatching import subject_of
from store import erasing
from store.engine import Row, Store, Tx
from store.erasing import kept_postcodes
from store.idempotency import purge
from store.lookups import orders_named, parcels_on_order, return_named
from store.parcels import parcel_by_id

ROWS = 100
NEVER_ENDED = 2
"""What never ended is over when nothing was heard of it for so many times the time."""
KEEP: Mapping[str, int] = {"addresses": 150, "payloads": 90, "links": 30, "answers": 30}
"""Days after the end.  # source: design/faults-and-security.md (e), Retention"""

Gone = dict[str, int]
Stays = Callable[[str], bool]


class NotNow(Exception):
    """It cannot be erased now; the message says why."""


async def erase_order(tx: Tx, number: str, merchant: str, shelf: Mapping[str, Sequence[Terms]]) -> Gone | None:
    """An order's person, with its returns'; how much of each kind, None where there is no order. Raises NotNow."""
    found = [row for row in await orders_named(tx, number) if merchant in ("", row["merchant"])]
    if len(found) > 1:
        shops = ", ".join(sorted(row["merchant"] for row in found))
        raise NotNow(f"several shops have an order {number}: say which with --merchant ({shops})")
    if not found:
        return None
    row, stays = found[0], kept_postcodes(_warehouses(shelf))
    gone: Gone = {"orders": 1, "returns": 0, "payloads": 0, "papers": 0}
    for parcel in await parcels_on_order(tx, row["id"]):
        gone["payloads"] += await _forget_parcel(tx, parcel, stays)
    for each in await erasing.returns_on(tx, row["id"]):
        for name, count in (await erase_return(tx, str(each["number"]), shelf) or {}).items():
            gone[name] += count
    await erasing.forget_order(tx, row["id"], row["merchant"], row["number"])
    return gone


async def erase_return(tx: Tx, number: str, shelf: Mapping[str, Sequence[Terms]]) -> Gone | None:
    """A return's person; None where there is no such return. Raises NotNow."""
    row = await return_named(tx, number)
    if row is None:
        return None
    left = await erasing.dispatches_on(tx, row["id"])
    subjects = [f"return:{row['id']}", *(subject_of(each) for each in left)]
    for subject in subjects:
        if await erasing.is_buying(tx, subject):
            raise NotNow(f"a purchase for return {number} is still open: settle it first (homeward labels reconcile)")
    stays = kept_postcodes(_warehouses(shelf))
    gone: Gone = {"returns": 1, "payloads": 0, "papers": 0}
    for parcel_id in [row["parcel_id"], *(each["parcel_id"] for each in left)]:
        parcel = await parcel_by_id(tx, parcel_id)
        gone["payloads"] += await _forget_parcel(tx, parcel, stays) if parcel else 0
    gone["papers"] = await erasing.forget_return(tx, row["id"], row["merchant"], row["number"])
    for subject in subjects[1:]:
        gone["papers"] += await erasing.forget_papers(tx, subject)
    return gone


async def forget_what_is_over(
    store: Store, shelf: Mapping[str, Sequence[Terms]], keep: Mapping[str, int], now: datetime
) -> Gone:
    """Forget what has been over for longer than it may be kept (story time); how much of each kind.

    An order with a purchase that is still open is left for the next time.
    """
    gone: Gone = {"orders": 0, "payloads": 0, "links": 0, "answers": 0}
    gone["orders"] = await _forget_orders(store, shelf, *_cuts(now, keep["addresses"]))
    cut, long = _cuts(now, keep["payloads"])
    while count := await store.write(lambda tx: erasing.drop_payloads(tx, cut_us=cut, long_us=long, limit=ROWS)):
        gone["payloads"] += count
    cut, _ = _cuts(now, keep["links"])
    gone["links"] = await store.write(lambda tx: erasing.drop_links(tx, cut))
    before = real_now() - timedelta(days=keep["answers"])  # a caller's key lives in real time
    gone["answers"] = await store.write(lambda tx: purge(tx, before))
    return gone


async def _forget_orders(store: Store, shelf: Mapping[str, Sequence[Terms]], cut: int, long: int) -> int:
    count = after = 0
    while True:
        rows = await store.read(partial(erasing.orders_over, cut_us=cut, long_us=long, after=after, limit=ROWS))
        if not rows:
            return count
        for row in rows:
            count += await _forgotten(store, row, shelf)
        after = rows[-1]["id"]


async def _forgotten(store: Store, row: Row, shelf: Mapping[str, Sequence[Terms]]) -> int:
    try:
        return int(bool(await store.write(lambda tx: erase_order(tx, row["number"], row["merchant"], shelf))))
    except NotNow:
        return 0


async def _forget_parcel(tx: Tx, parcel: Row, stays: Stays) -> int:
    """What carriers said of a parcel, under its own and its further numbers; how many payloads."""
    gone = 0
    for each in [parcel, *await erasing.further_parcels(tx, parcel["id"])]:
        gone += await erasing.forget_payloads(tx, each["carrier"], each["number"])
        await erasing.forget_postcodes(tx, each, stays)
    return gone


def _warehouses(shelf: Mapping[str, Sequence[Terms]]) -> set[str]:
    """The postcodes of every shop's warehouses, then and now: nobody lives there."""
    return {terms.warehouse.address.postal_code for versions in shelf.values() for terms in versions}


def _cuts(now: datetime, days: int) -> tuple[int, int]:
    """Before when it must have ended, and before when heard of last where it never ended."""
    return to_us(now - timedelta(days=days)), to_us(now - timedelta(days=days * NEVER_ENDED))
