"""How long what is kept: the setting, and the sweep that forgets what is over."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from merchants.terms import Terms
from returns.forgetting import KEEP, forget_what_is_over
from store.engine import Store, StoreError
from store.sqlite import SqliteStore

MOST_DAYS = 3650


def read_keep(text: str) -> dict[str, int]:
    """`addresses=150,payloads=90,...` as days; what is not named is as shipped. Raises ValueError."""
    found = dict(KEEP)
    for part in (each.strip() for each in text.split(",") if each.strip()):
        name, _, days = part.partition("=")
        if name not in KEEP or not days.isdecimal() or not 1 <= int(days) <= MOST_DAYS:
            raise ValueError(f"expected {'=DAYS, '.join(KEEP)}=DAYS with 1 to {MOST_DAYS} days, found {part!r}")
        found[name] = int(days)
    return found


async def tidy(store: Store, shelf: Mapping[str, Sequence[Terms]], keep: Mapping[str, int], now: datetime) -> int:
    """Forget what is over; how many things. On SQLite out of the log as well, unless somebody reads it just then."""
    gone = await forget_what_is_over(store, shelf, keep, now)
    if any(gone.values()) and isinstance(store, SqliteStore):
        with suppress(StoreError):
            await store.empty_log()
    return sum(gone.values())
