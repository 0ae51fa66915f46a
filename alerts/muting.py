"""Mutes: alerts that nobody wants to hear of for a while. They are kept and shown; only the channels keep silent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from fleet.clocks import from_us
from store.engine import Row, Store, Tx
from store.mutes import add_mute, lift_mute, living_mutes


@dataclass(frozen=True, slots=True)
class Mute:
    """Keys that fit the pattern (`carrier:ups/*`, or one key as it is) are silent until a story time."""

    id: int
    pattern: str
    until: datetime
    by: str
    why: str
    since: datetime

    def fits(self, key: str) -> bool:
        return key == self.pattern or fnmatchcase(key, self.pattern)


async def mute(store: Store, pattern: str, *, until: datetime, by: str, why: str, now: datetime) -> Mute:
    """Let these alerts be silent until then."""
    row = await store.write(lambda tx: add_mute(tx, pattern=pattern, until=until, by=by, why=why, at=now))
    return _mute(row)


async def unmute(store: Store, mute_id: int, now: datetime) -> bool:
    """Hear them again; False when no such mute holds. What was held and still is so is told now."""
    return await store.write(lambda tx: lift_mute(tx, mute_id, now))


async def mutes(store: Store, now: datetime) -> Sequence[Mute]:
    """The mutes that hold now."""
    return await store.read(lambda tx: mutes_of(tx, now))


async def mutes_of(tx: Tx, now: datetime) -> Sequence[Mute]:
    """The same within a unit."""
    return [_mute(row) for row in await living_mutes(tx, now)]


def muted_until(key: str, found: Iterable[Mute]) -> datetime | None:
    """Until when an alert with this key is silent; None: it is not."""
    return max((each.until for each in found if each.fits(key)), default=None)


def _mute(row: Row) -> Mute:
    return Mute(row["id"], row["pattern"], from_us(row["until_us"]), row["by"], row["why"], from_us(row["created_us"]))
