"""Mutes as rows: alerts that nobody wants to hear of until a time, by a pattern of their keys."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from fleet.clocks import to_us
from store.engine import Row, Tx
from store.schema import mutes
from store.statement import statement

_ADD = statement(
    insert(mutes)
    .values({name: bindparam(name) for name in ("pattern", "until_us", "by", "why", "created_us")})
    .returning(mutes.c.id)
)
_LIVING = statement(
    select(mutes).where(mutes.c.lifted_us.is_(None), mutes.c.until_us > bindparam("now_us")).order_by(mutes.c.id)
)
_ONE = statement(select(mutes).where(mutes.c.id == bindparam("id")))
_LIFT = statement(
    update(mutes)
    .where(mutes.c.id == bindparam("id"), mutes.c.lifted_us.is_(None), mutes.c.until_us > bindparam("at_us"))
    .values(lifted_us=bindparam("at_us"))
)


async def add_mute(tx: Tx, *, pattern: str, until: datetime, by: str, why: str, at: datetime) -> Row:
    """A new mute (story time), as its row."""
    made = await tx.one(_ADD, pattern=pattern, until_us=to_us(until), by=by, why=why, created_us=to_us(at))
    assert made is not None
    row = await tx.one(_ONE, id=made["id"])
    assert row is not None
    return row


async def living_mutes(tx: Tx, now: datetime) -> Sequence[Row]:
    """The mutes that hold at this story time, oldest first."""
    return await tx.all(_LIVING, now_us=to_us(now))


async def lift_mute(tx: Tx, mute_id: int, at: datetime) -> bool:
    """It holds no longer; False when there is none that holds."""
    return bool(await tx.run(_LIFT, id=mute_id, at_us=to_us(at)))
