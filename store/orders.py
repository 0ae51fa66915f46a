"""Orders, and which parcels carry which of their items."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, select, update

from store.schema import concluded, order_parcels, orders, parcels
from store.statement import statement
from store.unit import Row, Tx

_COLUMNS = (
    "merchant", "number", "state", "order", "sealed", "proof_email", "proof_postcode",
    "placed_us", "created_us", "updated_us",
)  # fmt: skip

_ADD = statement(
    lambda insert: (
        insert(orders)
        .values({name: bindparam(f"{name}_") for name in _COLUMNS})
        .on_conflict_do_nothing(index_elements=["merchant", "number"])
    )
)
_CHANGE = statement(
    update(orders)
    .where(orders.c.id == bindparam("of"))
    .values(
        {name: bindparam(f"{name}_") for name in _COLUMNS if name not in ("merchant", "number", "created_us")}
        | {"version": orders.c.version + 1}
    )
)
_FIND = statement(
    select(orders).where(orders.c.merchant == bindparam("merchant"), orders.c.number == bindparam("number"))
)
_LOCK = statement(
    select(orders)
    .where(orders.c.merchant == bindparam("merchant"), orders.c.number == bindparam("number"))
    .with_for_update()
)
_SHIPPED = statement(
    update(orders)
    .where(orders.c.id == bindparam("of"))
    .values(
        state=bindparam("to_state"),
        shipped_us=bindparam("to_shipped"),
        updated_us=bindparam("to_updated"),
        version=orders.c.version + 1,
    )
)
_LOAD = statement(
    lambda insert: (
        insert(order_parcels)
        .values(order_id=bindparam("order_id"), parcel_id=bindparam("parcel_id"), items=bindparam("items"))
        .on_conflict_do_nothing()
    )
)
_PARCELS = statement(
    select(
        parcels.c.id, parcels.c.carrier, parcels.c.number, parcels.c.purpose, parcels.c.leg, parcels.c.status,
        concluded, parcels.c.created_us, parcels.c.checked_us, parcels.c.next_poll_us,
        parcels.c.stale_us,
        order_parcels.c["items"],
    )
    .join(parcels, parcels.c.id == order_parcels.c.parcel_id)
    .where(order_parcels.c.order_id == bindparam("order_id"))
    .order_by(parcels.c.id)
)  # fmt: skip
_OWNERS = statement(select(order_parcels.c.order_id).where(order_parcels.c.parcel_id == bindparam("parcel_id")))


async def add_order(tx: Tx, values: dict[str, Any]) -> bool:
    """A new order; False when its number is there already. `values` are the row's columns by name."""
    return bool(await tx.run(_ADD, **{f"{name}_": values[name] for name in _COLUMNS}))


async def change_order(tx: Tx, order_id: int, values: dict[str, Any]) -> None:
    """Replace what the order service states of an order."""
    named = {f"{name}_": value for name, value in values.items() if name not in ("merchant", "number", "created_us")}
    await tx.run(_CHANGE, of=order_id, **named)
    tx.touch(f"order:{order_id}")


async def find_order(tx: Tx, merchant: str, number: str) -> Row | None:
    return await tx.one(_FIND, merchant=merchant, number=number)


async def lock_order(tx: Tx, merchant: str, number: str) -> Row | None:
    """The order, held until the transaction ends: its parcels and returns are added one after the other."""
    return await tx.one(_LOCK, merchant=merchant, number=number)


async def set_shipped(tx: Tx, order_id: int, *, state: str, shipped_us: int, updated_us: int) -> None:
    await tx.run(_SHIPPED, of=order_id, to_state=state, to_shipped=shipped_us, to_updated=updated_us)
    tx.touch(f"order:{order_id}")


async def load_parcel(tx: Tx, order_id: int, parcel_id: int, items: str) -> None:
    """The parcel carries these items of the order."""
    await tx.run(_LOAD, order_id=order_id, parcel_id=parcel_id, items=items)


async def parcels_of(tx: Tx, order_id: int) -> Sequence[Row]:
    """The order's parcels with their cached conclusions and the items they carry, in the order they shipped."""
    return await tx.all(_PARCELS, order_id=order_id)


async def owners_of(tx: Tx, parcel_id: int) -> list[int]:
    """The ids of the orders that ride on a parcel."""
    return [row["order_id"] for row in await tx.all(_OWNERS, parcel_id=parcel_id)]
