"""What a shopper's look-up reads: one order or return by its number, and the parcels on it."""

from collections.abc import Sequence

from sqlalchemy import bindparam, literal_column, select

from store.schema import concluded, dispatches, order_parcels, orders, parcels, return_orders, returns
from store.statement import statement
from store.unit import Row, Tx

_ORDERS_NAMED = statement(select(orders).where(orders.c.number == bindparam("number")).order_by(orders.c.id).limit(20))
_RETURN_NAMED = statement(select(returns).where(returns.c.number == bindparam("number")))
_ORDERS_OF_RETURN = statement(
    select(orders)
    .join(return_orders, return_orders.c.order_id == orders.c.id)
    .where(return_orders.c.return_id == bindparam("return_id"))
    .order_by(orders.c.id)
)
ORDER_PARCELS = statement(
    select(parcels, concluded)
    .join(order_parcels, order_parcels.c.parcel_id == parcels.c.id)
    .where(order_parcels.c.order_id == bindparam("order_id"))
    .order_by(parcels.c.id)
)


# From one row that is always there: a number that nobody has gives a row too, all NULL, and takes as long as one that
# somebody has.  # source: design/faults-and-security.md (e), rule 3: the same work done
_ONE = select(literal_column("1").label("one")).subquery()
ORDERS_OR_NOBODY = statement(
    select(orders)
    .select_from(_ONE.outerjoin(orders, orders.c.number == bindparam("number")))
    .order_by(orders.c.id)
    .limit(20)
)
_RETURN_OR_NOBODY = statement(
    select(returns).select_from(_ONE.outerjoin(returns, returns.c.number == bindparam("number")))
)

_LEFT_FOR = statement(
    select(parcels, concluded)
    .join(dispatches, dispatches.c.parcel_id == parcels.c.id)
    .where(dispatches.c.return_id == bindparam("return_id"))
    .order_by(dispatches.c.id)
)


async def left_for(tx: Tx, return_id: int) -> Sequence[Row]:
    """The parcels that left the warehouse because of a return: to the customer again, or in exchange."""
    return await tx.all(_LEFT_FOR, return_id=return_id)


async def orders_named(tx: Tx, number: str) -> Sequence[Row]:
    """Every shop's order of this number."""
    return await tx.all(_ORDERS_NAMED, number=number)


async def orders_or_nobody(tx: Tx, number: str) -> Sequence[Row]:
    """Every shop's order of this number; where there is none, one row without an id, at the same cost."""
    return await tx.all(ORDERS_OR_NOBODY, number=number)


async def return_or_nobody(tx: Tx, number: str) -> Row:
    """The return of this number; where there is none, a row without an id, at the same cost."""
    row = await tx.one(_RETURN_OR_NOBODY, number=number)
    assert row is not None  # the statement always gives one
    return row


async def return_named(tx: Tx, number: str) -> Row | None:
    return await tx.one(_RETURN_NAMED, number=number)


async def orders_of_return(tx: Tx, return_id: int) -> Sequence[Row]:
    return await tx.all(_ORDERS_OF_RETURN, return_id=return_id)


async def parcels_on_order(tx: Tx, order_id: int) -> Sequence[Row]:
    return await tx.all(ORDER_PARCELS, order_id=order_id)
