"""Signed links to the follow pages: kept as hashes only, scoped to one order or return, revocable."""

from typing import Any

from sqlalchemy import bindparam, insert, select, update

from store.schema import links, order_parcels, parcels, returns
from store.statement import statement
from store.unit import Row, Tx

_ADD = statement(
    insert(links)
    .values({name: bindparam(name) for name in ("hash", "kind", "merchant", "number", "created_us", "ends_us")})
    .returning(links.c.id)
)
_FIND = statement(select(links).where(links.c.hash == bindparam("hash"), links.c.revoked_us.is_(None)))
_REVOKE = statement(
    update(links)
    .where(links.c.id == bindparam("id"), links.c.revoked_us.is_(None))
    .values(revoked_us=bindparam("at_us"))
)
_PARCELS_OF_ORDER = statement(
    select(parcels.c.ended_us)
    .join(order_parcels, order_parcels.c.parcel_id == parcels.c.id)
    .where(order_parcels.c.order_id == bindparam("id"))
)
_PARCELS_OF_RETURN = statement(
    select(parcels.c.ended_us).join(returns, returns.c.parcel_id == parcels.c.id).where(returns.c.id == bindparam("id"))
)


async def add_link(tx: Tx, **values: Any) -> int:
    """Keep a link by the hash of its token; returns its number."""
    row = await tx.one(_ADD, **values)
    assert row is not None
    return int(row["id"])


async def find_link(tx: Tx, hash: str) -> Row | None:
    """The link of this token's hash, unless it was revoked."""
    return await tx.one(_FIND, hash=hash)


async def revoke_link(tx: Tx, link_id: int, at_us: int) -> bool:
    """End a link; False when there is none living with this number."""
    return bool(await tx.run(_REVOKE, id=link_id, at_us=at_us))


async def journey_ended_us(tx: Tx, kind: str, id: int) -> int | None:
    """When the last parcel of an order or return ended; None while one is under way, or none is known."""
    rows = await tx.all(_PARCELS_OF_ORDER if kind == "order" else _PARCELS_OF_RETURN, id=id)
    ends = [row["ended_us"] for row in rows]
    return max(ends) if ends and None not in ends else None
