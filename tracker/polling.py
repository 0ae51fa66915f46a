"""Who is due for a question to its carrier, and when next. The tiers are pure; the sweep asks, keeps and reads."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from carriers.contract import Busy, Carrier, CarrierError, Payload
from fleet.clocks import Clock, from_us, to_us
from merchants.terms import Terms
from store.engine import Row, Store, Tx
from store.parcels import checked, claim_due_polls, find_parcel, note_checked, release, renew, turns_of
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
_UNUSED = frozenset({Status.UNKNOWN, Status.LABEL_CREATED})
_HOUSE: Mapping[str, int] = {}  # no figures of a shop's own

LEASE_SECONDS = 25.0  # renewed while we are at it, so that a dead worker's parcels are soon another's
RENEW_SECONDS = 8.0
AT_ONCE = 144  # open calls to one carrier: the door holds at 160, and a purchase must not wait for polls
WAVES = 4  # so many times that many parcels are claimed together
TAKEN_TOGETHER = 256  # so many parcels' answers at most are taken in as one
LONGEST_SWEEP_US = 10_000_000

Heard = tuple[Row, int, datetime]
"""A claimed parcel, its fence, and when its carrier answered."""


def next_poll(
    status: Status,
    purpose: Purpose,
    *,
    registered: datetime,
    moved: datetime | None,
    now: datetime,
    minutes: Mapping[str, int] = _HOUSE,
) -> datetime | None:
    """When the carrier should be asked again; None when asking can bring nothing more."""
    every = interval(status, purpose, registered=registered, moved=moved, now=now, minutes=minutes)
    return now + every if every else None


def stale_at(
    status: Status,
    purpose: Purpose,
    *,
    registered: datetime,
    moved: datetime | None,
    heard: datetime,
    minutes: Mapping[str, int] = _HOUSE,
) -> datetime | None:
    """From when on what is known is older than promised: two turns and an hour after the carrier was heard last.

    None where no turn comes any more, and for return labels that nobody used: nothing is promised of those.
    """
    every = interval(status, purpose, registered=registered, moved=moved, now=heard, minutes=minutes)
    after = _stale_after(status, purpose, every)
    return heard + after if after else None


def _stale_after(status: Status, purpose: Purpose, every: timedelta | None) -> timedelta | None:
    """How long after its carrier was heard a parcel that is asked about so often is older news than promised."""
    if every is None or (status in _UNUSED and purpose is Purpose.RETURN):
        return None
    return 2 * every + HOUR


def interval(
    status: Status,
    purpose: Purpose,
    *,
    registered: datetime,
    moved: datetime | None,
    now: datetime,
    minutes: Mapping[str, int] = _HOUSE,
) -> timedelta | None:
    """How long until the carrier is asked again; None when asking can bring nothing more.

    `moved` is the newest event's instant, None while nothing was ever told; `minutes` are the shop's own figures.
    """
    latest = max(registered, moved or registered)
    watch = _CARRIER_FORGETS
    if status in ENDED:
        watch = _LOST_MAY_TURN_UP if status in (Status.LOST, Status.DESTROYED) else _AFTER_THE_END
    if now - latest > watch:
        return None
    if status in _UNUSED and (purpose is Purpose.RETURN or now - registered > _FRESH_LABEL):
        return _DORMANT  # most unused labels stay unused: they may cost almost nothing
    return timedelta(minutes=minutes[status]) if status in minutes else _EVERY[status]


class Reader(Protocol):
    """What polling needs of the ledger."""

    async def take_in(self, payload: Payload, now: datetime) -> tuple[str, ...]: ...
    async def take_in_all(self, payloads: Sequence[Payload], now: datetime) -> tuple[str, ...]: ...
    def terms(self, row: Row) -> Terms: ...


@dataclass(frozen=True, slots=True)
class Poller:
    """Asks one installation's carriers about the parcels that are due."""

    store: Store
    ledger: Reader
    clock: Clock
    real_us: Callable[[], int] = lambda: time.time_ns() // 1000
    _quiet_until: dict[str, int] = field(default_factory=dict)  # real time, by carrier: it is busy until then

    async def sweep(self, carrier: Carrier, limit: int = 0) -> int:
        """Ask one carrier about what is due, for ten seconds at most; how many parcels were asked about."""
        asked, began = 0, self.real_us()
        size = carrier.abilities.batch
        limit = limit or AT_ONCE * WAVES // size * size
        while self.real_us() >= self._quiet_until.get(carrier.name, 0):
            claimed = await self._claim_and_ask(carrier, limit)
            asked += claimed
            if claimed < limit or self.real_us() - began > LONGEST_SWEEP_US:
                break
        return asked

    async def _claim_and_ask(self, carrier: Carrier, limit: int) -> int:
        """Ask about so many that are due; how many there were.

        A parcel is claimed under a lease in real time and a fence, so that two workers never both count its answer.
        """
        now, real = self.clock.now(), self.real_us()

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
        if not mine:
            return 0
        size = carrier.abilities.batch
        batches = [mine[start : start + size] for start in range(0, len(mine), size)]
        turn, heard, answers = asyncio.Semaphore(AT_ONCE), list[Heard](), asyncio.Queue[Payload | None]()

        async def one(batch: Sequence[tuple[Row, int]]) -> None:
            async with turn:
                told = await self._ask(carrier, batch)
            if told is None:
                return
            at = self.clock.now()
            for payload in told:
                answers.put_nowait(payload)
            heard.extend((row, fence, at) for row, fence in batch)

        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep_lease(mine))
            taking = group.create_task(self._take_in(answers))
            async with asyncio.TaskGroup() as asking:
                for batch in batches:
                    asking.create_task(one(batch))
            answers.put_nowait(None)  # the last one has come
            await taking
            keeping.cancel()
        await self.store.write(partial(self._checked, heard))
        return len(mine)

    async def _take_in(self, answers: asyncio.Queue[Payload | None]) -> None:
        """Take in what is answered, until None comes: whatever came meanwhile together, up to a limit."""
        coming = True
        while coming:
            together, numbers, payload = list[Payload](), 0, await answers.get()
            while payload is not None:
                together.append(payload)
                numbers += len(payload.asked)
                if numbers >= TAKEN_TOGETHER or answers.empty():
                    break
                payload = answers.get_nowait()
            coming = payload is not None
            if together:
                await self.ledger.take_in_all(together, self.clock.now())

    async def _keep_lease(self, mine: Sequence[tuple[Row, int]]) -> None:
        """What waits for its turn stays ours for as long as we live."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            until = self.real_us() + int(LEASE_SECONDS * 1e6)
            await self.store.write(partial(renew, claimed=mine, until_us=until))

    async def ask_now(self, carrier: Carrier, number: str) -> tuple[str, ...]:
        """Ask about one number at once, whatever is due; the numbers that changed. Raises CarrierError."""
        changed: list[str] = []
        for payload in await carrier.track([number]):
            changed += await self.ledger.take_in(payload, self.clock.now())
        now = self.clock.now()

        async def unit(tx: Tx) -> None:
            row = await find_parcel(tx, carrier.name, number)
            if row is not None:
                stale_us = self._stale_us(row, now)
                await note_checked(tx, carrier.name, number, checked_us=to_us(now), stale_us=stale_us)

        await self.store.write(unit)
        return tuple(changed)

    async def _ask(self, carrier: Carrier, batch: Sequence[tuple[Row, int]]) -> list[Payload] | None:
        """What is answered about one batch; None when nothing is."""
        try:
            return await carrier.track([row["number"] for row, _ in batch])
        except CarrierError as error:
            await self._put_off(carrier, batch, error)
            return None

    async def _checked(self, heard: Sequence[Heard], tx: Tx) -> None:
        """When each was heard of, and when it is asked about next. Lost, it is only asked about once more."""
        rows = {row["id"]: row for row in await turns_of(tx, [claimed["id"] for claimed, _, _ in heard])}
        await checked(
            tx,
            [
                {"of": claimed["id"], "was_fence": fence, **self._next_turn(rows[claimed["id"]], now)}
                for claimed, fence, now in heard
                if claimed["id"] in rows
            ],
        )

    def _next_turn(self, row: Row, now: datetime) -> dict[str, int | None]:
        """When a parcel was heard of (now), when it is asked about next, and from when on it is stale."""
        status, purpose = Status(row["status"]), Purpose(row["purpose"])
        every = interval(
            status,
            purpose,
            registered=from_us(row["created_us"]),
            moved=from_us(row["moved_us"]) if row["moved_us"] is not None else None,
            now=now,
            minutes=self.ledger.terms(row).polling.minutes,
        )
        stale = _stale_after(status, purpose, every)
        return {
            "to_checked": to_us(now),
            "to_next_poll": to_us(now + every) if every else None,
            "to_stale": to_us(now + stale) if stale else None,
        }

    def _stale_us(self, row: Row, heard: datetime) -> int | None:
        """From when on a parcel's news is older than promised, if its carrier was heard then and not since."""
        at = stale_at(
            Status(row["status"]),
            Purpose(row["purpose"]),
            registered=from_us(row["created_us"]),
            moved=from_us(row["moved_us"]) if row["moved_us"] is not None else None,
            heard=heard,
            minutes=self.ledger.terms(row).polling.minutes,
        )
        return to_us(at) if at else None

    async def _put_off(self, carrier: Carrier, batch: Sequence[tuple[Row, int]], error: CarrierError) -> None:
        """No answer: the batch is due again soon (the carrier's door knows of an outage: tracker/outages.py).

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

        await self.store.write(unit)
