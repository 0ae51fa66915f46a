"""Returns, which orders ride on them, and the notices of their parcels that they have not followed yet."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, and_, bindparam, case, cast, func, literal_column, select, update

from store.schema import orders, outbox, parcels, return_orders, returns
from store.statement import statement
from store.unit import Row, Tx

_COLUMNS = ("merchant", "number", "state", "return", "sealed", "created_us", "updated_us", "review_us")

_ADD = statement(
    lambda insert: (
        insert(returns)
        .values({name: bindparam(f"{name}_") for name in _COLUMNS})
        .on_conflict_do_nothing(index_elements=["number"])
    )
)
_FIND = statement(select(returns).where(returns.c.number == bindparam("number")))
_LOCK = statement(select(returns).where(returns.c.number == bindparam("number")).with_for_update())
_LOCK_BY_ID = statement(select(returns).where(returns.c.id == bindparam("id")).with_for_update())
_LOCK_BY_PARCEL = statement(select(returns).where(returns.c.parcel_id == bindparam("parcel_id")).with_for_update())
_CHANGE = statement(
    update(returns)
    .where(returns.c.id == bindparam("of"))
    .values(
        {"state": bindparam("to_state"), "return": bindparam("to_return"), "version": returns.c.version + 1}
        | {"parcel_id": bindparam("to_parcel"), "updated_us": bindparam("to_updated")}
    )
)
_SET_REVIEW = statement(update(returns).where(returns.c.id == bindparam("of")).values(review_us=bindparam("to_review")))
_DUE = statement(
    select(returns.c.id)
    .where(returns.c.review_us <= bindparam("now"))
    .order_by(returns.c.review_us, returns.c.id)
    .limit(bindparam("limit"))
)
_JOIN = statement(
    lambda insert: insert(return_orders).values(
        return_id=bindparam("return_id"), order_id=bindparam("order_id"), items=bindparam("items")
    )
)
_ORDERS = statement(
    select(orders.c.id, orders.c.number, orders.c.order, return_orders.c["items"])
    .join(orders, orders.c.id == return_orders.c.order_id)
    .where(return_orders.c.return_id == bindparam("return_id"))
    .order_by(orders.c.id)
)
_OF_ORDER = statement(
    select(
        returns.c.id, returns.c.number, returns.c.state, returns.c.parcel_id, returns.c.created_us,
        returns.c["return"], return_orders.c["items"],
    )
    .join(returns, returns.c.id == return_orders.c.return_id)
    .where(return_orders.c.order_id == bindparam("order_id"))
    .order_by(returns.c.id)
)  # fmt: skip
# the case keeps PostgreSQL from reading a number out of another subject's name
_PARCEL_ID = case(
    (outbox.c.type == "parcel.status_changed", cast(func.substr(outbox.c.subject, len("parcel:") + 1), BigInteger)),
    else_=None,
)
_UNFOLLOWED = statement(
    select(outbox.c.id, returns.c.parcel_id, parcels.c.id.label("home_id"))
    .outerjoin(returns, returns.c.parcel_id == _PARCEL_ID)
    .outerjoin(
        parcels,
        and_(
            parcels.c.id == _PARCEL_ID,
            parcels.c.leg == literal_column("'back'"),
            parcels.c.status == literal_column("'delivered'"),
            parcels.c.purpose != literal_column("'return'"),
        ),
    )
    .where(outbox.c.followed_us.is_(None), outbox.c.type == literal_column("'parcel.status_changed'"))
    .order_by(outbox.c.id)
    .limit(bindparam("limit"))
)
_FOLLOWED = statement(update(outbox).where(outbox.c.id == bindparam("of")).values(followed_us=bindparam("at")))
_NOTICES = statement(
    select(outbox.c.sequence, outbox.c.at_us, outbox.c.data)
    .where(
        outbox.c.subject == bindparam("subject"),
        outbox.c.type == "parcel.status_changed",
        outbox.c.sequence > bindparam("after"),
    )
    .order_by(outbox.c.sequence)
)


async def add_return(tx: Tx, values: dict[str, Any]) -> bool:
    """A new return; False when its number is there already. `values` are the row's columns by name."""
    return bool(await tx.run(_ADD, **{f"{name}_": values.get(name) for name in _COLUMNS}))


async def join_order(tx: Tx, return_id: int, order_id: int, items: str) -> None:
    """These items of the order ride on the return."""
    await tx.run(_JOIN, return_id=return_id, order_id=order_id, items=items)


async def find_return(tx: Tx, number: str) -> Row | None:
    return await tx.one(_FIND, number=number)


async def lock_return(tx: Tx, number: str) -> Row | None:
    """The return, held until the transaction ends."""
    return await tx.one(_LOCK, number=number)


async def lock_return_by_id(tx: Tx, return_id: int) -> Row | None:
    return await tx.one(_LOCK_BY_ID, id=return_id)


async def lock_return_by_parcel(tx: Tx, parcel_id: int) -> Row | None:
    return await tx.one(_LOCK_BY_PARCEL, parcel_id=parcel_id)


async def change_return(
    tx: Tx, return_id: int, *, state: str, about: str, parcel_id: int | None, updated_us: int
) -> None:
    """Replace a return's state, its JSON and its parcel."""
    await tx.run(_CHANGE, of=return_id, to_state=state, to_return=about, to_parcel=parcel_id, to_updated=updated_us)
    tx.touch(f"return:{return_id}")


async def set_review(tx: Tx, return_id: int, review_us: int | None) -> None:
    """When a return is looked at again; None: only when something happens."""
    await tx.run(_SET_REVIEW, of=return_id, to_review=review_us)


async def due_returns(tx: Tx, now_us: int, limit: int) -> list[int]:
    """Returns whose time has come: too long silent, too long in the warehouse, a label that nobody used."""
    return [row["id"] for row in await tx.all(_DUE, now=now_us, limit=limit)]


async def orders_of(tx: Tx, return_id: int) -> Sequence[Row]:
    """The orders on a return, each with the items that come back."""
    return await tx.all(_ORDERS, return_id=return_id)


async def returns_of(tx: Tx, order_id: int) -> Sequence[Row]:
    """An order's returns, oldest first, each with the items of this order."""
    return await tx.all(_OF_ORDER, order_id=order_id)


async def unfollowed(tx: Tx, limit: int) -> Sequence[Row]:
    """Changes of parcels' status that nobody has looked at: `id`; `parcel_id` where the parcel is a return's, and
    `home_id` where it is another one that is at the warehouse again."""
    return await tx.all(_UNFOLLOWED, limit=limit)


async def mark_followed(tx: Tx, ids: Sequence[int], at_us: int) -> None:
    await tx.many(_FOLLOWED, [{"of": id, "at": at_us} for id in ids])


async def notices_after(tx: Tx, parcel_id: int, sequence: int) -> Sequence[Row]:
    """A parcel's changes of status after one of its notices, in order."""
    return await tx.all(_NOTICES, subject=f"parcel:{parcel_id}", after=sequence)
