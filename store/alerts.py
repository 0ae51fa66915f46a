"""Alerts as rows: one per key, climbing while it is open, opened again when it comes back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from fleet.clocks import to_us
from store.engine import Row, Tx
from store.schema import alerts
from store.statement import statement

_WHAT = ("rung", "severity", "merchant", "carrier", "title", "action", "data")
_BY_KEY = statement(select(alerts).where(alerts.c.key == bindparam("key")).with_for_update())
_BY_ID = statement(select(alerts).where(alerts.c.id == bindparam("id")).with_for_update())
_ADD = statement(
    insert(alerts)
    .values({name: bindparam(name) for name in ("key", "subject", *_WHAT, "opened_us")})
    .returning(alerts.c.id)
)
_REOPEN = statement(
    update(alerts)
    .where(alerts.c.id == bindparam("id"))
    .values(
        {name: bindparam(name) for name in (*_WHAT, "opened_us")}
        | {"acked_us": None, "acked_by": "", "cleared_us": None, "count": 1}
    )
)
_CLIMB = statement(
    update(alerts)
    .where(alerts.c.id == bindparam("id"))
    .values(
        {name: bindparam(name) for name in _WHAT} | {"acked_us": None, "acked_by": "", "count": alerts.c["count"] + 1}
    )
)
_MOVE = statement(
    update(alerts)
    .where(alerts.c.id == bindparam("id"))
    .values({name: bindparam(name) for name in _WHAT} | {"count": alerts.c["count"] + 1})
)
_AGAIN = statement(update(alerts).where(alerts.c.id == bindparam("id")).values(count=alerts.c["count"] + 1))
_OPEN_ABOUT = statement(
    select(alerts)
    .where(alerts.c.subject == bindparam("subject"), alerts.c.cleared_us.is_(None))
    .order_by(alerts.c.id)
    .with_for_update()
)
_CLEAR = statement(
    update(alerts)
    .where(alerts.c.id == bindparam("id"), alerts.c.cleared_us.is_(None))
    .values(cleared_us=bindparam("at_us"))
)
_ACK = statement(
    update(alerts)
    .where(alerts.c.id == bindparam("id"), alerts.c.acked_us.is_(None), alerts.c.cleared_us.is_(None))
    .values(acked_us=bindparam("at_us"), acked_by=bindparam("by"))
)
_OPEN = statement(
    select(alerts)
    .where(alerts.c.cleared_us.is_(None), alerts.c.id < bindparam("before"))
    .order_by(alerts.c.id.desc())
    .limit(bindparam("limit"))
)


async def find_alert(tx: Tx, key: str) -> Row | None:
    """The alert with this key, open or cleared; held for the unit."""
    return await tx.one(_BY_KEY, key=key)


async def get_alert(tx: Tx, alert_id: int) -> Row | None:
    """The alert with this number."""
    return await tx.one(_BY_ID, id=alert_id)


async def add_alert(tx: Tx, *, key: str, subject: str, at: datetime, **what: Any) -> int:
    """A new alert (`what`: rung, severity, merchant, carrier, title, action, data); returns its number."""
    row = await tx.one(_ADD, key=key, subject=subject, opened_us=to_us(at), **what)
    assert row is not None
    return int(row["id"])


async def reopen_alert(tx: Tx, alert_id: int, at: datetime, **what: Any) -> None:
    """It is back: open since now, unseen, counted from one."""
    await tx.run(_REOPEN, id=alert_id, opened_us=to_us(at), **what)


async def climb_alert(tx: Tx, alert_id: int, **what: Any) -> None:
    """It is graver now, and nobody has seen that yet."""
    await tx.run(_CLIMB, id=alert_id, **what)


async def move_alert(tx: Tx, alert_id: int, **what: Any) -> None:
    """It stands on another rung now, but is no graver: who has seen it need not look again."""
    await tx.run(_MOVE, id=alert_id, **what)


async def count_again(tx: Tx, alert_id: int) -> None:
    """The same once more."""
    await tx.run(_AGAIN, id=alert_id)


async def open_about(tx: Tx, subject: str) -> Sequence[Row]:
    """The open alerts about a subject; held for the unit."""
    return await tx.all(_OPEN_ABOUT, subject=subject)


async def clear_alert(tx: Tx, alert_id: int, at: datetime) -> bool:
    """It is over; False when it was cleared before."""
    return bool(await tx.run(_CLEAR, id=alert_id, at_us=to_us(at)))


async def ack_alert(tx: Tx, alert_id: int, by: str, at: datetime) -> bool:
    """Somebody has seen it; False when it was acknowledged or cleared before."""
    return bool(await tx.run(_ACK, id=alert_id, by=by, at_us=to_us(at)))


async def open_page(tx: Tx, *, before: int = 2**62, limit: int = 50) -> Sequence[Row]:
    """Open alerts, newest first; the last row's id is the next `before`."""
    return await tx.all(_OPEN, before=before, limit=limit)
