"""Tells the channels: each notice about an alert once, again until it arrived, and not while it is muted.

Due times are in real time, mutes in story time. A channel is a queue of its own: a dead one keeps no other waiting.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from alerts.channels import Channel, message_of
from alerts.muting import Mute, muted_until, mutes_of
from alerts.teller import Teller
from store import tellings as shelf
from store.engine import Row, Store, Tx
from store.tellings import Telling

LEASE = timedelta(seconds=90)  # longer than a message may take: its process died
MOST = 50  # messages to one channel in a sweep
HELD = 200  # held tellings looked at in one transaction
# what comes before each further try of a message, then hourly for as long as it takes: nothing is dropped
_WAITS = (timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=20), timedelta(hours=1))
_PAUSE = timedelta(minutes=5)
"""Most that the other messages wait after one of them did not arrive."""

RealNow = Callable[[], datetime]


async def spread(tx: Tx, row: Row, channels: Iterable[Channel], found: Sequence[Mute], at: datetime) -> None:
    """Make a telling of an outbox row for each channel that hears it; `at` is real time."""
    data = msgspec.json.decode(row["data"])
    if row["type"] == "ops.digest":
        for channel in channels:
            if channel.name == data["channel"]:
                await _add(tx, row, channel, "digest", "due", at)
        return
    what = row["type"].removeprefix("alert.")
    state = "held" if muted_until(str(data["alert"]["key"]), found) else "due"
    for channel in channels:
        if what == "raised":
            wanted = channel.audience.hears_notice(data)
        else:  # over: for whoever was told that it began, however grave it is by now
            last = await shelf.last_telling(tx, channel.name, row["subject"])
            wanted = last is not None and last["what"] == "raised"
        if wanted:
            await _add(tx, row, channel, what, state, at)


async def tell(store: Store, teller: Teller, channel: Channel, *, now: datetime, real_now: RealNow) -> int:
    """Tell one channel what is due; how many messages arrived. `now` is story time."""
    await _release(store, channel, now, real_now())
    arrived = 0
    for _ in range(MOST):
        told = await _take(store, channel, now, real_now())
        if told is None:
            break
        why = await teller.say(channel, message_of(told.type, msgspec.json.decode(told.data), teller.url))
        await store.write(partial(_settle, channel=channel, told=told, why=why, real=real_now()))
        if why:
            break
        arrived += 1
    return arrived


def wait_after(tries: int) -> timedelta:
    """How long after so many tries the next one is made."""
    return _WAITS[min(tries, len(_WAITS)) - 1]


async def _add(tx: Tx, row: Row, channel: Channel, what: str, state: str, at: datetime) -> None:
    await shelf.add_telling(
        tx, channel=channel.name, outbox_id=row["id"], subject=row["subject"], what=what, state=state, at=at
    )


async def _take(store: Store, channel: Channel, now: datetime, real: datetime) -> Telling | None:
    """The next telling; one that was muted since it was made is held instead."""
    if not await store.read(lambda tx: shelf.is_due(tx, channel.name, real)):
        return None

    async def unit(tx: Tx) -> Telling | None:
        found = await mutes_of(tx, now)
        while told := await shelf.take(tx, channel.name, now=real, lease_until=real + LEASE):
            if told.what == "digest" or not muted_until(_key(msgspec.json.decode(told.data)), found):
                return told
            await shelf.move(tx, told.id, "held", real)
        return None

    return await store.write(unit)


async def _settle(tx: Tx, channel: Channel, told: Telling, why: str, real: datetime) -> None:
    """Keep how it ended. After a failure the whole channel rests a little: its next try is with another message."""
    wait = wait_after(told.tries)
    await shelf.settle(tx, told, at=real, next_at=real + wait if why else None, detail=why)
    if why:
        await shelf.wait(tx, channel.name, real + min(wait, _PAUSE))


async def _release(store: Store, channel: Channel, now: datetime, real: datetime) -> None:
    """Let go what is muted no longer. What began and ended, or grew, in the meantime is told once, or not at all."""
    if not await store.read(lambda tx: shelf.list_held(tx, channel.name, after=0, limit=1)):
        return

    async def unit(tx: Tx, after: int) -> int:
        found = await mutes_of(tx, now)
        rows = await shelf.list_held(tx, channel.name, after=after, limit=HELD)
        for row in rows:
            if muted_until(_key(msgspec.json.decode(row["data"])), found) is None:
                await shelf.move(tx, row["id"], await _freed(tx, channel, row), real)
        return int(rows[-1]["id"]) if rows else 0

    after = 0
    while after := await store.write(partial(unit, after=after)):
        pass


async def _freed(tx: Tx, channel: Channel, row: Row) -> str:
    """What becomes of a telling whose mute is over."""
    if row["what"] == "raised":
        return "muted" if await shelf.has_newer(tx, channel.name, row["subject"], row["id"]) else "due"
    before = await shelf.last_telling(tx, channel.name, row["subject"], row["id"])
    return "muted" if before is not None and before["state"] == "muted" else "due"


def _key(data: Mapping[str, Any]) -> str:
    return str(data["alert"]["key"])
