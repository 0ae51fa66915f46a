"""The day's summary for a channel: what is open, what came and went. Said once a local day, whatever restarts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from alerts.channels import Channel
from fleet.clocks import from_us, text
from store import outbox
from store.audience import SEVERITIES
from store.engine import Row, Store, Tx
from store.tellings import alerts_since, gravest

SHOWN = 20
READ = 1000


async def summarise(store: Store, channels: Iterable[Channel], now: datetime) -> int:
    """Say what is due at this story time; how many summaries were said. The outbox keeps each day's name."""
    said = 0
    for channel in channels:
        if (day := due_day(channel, now)) and not await store.read(
            partial(outbox.find_said, subject=f"digest:{channel.name}", name=day)
        ):
            said += await store.write(partial(_say, channel=channel, day=day, now=now))
    return said


def due_day(channel: Channel, now: datetime) -> str:
    """The local day whose summary should have been said by now; "" before its hour, or where none is wanted."""
    local = now.astimezone(channel.zone)
    return local.date().isoformat() if channel.digest and local.time() >= channel.digest else ""


async def _say(tx: Tx, channel: Channel, day: str, now: datetime) -> bool:
    rows = [row for row in await gravest(tx, READ) if _is_heard(channel, row)]
    counts = await alerts_since(tx, now - timedelta(days=1))
    data = {"channel": channel.name, "title": _title(day, rows), "lines": _lines(rows, counts)}
    return await outbox.say(
        tx, subject=f"digest:{channel.name}", name=day, type="ops.digest", at=now, data=data
    )  # fmt: skip


def _is_heard(channel: Channel, row: Row) -> bool:
    return channel.audience.hears(row["severity"], row["merchant"], row["carrier"])


def _title(day: str, rows: Sequence[Row]) -> str:
    found = Counter(row["severity"] for row in rows)
    open_now = ", ".join(f"{found[name]} {name}" for name in reversed(SEVERITIES) if found[name])
    return f"[{day}] Homeward: {open_now + ' open' if open_now else 'nothing is open'}"


def _lines(rows: Sequence[Row], counts: dict[str, int]) -> list[str]:
    raised, cleared = counts.get("alert.raised", 0), counts.get("alert.cleared", 0)
    lines = [f"In the last 24 hours {raised} alerts were raised and {cleared} ended."]
    for row in rows[:SHOWN]:
        seen = f", seen by {row['acked_by']}" if row["acked_us"] is not None else ""
        lines += ["", f"{row['severity']}, since {text(from_us(row['opened_us']))}{seen}: {row['title']}"]
        lines.append(f"  {row['action']}")
    if len(rows) > SHOWN:
        lines += ["", f"And {len(rows) - SHOWN} more."]
    return lines
