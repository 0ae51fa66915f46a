"""The desk of ops: reads the outbox once, keeps the alerts, says what was raised or cleared, pages, acknowledges."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

import msgspec

from alerts.channels import Channel
from alerts.ladder import OVER_WHEN_SEEN, Clear, Notice, Raise, climbs, decide, is_graver, not_understood
from alerts.muting import Mute, muted_until, mutes_of
from alerts.tellings import spread
from fleet.clocks import from_us, text
from fleet.clocks import real_now as clock
from store import alerts as shelf
from store import outbox
from store.engine import Row, Store, Tx

ROWS = 100  # outbox rows looked at in one transaction
_TOLD = frozenset({"alert.raised", "alert.cleared", "ops.digest"})


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as ops see it."""

    id: int
    key: str
    rung: str
    severity: str
    title: str
    action: str
    merchant: str
    carrier: str
    data: Mapping[str, Any]
    count: int
    opened_at: datetime
    acked_at: datetime | None
    acked_by: str
    cleared_at: datetime | None
    muted_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some alerts, newest first, and where the next page begins (None: there is none)."""

    alerts: Sequence[Alert]
    next: int | None


async def sweep(
    store: Store, now: datetime, channels: Collection[Channel] = (), real_now: Callable[[], datetime] = clock
) -> int:
    """Look at every outbox row that nobody looked at for alerts, each exactly once and in order; how many.

    Alert, its notice, what the channels are told and the mark on the row are one transaction: a crash leaves all or
    none. An alert's own notice is a row too: the channels' tellings are made from it.
    """

    async def unit(tx: Tx) -> int:
        rows = await outbox.unalerted(tx, ROWS)
        muted = await mutes_of(tx, now) if rows and channels else ()
        for row in rows:
            if row["type"] in _TOLD:
                await spread(tx, row, channels, muted, real_now())
            else:
                await _look(tx, row, now)
            await outbox.alerted(tx, row["id"], now)
        return len(rows)

    total = 0
    while count := await store.write(unit):
        total += count
    return total


async def open_alerts(store: Store, *, before: int | None = None, limit: int = 50, now: datetime | None = None) -> Page:
    """The open alerts, newest first; `before` is the last page's `next`. With `now`: which of them are muted."""

    async def unit(tx: Tx) -> tuple[Sequence[Row], Sequence[Mute]]:
        rows = await shelf.open_page(tx, before=before or 2**62, limit=limit + 1)
        return rows, await mutes_of(tx, now) if now else ()

    rows, mutes = await store.read(unit)
    found = [_alert(row, muted_until(row["key"], mutes)) for row in rows[:limit]]
    return Page(found, found[-1].id if len(rows) > limit else None)


async def acknowledge(store: Store, alert_id: int, by: str, now: datetime) -> Alert | None:
    """Somebody has seen it; None when there is no such alert. Twice is once: the first name stays.

    What nothing later would clear (an unreadable payload, an unknown code) is over when it was seen.
    """

    async def unit(tx: Tx) -> Alert | None:
        row = await shelf.get_alert(tx, alert_id)
        if row is None:
            return None
        if await shelf.ack_alert(tx, alert_id, by, now) and row["rung"] in OVER_WHEN_SEEN:
            await _clear(tx, row, f"seen/{row['opened_us']}/{row['count']}", now)
        again = await shelf.get_alert(tx, alert_id)
        return _alert(again) if again else None

    return await store.write(unit)


async def _look(tx: Tx, row: Row, now: datetime) -> None:
    notice = Notice(row["subject"], row["name"], row["type"], from_us(row["at_us"]), msgspec.json.decode(row["data"]))
    try:
        decisions = decide(notice)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        decisions = (not_understood(notice, error),)
    for decision in decisions:
        match decision:
            case Raise():
                await _raise(tx, decision, row["notice_id"], now)
            case Clear(subject, ""):
                for alert in await shelf.open_about(tx, subject):
                    await _clear(tx, alert, row["notice_id"], now)
            case Clear(_, key):
                alert_row = await shelf.find_alert(tx, key)
                if alert_row is not None:
                    await _clear(tx, alert_row, row["notice_id"], now)
            case _:
                assert_never(decision)


async def _raise(tx: Tx, wanted: Raise, cause: str, now: datetime) -> None:
    """Open, open again, climb or count; ops are told when it opens and when it becomes graver."""
    what = {
        "rung": wanted.rung,
        "severity": str(wanted.severity),
        "merchant": wanted.merchant,
        "carrier": wanted.carrier,
        "title": wanted.title,
        "action": wanted.action,
        "data": msgspec.json.encode(wanted.data).decode(),
    }
    found = await shelf.find_alert(tx, wanted.key)
    if found is None:
        alert_id = await shelf.add_alert(tx, key=wanted.key, subject=wanted.subject, at=now, **what)
    elif found["cleared_us"] is not None:
        alert_id = found["id"]
        await shelf.reopen_alert(tx, alert_id, now, **what)
    elif wanted.falls or climbs((found["rung"], found["severity"]), (wanted.rung, wanted.severity)):
        alert_id = found["id"]
        if not is_graver(found["severity"], wanted.severity):
            await shelf.move_alert(tx, alert_id, **what)
            return
        await shelf.climb_alert(tx, alert_id, **what)
    else:
        await shelf.count_again(tx, found["id"])
        return
    await _say(tx, alert_id, "raised", cause, now)


async def _clear(tx: Tx, row: Row, cause: str, now: datetime) -> None:
    if await shelf.clear_alert(tx, row["id"], now):
        await _say(tx, row["id"], "cleared", cause, now)


async def _say(tx: Tx, alert_id: int, what: str, cause: str, now: datetime) -> None:
    """Tell callers: the name holds the notice that caused it, so that judging a row twice says it once."""
    row = await shelf.get_alert(tx, alert_id)
    assert row is not None
    alert = _alert(row)
    data = {
        "alert": {
            "id": alert.id,
            "key": alert.key,
            "rung": alert.rung,
            "severity": alert.severity,
            "title": alert.title,
            "action": alert.action,
            "count": alert.count,
            "opened_at": text(alert.opened_at),
            "cleared_at": text(alert.cleared_at) if alert.cleared_at else None,
        },
        "merchant": alert.merchant,
        "carrier": alert.carrier,
        **alert.data,
    }
    await outbox.say(
        tx, subject=f"alert:{alert.id}", name=f"{what}/{cause}", type=f"alert.{what}", at=now, data=data
    )  # fmt: skip


def _alert(row: Row, muted: datetime | None = None) -> Alert:
    return Alert(
        id=row["id"],
        key=row["key"],
        rung=row["rung"],
        severity=row["severity"],
        title=row["title"],
        action=row["action"],
        merchant=row["merchant"],
        carrier=row["carrier"],
        data=msgspec.json.decode(row["data"]),
        count=row["count"],
        opened_at=from_us(row["opened_us"]),
        acked_at=None if row["acked_us"] is None else from_us(row["acked_us"]),
        acked_by=row["acked_by"],
        cleared_at=None if row["cleared_us"] is None else from_us(row["cleared_us"]),
        muted_until=muted,
    )
