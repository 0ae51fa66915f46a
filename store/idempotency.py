"""Idempotency keys: the first request with a key does the work, every later one gets the stored answer."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import bindparam, delete, select, update

from fleet.clocks import to_us
from store.engine import Tx
from store.schema import idempotency
from store.statement import statement

# A request that has run for this long died with its process: the next one with the same key and body does the work.
PATIENCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Begun:
    """Do the work, then `finish` or `forget` with this."""

    caller: str
    key: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Answered:
    """Done before: give this answer again, marked as a replay."""

    status: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Running:
    """The first request with this key is still at work."""


@dataclass(frozen=True, slots=True)
class OtherBody:
    """The key was used with another body."""


Begin: TypeAlias = Begun | Answered | Running | OtherBody

_MINE = (idempotency.c.caller == bindparam("caller"), idempotency.c.key == bindparam("key"))
_ADD = statement(
    lambda insert: (
        insert(idempotency)
        .values(
            caller=bindparam("caller"), key=bindparam("key"), body_digest=bindparam("body_digest"), state="running",
            created_us=bindparam("at_us"),
        )
        .on_conflict_do_nothing()
    )
)  # fmt: skip
_GET = statement(select(idempotency).where(*_MINE))
_TAKE_OVER = statement(
    update(idempotency)
    .where(*_MINE, idempotency.c.state == "running", idempotency.c.created_us == bindparam("seen_us"))
    .values(created_us=bindparam("at_us"))
)
_FINISH = statement(
    update(idempotency)
    .where(*_MINE, idempotency.c.state == "running", idempotency.c.created_us == bindparam("at_us"))
    .values(state="done", status=bindparam("status"), answer=bindparam("answer"))
)
_FORGET = statement(
    delete(idempotency).where(
        *_MINE, idempotency.c.state == "running", idempotency.c.created_us == bindparam("at_us")
    )
)  # fmt: skip
_FORGET_RUNNING = statement(delete(idempotency).where(idempotency.c.state == "running"))
_PURGE = statement(delete(idempotency).where(idempotency.c.created_us < bindparam("before_us")))


async def begin(tx: Tx, *, caller: str, key: str, body_digest: str, at: datetime) -> Begin:
    """What to do with a request that carries this key. `at` is real time."""
    begun = Begun(caller, key, to_us(at))
    if await tx.run(_ADD, caller=caller, key=key, body_digest=body_digest, at_us=begun.at_us):
        return begun
    row = await tx.one(_GET, caller=caller, key=key)
    if row is None:  # forgotten between the two statements
        return Running()
    if row["body_digest"] != body_digest:
        return OtherBody()
    if row["state"] == "done":
        return Answered(row["status"], bytes(row["answer"]))
    died = begun.at_us - row["created_us"] > PATIENCE // timedelta(microseconds=1)
    if died and await tx.run(_TAKE_OVER, caller=caller, key=key, seen_us=row["created_us"], at_us=begun.at_us):
        return begun
    return Running()


async def finish(tx: Tx, begun: Begun, *, status: int, answer: bytes) -> bool:
    """Keep the answer; False when another request took the key over meanwhile."""
    return bool(
        await tx.run(
            _FINISH, caller=begun.caller, key=begun.key, at_us=begun.at_us, status=status, answer=answer
        )
    )  # fmt: skip


async def forget(tx: Tx, begun: Begun) -> bool:
    """The work failed on our side: the same key may try again."""
    return bool(await tx.run(_FORGET, caller=begun.caller, key=begun.key, at_us=begun.at_us))


async def purge(tx: Tx, before: datetime) -> int:
    """Drop keys older than this; how many."""
    return await tx.run(_PURGE, before_us=to_us(before))


async def forget_running(tx: Tx) -> int:
    """Forget the calls that were under way when their process died; only where no other process can be at work."""
    return await tx.run(_FORGET_RUNNING)
