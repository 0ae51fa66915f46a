"""Mails that go out: what is to be sent, by whom it is being sent, and what became of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, null, or_, select, update

from store.engine import Row, Tx
from store.schema import mails
from store.statement import statement

_COLUMNS = (
    "subject", "name", "state", "message_id", "to_mark", "number", "language", "sealed", "next_us", "created_us",
)  # fmt: skip

_ADD = statement(
    lambda insert: (
        insert(mails)
        .values({name: bindparam(f"{name}_") for name in _COLUMNS})
        .on_conflict_do_nothing(index_elements=["subject", "name"])
    )
)
_FIND = statement(select(mails).where(mails.c.subject == bindparam("subject"), mails.c.name == bindparam("name")))
_OF = statement(select(mails).where(mails.c.subject == bindparam("subject")).order_by(mails.c.id))
_OPEN = or_(mails.c.state == "due", mails.c.state == "sending")
_DUE = statement(
    select(mails)
    .where(mails.c.next_us <= bindparam("real_now"), _OPEN)
    .order_by(mails.c.next_us, mails.c.id)
    .limit(bindparam("limit"))
)
_TAKE = statement(
    update(mails)
    .where(mails.c.id == bindparam("of"), mails.c.tries == bindparam("was_tries"), _OPEN)
    .values(state="sending", tries=mails.c.tries + 1, next_us=bindparam("lease"))
)
_END = statement(
    update(mails)
    .where(mails.c.id == bindparam("of"), mails.c.tries == bindparam("was_tries"), mails.c.state == "sending")
    .values(
        state=bindparam("to_state"), next_us=bindparam("to_next"), detail=bindparam("to_detail"),
        sent_us=bindparam("to_sent"),
    )
)  # fmt: skip
_EMPTY = statement(update(mails).where(mails.c.id == bindparam("of")).values(sealed=null()))
_FORGET = statement(update(mails).where(mails.c.subject == bindparam("subject")).values(sealed=null(), to_mark=""))
_FORGET_OPEN = statement(
    update(mails).where(mails.c.subject == bindparam("subject"), _OPEN).values(state="erased", next_us=None)
)


async def add_mail(tx: Tx, values: Mapping[str, Any]) -> bool:
    """A mail to be sent; False when one of this name is there: then nothing changes."""
    return bool(await tx.run(_ADD, **{f"{name}_": values[name] for name in _COLUMNS}))


async def find_mail(tx: Tx, subject: str, name: str) -> Row | None:
    return await tx.one(_FIND, subject=subject, name=name)


async def mails_of(tx: Tx, subject: str) -> Sequence[Row]:
    """Oldest first."""
    return await tx.all(_OF, subject=subject)


async def due_mails(tx: Tx, real_now_us: int, limit: int) -> Sequence[Row]:
    """Mails to send now, and those whose sender's lease is over."""
    return await tx.all(_DUE, real_now=real_now_us, limit=limit)


async def take_mail(tx: Tx, mail_id: int, was_tries: int, lease_us: int) -> bool:
    """One more try begins; False when somebody else was first."""
    return bool(await tx.run(_TAKE, of=mail_id, was_tries=was_tries, lease=lease_us))


async def end_mail(
    tx: Tx, mail_id: int, tries: int, *, state: str, next_us: int | None, detail: str, sent_us: int | None
) -> bool:
    """What became of this try; the message itself goes once nobody needs it."""
    ended = await tx.run(
        _END, of=mail_id, was_tries=tries, to_state=state, to_next=next_us, to_detail=detail, to_sent=sent_us
    )
    if ended and state != "due":
        await tx.run(_EMPTY, of=mail_id)
    return bool(ended)


async def forget_mails(tx: Tx, subject: str) -> int:
    """Erase: messages and recipients are gone, and what was still to be sent is not; how many rows."""
    await tx.run(_FORGET_OPEN, subject=subject)
    return await tx.run(_FORGET, subject=subject)
