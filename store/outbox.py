"""The outbox: everything we tell, each thing said once. Webhooks and alerts read it later, each at its own pace."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, func, select, update

from fleet.clocks import to_us
from store.engine import Row, Tx
from store.schema import outbox, sequences
from store.statement import one_of, statement

_SAID = statement(
    select(outbox.c.id).where(outbox.c.subject == bindparam("subject"), outbox.c.name == bindparam("name"))
)
_NEXT = statement(
    lambda insert: (
        insert(sequences)
        .values(subject=bindparam("subject"), value=1)
        .on_conflict_do_update(index_elements=["subject"], set_={"value": sequences.c.value + 1})
        .returning(sequences.c.value)
    )
)
_SAID_OF_ALL = statement(select(outbox.c.subject, outbox.c.name).where(one_of(outbox.c.subject, "subjects", str)))
_NEXT_MANY = statement(
    lambda insert: (
        ins := insert(sequences).values(subject=bindparam("subject"), value=bindparam("count"))
    ).on_conflict_do_update(index_elements=["subject"], set_={"value": sequences.c.value + ins.excluded.value})
)
_NUMBERED = statement(select(sequences).where(one_of(sequences.c.subject, "subjects", str)))
_SAY_NEW = statement(
    lambda insert: insert(outbox).values(
        {name: bindparam(name) for name in ("notice_id", "subject", "name", "type", "sequence", "at_us", "data")}
    )
)
_TAKE_BACK = statement(
    update(sequences).where(sequences.c.subject == bindparam("subject")).values(value=sequences.c.value - 1)
)
_SAY = statement(
    lambda insert: (
        insert(outbox)
        .values(
            {name: bindparam(name) for name in ("notice_id", "subject", "name", "type", "sequence", "at_us", "data")}
        )
        .on_conflict_do_nothing()
    )
)
_UNSPREAD = statement(
    select(outbox).where(outbox.c.spread_us.is_(None)).order_by(outbox.c.id).limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)  # fmt: skip
_SPREAD = statement(
    update(outbox)
    .where(outbox.c.id == bindparam("id"), outbox.c.spread_us.is_(None))
    .values(spread_us=bindparam("at_us"))
)
_UNALERTED = statement(
    select(outbox).where(outbox.c.alerted_us.is_(None)).order_by(outbox.c.id).limit(bindparam("limit"))
    .with_for_update()
)  # fmt: skip
_ALERTED = statement(update(outbox).where(outbox.c.id == bindparam("id")).values(alerted_us=bindparam("at_us")))
_ABOUT = statement(
    select(outbox).where(outbox.c.subject == bindparam("subject")).order_by(outbox.c.sequence).limit(bindparam("limit"))
)
_WAITING = statement(select(func.count().label("rows")).select_from(outbox).where(outbox.c.spread_us.is_(None)))

_SINCE = statement(
    select(outbox.c.id, outbox.c.type, outbox.c.data)
    .where(outbox.c.id > bindparam("after"), outbox.c.at_us >= bindparam("since_us"), outbox.c.spread_us.is_not(None))
    .order_by(outbox.c.id)
    .limit(bindparam("limit"))
)


async def say(tx: Tx, *, subject: str, name: str, type: str, at: datetime, data: Mapping[str, Any]) -> bool:
    """Put a notice in the outbox. False when this name was said about this subject already: then nothing changes.

    Notices about one subject are numbered without gaps, in the order of their rows.
    """
    if await tx.one(_SAID, subject=subject, name=name):
        return False
    numbered = await tx.one(_NEXT, subject=subject)  # from here on nobody else says anything about this subject
    assert numbered is not None
    said = await tx.run(
        _SAY,
        notice_id=next(_notice_ids(1)),
        subject=subject,
        name=name,
        type=type,
        sequence=numbered["value"],
        at_us=to_us(at),
        data=msgspec.json.encode(data).decode(),
    )
    if not said:  # somebody said it while we waited for the number
        await tx.run(_TAKE_BACK, subject=subject)
    tx.touch(subject)
    return bool(said)


class Saying(Struct, frozen=True):
    """A notice that may have been said already. `data` is JSON."""

    subject: str
    name: str
    type: str
    data: bytes


async def say_all(tx: Tx, sayings: Sequence[Saying], at: datetime) -> None:
    """Put in the outbox what was not said yet, in this order, each numbered as `say` does.

    Only for whoever holds what the subjects stand for (a parcel's row) until the transaction ends: nobody else says the
    same meanwhile; if somebody did, the transaction fails.
    """
    subjects = msgspec.json.encode(sorted({each.subject for each in sayings})).decode()
    said = {(row["subject"], row["name"]) for row in await tx.all(_SAID_OF_ALL, subjects=subjects)}
    fresh: dict[tuple[str, str], Saying] = {}
    for each in sayings:
        if (each.subject, each.name) not in said:
            fresh.setdefault((each.subject, each.name), each)
    if not fresh:
        return
    counts = Counter(subject for subject, _ in fresh)
    # sorted: two transactions that speak of the same subjects lock them in the same order
    await tx.many(_NEXT_MANY, [{"subject": subject, "count": counts[subject]} for subject in sorted(counts)])
    last = {row["subject"]: row["value"] for row in await tx.all(_NUMBERED, subjects=subjects)}
    numbers = {subject: count(last[subject] - counts[subject] + 1) for subject in counts}
    at_us = to_us(at)
    rows = [
        {
            "notice_id": id,
            "subject": each.subject,
            "name": each.name,
            "type": each.type,
            "sequence": next(numbers[each.subject]),
            "at_us": at_us,
            "data": each.data.decode(),
        }
        for id, each in zip(_notice_ids(len(fresh)), fresh.values(), strict=True)
    ]
    await tx.many(_SAY_NEW, rows)
    for subject in counts:
        tx.touch(subject)


async def find_said(tx: Tx, subject: str, name: str) -> int | None:
    """The row in which this name was said about this subject; None: it was not."""
    row = await tx.one(_SAID, subject=subject, name=name)
    return int(row["id"]) if row else None


async def unspread(tx: Tx, limit: int) -> Sequence[Row]:
    """The oldest rows that no delivery was made from; on PostgreSQL they are held, and rows held elsewhere left out."""
    return await tx.all(_UNSPREAD, limit=limit)


async def spread(tx: Tx, outbox_id: int, at: datetime) -> bool:
    """Mark a row as spread; False when somebody else did."""
    return bool(await tx.run(_SPREAD, id=outbox_id, at_us=to_us(at)))


async def unalerted(tx: Tx, limit: int) -> Sequence[Row]:
    """The oldest rows that alerts have not looked at; on PostgreSQL they are held until the unit ends."""
    return await tx.all(_UNALERTED, limit=limit)


async def alerted(tx: Tx, outbox_id: int, at: datetime) -> None:
    """Mark a row as looked at."""
    await tx.run(_ALERTED, id=outbox_id, at_us=to_us(at))


async def said_about(tx: Tx, subject: str, limit: int = 1000) -> Sequence[Row]:
    """What was told about a subject, in order."""
    return await tx.all(_ABOUT, subject=subject, limit=limit)


async def spread_since(tx: Tx, since: datetime, *, after: int, limit: int) -> Sequence[Row]:
    """Outbox rows (id, type, data) that were spread, said since this story time, a page at a time."""
    return await tx.all(_SINCE, since_us=to_us(since), after=after, limit=limit)


async def waiting(tx: Tx) -> int:
    """How many rows are still to be spread."""
    row = await tx.one(_WAITING)
    return int(row["rows"]) if row else 0


def _notice_ids(count: int) -> Iterator[str]:
    """By the millisecond at which they are made, so that their index grows at its end; 56 bits of chance after that."""
    made, chance = f"msg_{time.time_ns() // 1_000_000:012x}", os.urandom(7 * count).hex()
    return (made + chance[14 * at : 14 * (at + 1)] for at in range(count))
