"""Notices a carrier that should push and does not: polls bring news that no push has told."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from carriers.contract import Carrier
from fleet.clocks import to_us
from store.engine import Store, Tx
from store.outbox import say
from store.payloads import last_push_us, news_by_poll
from store.settings import forget_setting, get_setting, put_setting

LAG = timedelta(hours=6)
"""So long a push may take: younger news proves nothing."""
LOOK_BACK = timedelta(days=2)
NEWS = 3
"""So many events that only polls told make a feed a silent one."""


async def listen(store: Store, carriers: Mapping[str, Carrier], now: datetime) -> tuple[str, ...]:
    """Look at each carrier's feed (story time); the carriers that are silent. Silence and its end are told once."""
    return tuple([name for name in carriers if await store.write(partial(_look, carrier=name, now=now))])


async def _look(tx: Tx, carrier: str, now: datetime) -> bool:
    last = await last_push_us(tx, carrier)
    since = max(last or 0, to_us(now - LOOK_BACK))
    news = await news_by_poll(tx, carrier, after_us=since, before_us=to_us(now - LAG))
    key = f"push_silent:{carrier}"
    silent_since = await get_setting(tx, key)
    if news >= NEWS and silent_since is None:
        await put_setting(tx, key, str(to_us(now)))
        await _say(tx, carrier, f"push_silent/{to_us(now)}", "ops.push_silent", now, news)
    elif silent_since is not None and last is not None and last > int(silent_since):
        await forget_setting(tx, key)
        await _say(tx, carrier, f"push_heard/{silent_since}", "ops.push_heard", now, news)
    return news >= NEWS


async def _say(tx: Tx, carrier: str, name: str, type: str, now: datetime, news: int) -> None:
    data = {"carrier": carrier, "news": news}
    await say(tx, subject=f"carrier:{carrier}", name=name, type=type, at=now, data=data)
