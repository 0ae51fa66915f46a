"""Who is due for a question to its carrier, and when next. The tiers are pure; the sweep asks, keeps and reads."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from carriers.contract import Away, Busy, Carrier, CarrierError, Payload
from fleet.clocks import Clock, from_us, to_us
from store.engine import Row, Store, Tx
from store.outbox import say
from store.parcels import checked, claim_due_polls, note_checked, parcel_by_id, release
from store.settings import forget_setting, get_setting, put_setting
from tracker.lifecycle import ENDED, Purpose, Status

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)

# source: facts/usps.md 3.7 (tiers that fit the quota), facts/ups.md 6.2 (poll as a safety net for pushes)
_EVERY = {
    Status.UNKNOWN: 12 * HOUR,
    Status.LABEL_CREATED: 12 * HOUR,
    Status.ACCEPTED: 4 * HOUR,
    Status.IN_TRANSIT: 4 * HOUR,
    Status.OUT_FOR_DELIVERY: HOUR,
    Status.ATTEMPT_FAILED: HOUR,
    Status.AVAILABLE_FOR_PICKUP: 2 * HOUR,
    Status.ON_HOLD: 4 * HOUR,
    Status.UNDELIVERABLE: 4 * HOUR,
    Status.DELIVERED: 12 * HOUR,
    Status.LOST: 24 * HOUR,
    Status.DESTROYED: 24 * HOUR,
    Status.VOIDED: 24 * HOUR,
}
_AFTER_THE_END = timedelta(hours=48)  # a delivery may still be corrected
_LOST_MAY_TURN_UP = timedelta(days=30)
_CARRIER_FORGETS = timedelta(days=120)  # source: facts/ups.md 4, facts/usps.md 3.3
_DORMANT = timedelta(hours=24)
_FRESH_LABEL = timedelta(days=7)

LEASE_SECONDS = 120.0
AT_ONCE = 20  # open calls to one carrier


def next_poll(
    status: Status, purpose: Purpose, *, registered: datetime, moved: datetime | None, now: datetime
) -> datetime | None:
    """When the carrier should be asked again; None when asking can bring nothing more.

    `moved` is the newest event's instant, None while nothing was ever told.
    """
    latest = max(registered, moved or registered)
    watch = _CARRIER_FORGETS
    if status in ENDED:
        watch = _LOST_MAY_TURN_UP if status in (Status.LOST, Status.DESTROYED) else _AFTER_THE_END
    if now - latest > watch:
        return None
    dormant = status in (Status.UNKNOWN, Status.LABEL_CREATED)
    if dormant and (purpose is Purpose.RETURN or now - registered > _FRESH_LABEL):
        return now + _DORMANT  # most unused labels stay unused: they may cost almost nothing
    return now + _EVERY[status]


class Reader(Protocol):
    """What polling needs of the ledger."""

    async def keep(self, payload: Payload, now: datetime) -> "KeptLike": ...
    async def read(self, id: int, now: datetime) -> tuple[str, ...]: ...


class KeptLike(Protocol):
    @property
    def id(self) -> int: ...
    @property
    def unread(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Poller:
    """Asks one installation's carriers about the parcels that are due."""

    store: Store
    ledger: Reader
    clock: Clock
    real_us: Callable[[], int] = lambda: time.time_ns() // 1000
    _quiet_until: dict[str, int] = field(default_factory=dict)  # real time, by carrier: it is busy until then

    async def sweep(self, carrier: Carrier, limit: int = 200) -> int:
        """Ask one carrier about what is due; how many parcels were asked about.

        A parcel is claimed under a lease in real time and a fence, so that two workers never both count its answer.
        """
        now, real = self.clock.now(), self.real_us()
        if real < self._quiet_until.get(carrier.name, 0):
            return 0

        async def claim(tx: Tx) -> list[tuple[Row, int]]:
            return await claim_due_polls(
                tx,
                carrier.name,
                now_us=to_us(now),
                real_now_us=real,
                lease_until_us=real + int(LEASE_SECONDS * 1e6),
                limit=limit,
            )

        mine = await self.store.write(claim)
        size = carrier.abilities.batch
        batches = [mine[start : start + size] for start in range(0, len(mine), size)]
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(batch: Sequence[tuple[Row, int]]) -> None:
            async with turn:
                await self._ask(carrier, batch)

        async with asyncio.TaskGroup() as group:
            for batch in batches:
                group.create_task(one(batch))
        return len(mine)

    async def ask_now(self, carrier: Carrier, number: str) -> tuple[str, ...]:
        """Ask about one number at once, whatever is due; the numbers that changed. Raises CarrierError."""
        changed: list[str] = []
        for payload in await carrier.track([number]):
            kept = await self.ledger.keep(payload, self.clock.now())
            if kept.unread:
                changed += await self.ledger.read(kept.id, self.clock.now())
        await self.store.write(lambda tx: note_checked(tx, carrier.name, number, to_us(self.clock.now())))
        return tuple(changed)

    async def _ask(self, carrier: Carrier, batch: Sequence[tuple[Row, int]]) -> None:
        try:
            answers = await carrier.track([row["number"] for row, _ in batch])
        except CarrierError as error:
            await self._put_off(carrier, batch, error)
            return
        now = self.clock.now()
        for payload in answers:
            kept = await self.ledger.keep(payload, now)
            if kept.unread:
                await self.ledger.read(kept.id, now)
        await self.store.write(lambda tx: self._checked(tx, carrier, batch, now))

    async def _checked(self, tx: Tx, carrier: Carrier, batch: Sequence[tuple[Row, int]], now: datetime) -> None:
        await back(tx, carrier.name, now)
        for claimed, fence in batch:
            row = await parcel_by_id(tx, claimed["id"])
            if row is None:
                continue
            following = next_poll(
                Status(row["status"]),
                Purpose(row["purpose"]),
                registered=from_us(row["created_us"]),
                moved=from_us(row["moved_us"]) if row["moved_us"] is not None else None,
                now=now,
            )
            await checked(
                tx,
                row["id"],
                fence,
                checked_us=to_us(now),
                next_poll_us=to_us(following) if following else None,
            )

    async def _put_off(self, carrier: Carrier, batch: Sequence[tuple[Row, int]], error: CarrierError) -> None:
        """No answer: the batch is due again soon, and an outage is told once.

        While the carrier is busy (or our budget used up) nobody is asked, and the batch keeps its place: put behind all
        that is due, the most urgent would lose their turn whenever there is more to ask than the quota allows.
        """
        wait = error.retry_after if isinstance(error, Busy) and error.retry_after else 60.0
        now, busy = self.clock.now(), isinstance(error, Busy)
        later = to_us(now + timedelta(seconds=wait * self.clock.speed))  # the carrier's wait is in real seconds
        if busy:
            self._quiet_until[carrier.name] = self.real_us() + int(wait * 1e6)
        log.warning("carrier did not answer", extra={"carrier": carrier.name, "error": type(error).__name__})

        async def unit(tx: Tx) -> None:
            for row, fence in batch:
                await release(tx, row["id"], fence, next_poll_us=row["next_poll_us"] if busy else later)
            if not busy:
                await away(tx, carrier.name, now, str(error), down=isinstance(error, Away))

        await self.store.write(unit)


async def away(tx: Tx, carrier: str, now: datetime, why: str, *, down: bool = True) -> None:
    """The carrier does not answer: one outage is one notice, however many parcels it touches."""
    if await get_setting(tx, f"away:{carrier}") is None:
        await put_setting(tx, f"away:{carrier}", str(to_us(now)))
        data = {"carrier": carrier, "error": why, "down": down}
        name = f"away/{to_us(now)}"
        await say(tx, subject=f"carrier:{carrier}", name=name, type="ops.carrier_away", at=now, data=data)


async def back(tx: Tx, carrier: str, now: datetime) -> None:
    """The carrier answers again: told once if its silence was."""
    since = await get_setting(tx, f"away:{carrier}")
    if since is not None:
        await forget_setting(tx, f"away:{carrier}")
        name = f"back/{since}"
        await say(
            tx, subject=f"carrier:{carrier}", name=name, type="ops.carrier_back", at=now, data={"carrier": carrier}
        )
