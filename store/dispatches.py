"""Dispatches: parcels that leave the warehouse because of a return, from the wish for a label to the parcel."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select, update

from store.schema import dispatches, parcels
from store.statement import statement
from store.unit import Row, Tx

_COLUMNS = ("return_id", "name", "kind", "loads", "payer", "next_us", "created_us")

_ADD = statement(
    lambda insert: (
        insert(dispatches)
        .values({name: bindparam(f"{name}_") for name in _COLUMNS})
        .on_conflict_do_nothing(index_elements=["return_id", "name"])
    )
)
_FIND = statement(select(dispatches).where(dispatches.c.id == bindparam("id")))
_LOCK = statement(select(dispatches).where(dispatches.c.id == bindparam("id")).with_for_update())
_DUE = statement(
    select(dispatches.c.id)
    .where(dispatches.c.next_us <= bindparam("real_now"))
    .order_by(dispatches.c.next_us, dispatches.c.id)
    .limit(bindparam("limit"))
)
_CHANGE = statement(
    update(dispatches)
    .where(dispatches.c.id == bindparam("of"))
    .values(parcel_id=bindparam("to_parcel"), why=bindparam("to_why"), next_us=bindparam("to_next"))
)
_OF_RETURN = statement(
    select(dispatches, parcels.c.carrier, parcels.c.number, parcels.c.leg, parcels.c.status)
    .outerjoin(parcels, parcels.c.id == dispatches.c.parcel_id)
    .where(dispatches.c.return_id == bindparam("return_id"))
    .order_by(dispatches.c.id)
)


async def add_dispatch(
    tx: Tx, *, return_id: int, name: str, kind: str, loads: str, payer: str, next_us: int, created_us: int
) -> bool:
    """Something is to leave; False when it was wished before."""
    return bool(
        await tx.run(
            _ADD,
            return_id_=return_id,
            name_=name,
            kind_=kind,
            loads_=loads,
            payer_=payer,
            next_us_=next_us,
            created_us_=created_us,
        )
    )


async def find_dispatch(tx: Tx, dispatch_id: int) -> Row | None:
    return await tx.one(_FIND, id=dispatch_id)


async def lock_dispatch(tx: Tx, dispatch_id: int) -> Row | None:
    """The dispatch, held until the transaction ends."""
    return await tx.one(_LOCK, id=dispatch_id)


async def due_dispatches(tx: Tx, real_now_us: int, limit: int) -> list[int]:
    """Dispatches that wait for a label to be planned."""
    return [row["id"] for row in await tx.all(_DUE, real_now=real_now_us, limit=limit)]


async def change_dispatch(tx: Tx, dispatch_id: int, *, parcel_id: int | None, why: str, next_us: int | None) -> None:
    await tx.run(_CHANGE, of=dispatch_id, to_parcel=parcel_id, to_why=why, to_next=next_us)


async def dispatches_of(tx: Tx, return_id: int) -> Sequence[Row]:
    """What leaves because of a return, each with its parcel where there is one."""
    return await tx.all(_OF_RETURN, return_id=return_id)
