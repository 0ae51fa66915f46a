"""What each alert channel is told: one row for each notice about an alert, tried until it arrived."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam, case, func, select, update

from fleet.clocks import to_us
from store.engine import Row, Tx
from store.schema import alerts, outbox, tellings
from store.statement import statement


@dataclass(frozen=True, slots=True)
class Telling:
    """A telling that was taken: what is to be told, which try this is, and the lease that its end must name."""

    id: int
    subject: str
    what: str
    type: str
    data: str
    tries: int
    lease_us: int


_ADD = statement(
    lambda insert: (
        insert(tellings)
        .values({name: bindparam(name) for name in ("channel", "outbox_id", "subject", "what", "state", "next_us")})
        .on_conflict_do_nothing()
    )
)
_LAST = statement(
    select(tellings.c.what, tellings.c.state)
    .where(
        tellings.c.subject == bindparam("subject"),
        tellings.c.channel == bindparam("channel"),
        tellings.c.id < bindparam("before"),
    )
    .order_by(tellings.c.id.desc())
    .limit(1)
)
_NEWER = statement(
    select(tellings.c.id)
    .where(
        tellings.c.subject == bindparam("subject"),
        tellings.c.channel == bindparam("channel"),
        tellings.c.id > bindparam("id"),
    )
    .limit(1)
)
_DUE = statement(
    select(
        tellings.c.id, tellings.c.subject, tellings.c.what, tellings.c.tries, outbox.c.type, outbox.c.data,
    )
    .join(outbox, outbox.c.id == tellings.c.outbox_id)
    .where(
        tellings.c.channel == bindparam("channel"),
        tellings.c.state == "due",
        tellings.c.next_us <= bindparam("now_us"),
    )
    # the least tried first: what a channel chokes on lets the others pass
    .order_by(tellings.c.tries, tellings.c.id)
    .limit(1)
    .with_for_update(of=tellings, skip_locked=True)
)  # fmt: skip
_IS_DUE = statement(
    select(tellings.c.id)
    .where(
        tellings.c.channel == bindparam("channel"),
        tellings.c.state == "due",
        tellings.c.next_us <= bindparam("now_us"),
    )
    .limit(1)
)
# the try is counted before it is made
_TAKE = statement(
    update(tellings)
    .where(tellings.c.id == bindparam("id"))
    .values(next_us=bindparam("lease_us"), tries=tellings.c.tries + 1)
)
_SETTLE = statement(
    update(tellings)
    .where(tellings.c.id == bindparam("id"), tellings.c.state == "due", tellings.c.next_us == bindparam("lease_us"))
    .values(
        state=bindparam("state"), next_us=bindparam("next_us"), done_us=bindparam("done_us"),
        detail=bindparam("detail"),
    )
)  # fmt: skip
_WAIT = statement(
    update(tellings)
    .where(
        tellings.c.channel == bindparam("channel"),
        tellings.c.state == "due",
        tellings.c.next_us < bindparam("until_us"),
    )
    .values(next_us=bindparam("until_us"))
)
_HELD = statement(
    select(tellings.c.id, tellings.c.subject, tellings.c.what, outbox.c.data)
    .join(outbox, outbox.c.id == tellings.c.outbox_id)
    .where(tellings.c.channel == bindparam("channel"), tellings.c.state == "held", tellings.c.id > bindparam("after"))
    .order_by(tellings.c.id)
    .limit(bindparam("limit"))
)
_MOVE = statement(
    update(tellings)
    .where(tellings.c.id == bindparam("id"))
    .values(state=bindparam("state"), next_us=bindparam("next_us"))
)
_STANDING = statement(
    select(
        tellings.c.channel,
        func.sum(case((tellings.c.state == "due", 1), else_=0)).label("due"),
        func.sum(case((tellings.c.state == "held", 1), else_=0)).label("held"),
        func.max(case((and_(tellings.c.state == "due"), tellings.c.tries), else_=0)).label("tries"),
        func.max(tellings.c.done_us).label("last_us"),
        func.min(case((tellings.c.state == "due", tellings.c.next_us))).label("next_us"),
        func.max(case((tellings.c.state == "due", tellings.c.detail), else_="")).label("detail"),
    ).group_by(tellings.c.channel)
)  # fmt: skip
_COUNTS = statement(
    select(outbox.c.type, func.count().label("n"))
    .where(
        (outbox.c.type == "alert.raised") | (outbox.c.type == "alert.cleared"), outbox.c.at_us >= bindparam("since_us")
    )
    .group_by(outbox.c.type)
)
_GRAVEST = statement(
    select(alerts)
    .where(alerts.c.cleared_us.is_(None))
    .order_by(
        case((alerts.c.severity == "critical", 0), (alerts.c.severity == "warning", 1), else_=2), alerts.c.opened_us
    )
    .limit(bindparam("limit"))
)


async def add_telling(
    tx: Tx, *, channel: str, outbox_id: int, subject: str, what: str, state: str, at: datetime
) -> bool:
    """A channel is told this notice, at once (real time) unless it is held; False when it is told already."""
    return bool(
        await tx.run(
            _ADD, channel=channel, outbox_id=outbox_id, subject=subject, what=what, state=state, next_us=to_us(at)
        )
    )


async def last_telling(tx: Tx, channel: str, subject: str, before: int = 2**62) -> Row | None:
    """What a channel was last told about a subject (`what`, `state`), before this telling."""
    return await tx.one(_LAST, channel=channel, subject=subject, before=before)


async def has_newer(tx: Tx, channel: str, subject: str, telling_id: int) -> bool:
    """Whether there is anything to tell about the subject that came after this telling."""
    return await tx.one(_NEWER, channel=channel, subject=subject, id=telling_id) is not None


async def is_due(tx: Tx, channel: str, now: datetime) -> bool:
    """Whether a channel has anything due (real time): a look that takes nothing."""
    return await tx.one(_IS_DUE, channel=channel, now_us=to_us(now)) is not None


async def take(tx: Tx, channel: str, *, now: datetime, lease_until: datetime) -> Telling | None:
    """Take what is due for a channel, one at a time, until the lease ends."""
    row = await tx.one(_DUE, channel=channel, now_us=to_us(now))
    if row is None:
        return None
    lease_us = to_us(lease_until)
    await tx.run(_TAKE, id=row["id"], lease_us=lease_us)
    return Telling(row["id"], row["subject"], row["what"], row["type"], row["data"], row["tries"] + 1, lease_us)


async def settle(tx: Tx, told: Telling, *, at: datetime, next_at: datetime | None, detail: str = "") -> None:
    """Keep how a try ended: it arrived, or is tried again at `next_at`."""
    await tx.run(
        _SETTLE,
        id=told.id,
        lease_us=told.lease_us,
        state="done" if next_at is None else "due",
        next_us=None if next_at is None else to_us(next_at),
        done_us=to_us(at) if next_at is None else None,
        detail=detail,
    )


async def wait(tx: Tx, channel: str, until: datetime) -> None:
    """Nothing is tried at this channel before then."""
    await tx.run(_WAIT, channel=channel, until_us=to_us(until))


async def list_held(tx: Tx, channel: str, *, after: int, limit: int) -> Sequence[Row]:
    """What a channel is not told for now (id, subject, what, data), oldest first."""
    return await tx.all(_HELD, channel=channel, after=after, limit=limit)


async def move(tx: Tx, telling_id: int, state: str, at: datetime) -> None:
    """Hold a telling, let it go (due since `at`), or end it."""
    await tx.run(_MOVE, id=telling_id, state=state, next_us=to_us(at))


async def standing(tx: Tx) -> Sequence[Row]:
    """Of each channel: due, held, tries (the most of one), last_us (told), next_us, detail."""
    return await tx.all(_STANDING)


async def alerts_since(tx: Tx, since: datetime) -> dict[str, int]:
    """How many alerts were raised and cleared since this story time, by the notice's type."""
    return {row["type"]: int(row["n"]) for row in await tx.all(_COUNTS, since_us=to_us(since))}


async def gravest(tx: Tx, limit: int) -> Sequence[Row]:
    """Open alerts, the gravest first, then the oldest."""
    return await tx.all(_GRAVEST, limit=limit)
