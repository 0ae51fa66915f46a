"""How fresh an answer is, and the one alert for a carrier whose parcels are older news than promised."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from fleet.clocks import from_us, text, to_us
from store.engine import Row, Store, Tx
from store.outbox import say
from store.parcels import overdue
from store.settings import forget_setting, get_setting, put_setting

CATCHING_UP = timedelta(hours=3)
"""So long after an outage nobody hears of what it made old: the outage was told."""


def freshness(row: Row) -> dict[str, str | None]:
    """When a parcel's carrier was asked, when it is next, and from when on the answer is older than promised."""
    return {
        "checked_at": _text(row["checked_us"]),
        "next_check_at": _text(row["next_poll_us"]),
        "stale_after": _text(row["stale_us"]),
    }


def is_stale(row: Row, now: datetime) -> bool:
    """Whether it is older news than promised."""
    return row["stale_us"] is not None and from_us(row["stale_us"]) <= now


def _text(us: int | None) -> str | None:
    return text(from_us(us)) if us is not None else None


async def watch(store: Store, carriers: Iterable[str], now: datetime) -> None:
    """Tell ops once when parcels of a carrier are older news than promised, and once when none is any more."""
    for carrier in carriers:
        count = await store.read(partial(_count, carrier=carrier, now=now))
        told = await store.read(partial(get_setting, name=f"stale:{carrier}"))
        if (count > 0) != (told is not None):
            await store.write(partial(_tell, carrier=carrier, count=count, now=now))


async def _count(tx: Tx, carrier: str, now: datetime) -> int:
    """How many are stale; of a carrier that does not answer, or just came back, none: that was told already."""
    if await get_setting(tx, f"away:{carrier}") is not None:
        return 0
    back = await get_setting(tx, f"back:{carrier}")
    if back is not None and now < from_us(int(back)) + CATCHING_UP:
        return 0
    return await overdue(tx, carrier, now_us=to_us(now), before_us=to_us(now))


async def _tell(tx: Tx, carrier: str, count: int, now: datetime) -> None:
    since = await get_setting(tx, f"stale:{carrier}")
    if count and since is None:
        since = str(to_us(now))
        await put_setting(tx, f"stale:{carrier}", since)
        data: dict[str, Any] = {"carrier": carrier, "count": count}
        name = f"stale/{since}"
        await say(tx, subject=f"carrier:{carrier}", name=name, type="ops.tracking_stale", at=now, data=data)
    elif not count and since is not None:
        await forget_setting(tx, f"stale:{carrier}")
        data = {"carrier": carrier}
        name = f"fresh/{since}"
        await say(tx, subject=f"carrier:{carrier}", name=name, type="ops.tracking_fresh", at=now, data=data)
