"""Collections at a customer's door: wanted, booked, called off; one row per return and day."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, case, null, or_, select, update

from store.engine import Row, Tx
from store.schema import pickups
from store.statement import statement

_NEW = ("return_id", "day", "state", "carrier", "window", "sealed", "next_us", "created_us", "updated_us")
_CHANGED = ("state", "window", "sealed", "confirmation", "price", "currency", "words", "next_us", "checked_us")

_ADD = statement(lambda insert: insert(pickups).values({name: bindparam(f"{name}_") for name in _NEW}))
_OVER = or_(*(pickups.c.state == state for state in ("done", "not_done", "refused", "cancelled")))
_OF = statement(
    select(pickups)
    .where(pickups.c.return_id == bindparam("return_id"))
    .order_by(case((_OVER, 0), else_=1), pickups.c.updated_us, pickups.c.id)
)
_FIND = statement(select(pickups).where(pickups.c.id == bindparam("id")))
_DUE = statement(
    select(pickups)
    .where(
        pickups.c.next_us <= bindparam("real_now"),
        or_(pickups.c.state == "wanted", pickups.c.state == "cancelling"),
    )
    .order_by(pickups.c.next_us, pickups.c.id)
    .limit(bindparam("limit"))
)
_CHANGE = statement(
    update(pickups)
    .where(pickups.c.id == bindparam("of"), pickups.c.version == bindparam("was_version"))
    .values(
        {name: bindparam(f"to_{name}") for name in (*_CHANGED, "tries", "updated_us")}
        | {"version": pickups.c.version + 1}
    )
)
_FORGET = statement(update(pickups).where(pickups.c.return_id == bindparam("return_id")).values(sealed=null()))


async def add_pickup(tx: Tx, values: Mapping[str, Any]) -> None:
    """One more; a second one for the same return and day is an error of the database."""
    await tx.run(_ADD, **{f"{name}_": values[name] for name in _NEW})


async def pickups_of(tx: Tx, return_id: int) -> Sequence[Row]:
    """A return's collections; at the end the one that is open, else the one that changed last."""
    return await tx.all(_OF, return_id=return_id)


async def find_pickup(tx: Tx, pickup_id: int) -> Row | None:
    return await tx.one(_FIND, id=pickup_id)


async def due_pickups(tx: Tx, real_now_us: int, limit: int) -> Sequence[Row]:
    """What nobody has finished: to be booked, or to be called off."""
    return await tx.all(_DUE, real_now=real_now_us, limit=limit)


async def change_pickup(tx: Tx, row: Row, updated_us: int, **changes: Any) -> bool:
    """Change a collection that is still as it was read; False when somebody else was first."""
    values = {f"to_{name}": changes.get(name, row[name]) for name in (*_CHANGED, "tries")}
    return bool(await tx.run(_CHANGE, of=row["id"], was_version=row["version"], to_updated_us=updated_us, **values))


async def forget_pickups(tx: Tx, return_id: int) -> int:
    """Erase: addresses are gone, days and confirmations stay; how many."""
    return await tx.run(_FORGET, return_id=return_id)
