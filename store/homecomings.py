"""Homecomings: undeliverable parcels that the warehouse has again, and what was settled for them."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select, update

from store.schema import homecomings, order_parcels, orders, parcels
from store.statement import statement
from store.unit import Row, Tx

_ADD = statement(
    lambda insert: (
        insert(homecomings)
        .values({name: bindparam(name) for name in ("parcel_id", "received_us", "teller", "settlement")})
        .on_conflict_do_nothing(index_elements=["parcel_id"])
    )
)
_FIND = statement(select(homecomings).where(homecomings.c.parcel_id == bindparam("parcel_id")))
_RESTATE = statement(
    update(homecomings).where(homecomings.c.parcel_id == bindparam("of")).values(settlement=bindparam("to_settlement"))
)
_CARRIED = statement(
    select(orders.c.id, orders.c.number, orders.c.order, order_parcels.c["items"])
    .join(order_parcels, order_parcels.c.order_id == orders.c.id)
    .where(order_parcels.c.parcel_id == bindparam("parcel_id"))
    .order_by(orders.c.id)
)
_OF_ORDER = statement(
    select(homecomings, parcels.c.carrier, parcels.c.number)
    .join(parcels, parcels.c.id == homecomings.c.parcel_id)
    .join(order_parcels, order_parcels.c.parcel_id == homecomings.c.parcel_id)
    .where(order_parcels.c.order_id == bindparam("order_id"))
    .order_by(homecomings.c.received_us)
)


async def add_homecoming(tx: Tx, parcel_id: int, *, received_us: int, teller: str, settlement: str) -> bool:
    """It is home; False when that was known."""
    return bool(await tx.run(_ADD, parcel_id=parcel_id, received_us=received_us, teller=teller, settlement=settlement))


async def find_homecoming(tx: Tx, parcel_id: int) -> Row | None:
    return await tx.one(_FIND, parcel_id=parcel_id)


async def restate_homecoming(tx: Tx, parcel_id: int, settlement: str) -> None:
    """What was settled, told with what became known since."""
    await tx.run(_RESTATE, of=parcel_id, to_settlement=settlement)


async def homecomings_of(tx: Tx, order_id: int) -> Sequence[Row]:
    """An order's parcels that are home again, with what was settled for them."""
    return await tx.all(_OF_ORDER, order_id=order_id)


async def carried_by(tx: Tx, parcel_id: int) -> Sequence[Row]:
    """The orders on a parcel: number, facts, and the items of each that it carries."""
    return await tx.all(_CARRIED, parcel_id=parcel_id)
