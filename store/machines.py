"""The processes of an installation, and what only one of them does at a time: leases with a fence, in real time."""

from sqlalchemy import bindparam, delete, func, or_, select, update

from store.schema import leases, machines
from store.statement import statement
from store.unit import Tx

_SEEN = statement(
    lambda insert: (
        insert(machines)
        .values({name: bindparam(name) for name in ("id", "role", "started_us", "seen_us")})
        .on_conflict_do_update(index_elements=["id"], set_={"seen_us": bindparam("seen_us")})
    )
)
_LEFT = statement(delete(machines).where(machines.c.id == bindparam("id")))
_FORGOTTEN = statement(delete(machines).where(machines.c.seen_us < bindparam("before_us")))
_COUNT = statement(
    select(func.count().label("n")).select_from(machines).where(machines.c.seen_us >= bindparam("since_us"))
)
_OFFER = statement(
    lambda insert: (
        insert(leases).values(name=bindparam("name"), holder="", until_us=0, fence=0).on_conflict_do_nothing()
    )
)
_TAKE = statement(
    update(leases)
    .where(
        leases.c.name == bindparam("of"),
        or_(leases.c.holder == bindparam("by"), leases.c.until_us < bindparam("now_us")),
    )
    .values(holder=bindparam("by"), until_us=bindparam("to_until"), fence=leases.c.fence + 1)
)
_DROP = statement(delete(leases).where(leases.c.holder == bindparam("by")))


async def seen(tx: Tx, id: str, role: str, *, started_us: int, now_us: int, since_us: int) -> int:
    """This process lives; how many do, seen since then. Who was not seen for long is forgotten."""
    await tx.run(_SEEN, id=id, role=role, started_us=started_us, seen_us=now_us)
    await tx.run(_FORGOTTEN, before_us=since_us - 100 * (now_us - since_us))
    row = await tx.one(_COUNT, since_us=since_us)
    assert row is not None
    return int(row["n"])


async def left(tx: Tx, id: str) -> None:
    """This process ends: what it held is free at once."""
    await tx.run(_LEFT, id=id)
    await tx.run(_DROP, by=id)


async def hold(tx: Tx, name: str, by: str, *, now_us: int, until_us: int) -> bool:
    """Take the lease, or keep it; False while another process has it."""
    if await tx.run(_TAKE, of=name, by=by, now_us=now_us, to_until=until_us):
        return True
    if not await tx.run(_OFFER, name=name):
        return False
    return bool(await tx.run(_TAKE, of=name, by=by, now_us=now_us, to_until=until_us))
