"""A payload's way: kept, read, entered as sightings, folded, concluded, said. Alone writes a parcel's conclusion."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from carriers.contract import Event, Payload, Readings, Reads, Source, Unreadable
from fleet.clocks import from_us, to_us
from merchants.terms import Terms, terms_on
from store.again import write_surely
from store.cases import find_case, money_of_case, note_case
from store.engine import Row, Store, StoreError, Tx
from store.outbox import Saying, say, say_all
from store.parcels import (
    add_all_told,
    add_sightings,
    conclusions_of,
    due_reviews,
    find_parcel,
    lock_due_review,
    lock_parcel_by_id,
    lock_parcels,
    order_numbers_of_all,
    reschedule_all,
    return_numbers_of_all,
    save_conclusions,
    sightings_of_all,
    told_of_all,
)
from store.payloads import (
    all_mentioning,
    count_unknown_code,
    get_payload,
    keep_mine,
    keep_payload,
    mark_all_read,
    mark_read,
    mention_all,
    read_before,
    take_fresh,
    take_payload,
    unread_payloads,
)
from store.unidentified import first_of, note_number
from tracker.judging import Judged, corrections, judged, notice_data, shipment_of
from tracker.known import Known, Said, by_number, known_of
from tracker.lifecycle import Sighting, Telling, fold
from tracker.policy import Conclusion, conclude
from tracker.wayhome import CaseState, Deed, Line, Step

__all__ = [
    "SOON_US",
    "TOGETHER",
    "TO_BE_SEEN_TO",
    "Kept",
    "Ledger",
    "corrections",
    "deed_of",
    "payload_of",
    "shipment_of",
]

log = logging.getLogger(__name__)

_out = msgspec.json.Encoder()

GRACE_US = 3_600_000_000
"""So long after a carrier spoke of an unregistered number it is looked at: one hour."""
READ_LEASE_US = 20_000_000
"""So long a payload is its reader's (real time); then the reader is taken to be dead."""
TOGETHER = 256
"""So many payloads are taken to be read, so many parcels reviewed: they share commits."""
AT_ONCE = 24
"""So many parcels are entered with the same statements; the loop waits while they are judged."""
READ_AT_ONCE = 4
"""So many payloads are read while the loop waits: few, so that most are read while a commit is made beside it."""
MOST_TRIES = 3
"""A payload that killed its reader so often is set aside, kept and told to ops."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A payload's row. `unread` is False when the same bytes were kept and read before."""

    id: int
    unread: bool


class Taken(Struct, frozen=True):
    """A payload's row that is ours to read; `tries` counts this one."""

    id: int
    tries: int
    received_us: int
    payload: Payload
    digest: str


class Understood(Struct, frozen=True):
    """A payload and what it says, number by number, and its events that nobody knows; or why it cannot be read."""

    taken: Taken
    said: Mapping[str, Said] = {}
    unknown: Sequence[Event] = ()
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one installation: its store, its carriers' readings and its shops' terms."""

    store: Store
    readings: Mapping[str, Reads]
    shelf: Mapping[str, Sequence[Terms]]
    real_us: Callable[[], int] = lambda: time.time_ns() // 1000

    async def keep(self, payload: Payload, now: datetime) -> Kept:
        """Keep the bytes in a commit of their own. After this the carrier may hear 200."""

        async def unit(tx: Tx) -> Kept:
            return await _keep(tx, payload, now)

        return await write_surely(self.store, unit)

    async def take_in(self, payload: Payload, now: datetime) -> tuple[str, ...]:
        """Keep an answer and read it at once; the registered numbers it changed. One commit less than keep and read."""
        return await self.take_in_all([payload], now)

    async def take_in_all(self, payloads: Sequence[Payload], now: datetime) -> tuple[str, ...]:
        """Keep answers and read them at once; the registered numbers that they changed."""
        real, named = self.real_us(), {(each.carrier, each.source, each.digest): each for each in payloads}

        async def unit(tx: Tx) -> list[Taken]:
            read = await read_before(tx, named)
            fresh = [(name[-1], payload) for name, payload in named.items() if name not in read]
            mine = [await _keep_mine(tx, payload, digest, now, real) for digest, payload in fresh]
            return [each for each in mine if each is not None]

        taken = await write_surely(self.store, unit)
        return await self._enter_taken([self._understood(mine) for mine in taken], now)

    async def read(self, id: int, now: datetime) -> tuple[str, ...]:
        """Read one kept payload and conclude about every parcel it speaks of; the registered numbers it changed.

        What cannot be read stays kept, poisons nothing, and is told to ops once.
        """

        real = self.real_us()
        taken = await self.store.write(lambda tx: _taken(tx, id, real))
        return await self._enter_taken([self._understood(taken)], now) if taken else ()

    def _understood(self, taken: Taken) -> Understood:
        """What a payload that is ours says, or why it cannot be read."""
        payload = taken.payload
        try:
            if taken.tries > MOST_TRIES:
                raise Unreadable(f"reading it was interrupted {MOST_TRIES} times")
            found = self.readings[payload.carrier].read(payload)
            return Understood(taken, by_number(found), [event for event in found.events if not event.known])
        except Exception as error:  # whatever a reading does, the bytes stay and ops hear of it
            return Understood(taken, error=error)

    async def _enter_taken(self, understood: Sequence[Understood], now: datetime) -> tuple[str, ...]:
        """Enter what payloads that are ours say, or set them aside; the registered numbers that changed.

        All in one transaction; where one of them fails, each in its own, so that it costs no other.
        """
        for each in understood:
            if each.error is not None:
                await self._set_aside(each.taken.id, each.taken.payload, each.error, now)
        readable = [each for each in understood if each.error is None]
        if not readable:
            return ()
        try:
            return await write_surely(self.store, partial(self._enter_all, readable, now))
        except StoreError:
            raise
        except Exception:
            if len(readable) == 1:
                raise
            log.exception("payloads are entered one by one", extra={"payloads": len(readable)})
        alone = (write_surely(self.store, partial(self._enter_all, [each], now)) for each in readable)
        ends = await asyncio.gather(*alone, return_exceptions=True)
        changed: list[str] = []
        for end in ends:
            if isinstance(end, BaseException):
                raise end
            changed += end
        return tuple(changed)

    async def read_all(self, now: datetime, limit: int = 1_000) -> int:
        """Read what is kept and not read yet, oldest first; how many were seen to.

        New ones are seen to together, in three steps at once: some are taken in the commit that enters others, and
        those in between are read while it is made. What a reader died of is among those that were tried: they are read
        one by one, so that nothing but itself is blamed for it. What cannot be entered is raised when all was seen to.
        """
        taken, understood, failed = await self._take_fresh(), list[Understood](), list[Exception]()
        seen_to = len(taken)
        while taken or understood:
            more = len(taken) == TOGETHER and seen_to < limit
            _, understood, taken = await asyncio.gather(
                self._enter_or_note(understood, now, failed),
                self._understand(taken),
                self._take_fresh() if more else _none(),
            )
            seen_to += len(taken)
        real = self.real_us()
        tried = await self.store.read(lambda tx: unread_payloads(tx, limit, real, least_tries=1))
        for id in tried:
            await self.read(id, now)
        if failed:
            raise failed[0]
        return seen_to + len(tried)

    async def _enter_or_note(self, understood: Sequence[Understood], now: datetime, failed: list[Exception]) -> None:
        try:
            await self._enter_taken(understood, now)
        except Exception as error:
            failed.append(error)

    async def _take_fresh(self) -> list[Taken]:
        """The oldest payloads that nobody ever tried to read: ours from now on."""
        real = self.real_us()
        take = partial(take_fresh, limit=TOGETHER, real_now_us=real, until_us=real + READ_LEASE_US)
        return [taken_of(row) for row in await self.store.write(take)]

    async def _understand(self, taken: Sequence[Taken]) -> list[Understood]:
        """What payloads that are ours say; the loop need not wait for all of them."""
        understood = []
        for at, each in enumerate(taken, 1):
            understood.append(self._understood(each))
            if at % READ_AT_ONCE == 0:
                await asyncio.sleep(0)
        return understood

    async def review(self, id: int, now: datetime) -> None:
        """Conclude again about one parcel because time has passed, or for the first time."""

        async def unit(tx: Tx) -> None:
            row = await lock_parcel_by_id(tx, id)
            if row is not None:
                await self.conclude(tx, row, now)

        await self.store.write(unit)

    async def review_due(self, now: datetime, limit: int = 200) -> int:
        """Conclude again about every parcel whose time has come; how many."""
        ids = await self.store.read(lambda tx: due_reviews(tx, to_us(now), limit))
        for first in range(0, len(ids), TOGETHER):
            together = ids[first : first + TOGETHER]
            await asyncio.gather(*(write_surely(self.store, partial(self._review_if_due, id, now)) for id in together))
        return len(ids)

    async def _review_if_due(self, id: int, now: datetime, tx: Tx) -> None:
        """Another worker may be at it, or have done it already."""
        row = await lock_due_review(tx, id, to_us(now))
        if row is not None:
            await self.conclude(tx, row, now)

    async def conclusion(self, tx: Tx, row: Row, now: datetime, as_of: datetime | None = None) -> Conclusion:
        """What follows from all that was told of a parcel (received until `as_of`, where given)."""
        limit = to_us(as_of) if as_of else None
        return await self._concluded(tx, row, self.terms(row), await self.history(tx, row, limit), now, as_of)

    async def history(self, tx: Tx, row: Row, limit: int | None = None) -> tuple[list[Sighting], list[Telling]]:
        """All that was seen and told of a parcel (received until `limit`, where given)."""
        return (await self._known(tx, [row["id"]]))[row["id"]].history(limit)

    async def _known(self, tx: Tx, ids: Sequence[int]) -> dict[int, Known]:
        return known_of(ids, await sightings_of_all(tx, ids), await told_of_all(tx, ids)) if ids else {}

    async def _concluded(
        self,
        tx: Tx,
        row: Row,
        terms: Terms,
        told: tuple[Sequence[Sighting], Sequence[Telling]],
        now: datetime,
        as_of: datetime | None = None,
    ) -> Conclusion:
        parcel = fold(*told, shipment_of(row))
        found = conclude(parcel, terms, as_of or now)
        deed = await deed_of(tx, row["id"], to_us(as_of) if as_of else None) if found.case else None
        return conclude(parcel, terms, as_of or now, deed) if deed else found

    def terms(self, row: Row) -> Terms:
        """The terms a parcel is judged by: those in force when it was registered."""
        return terms_on(row["merchant"], from_us(row["created_us"]).date(), self.shelf)

    # ------------------------------------------------------------------------------------------------------- inside

    async def _set_aside(self, id: int, payload: Payload, error: Exception, now: datetime) -> None:
        why = str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"
        if not isinstance(error, Unreadable):
            extra = {"payload": id, "carrier": payload.carrier}
            log.error("reading a payload failed", extra=extra, exc_info=error)

        async def unit(tx: Tx) -> None:
            if await mark_read(tx, id, to_us(now), why):
                data = {"carrier": payload.carrier, "digest": payload.digest, "source": payload.source, "error": why}
                await say(
                    tx,
                    subject=f"payload:{payload.carrier}",
                    name=f"unreadable/{payload.digest}",
                    type="ops.payload_unreadable",
                    at=now,
                    data=data,
                )

        await self.store.write(unit)

    async def _enter_all(self, understood: Sequence[Understood], now: datetime, tx: Tx) -> tuple[str, ...]:
        """Enter what these payloads say and conclude; the registered numbers that changed."""
        mine = await mark_all_read(tx, [each.taken.id for each in understood], to_us(now))
        changed: list[str] = []
        for together in _apart([each for each in understood if each.taken.id in mine]):
            changed += await self._enter_together(tx, together, now)
        return tuple(changed)

    async def _enter_together(self, tx: Tx, entries: Sequence[Understood], now: datetime) -> list[str]:
        """Enter what payloads say of which no two speak of the same parcel: statement by statement, for all at once."""
        spoken = {
            (entry.taken.payload.carrier, number): (entry, entry.said[number])
            for entry in entries
            for number in entry.said
        }
        await mention_all(
            tx,
            [
                {"payload_id": entry.taken.id, "carrier": carrier, "number": number}
                for (carrier, number), (entry, _) in spoken.items()
            ],
        )
        rows: dict[tuple[str, str], Row] = {}
        # sorted: two transactions that speak of the same parcels lock them in the same order
        for carrier in sorted({carrier for carrier, _ in spoken}):
            numbers = sorted(number for its, number in spoken if its == carrier)
            rows |= {(carrier, row["number"]): row for row in await lock_parcels(tx, carrier, numbers)}
        known = await self._known(tx, [row["id"] for row in rows.values()])
        news: list[Row] = []
        for named, row in rows.items():
            entry, said = spoken[named]
            payload = entry.taken.payload
            # Most answers repeat what is known: then nothing follows that time alone does not bring (review_due).
            is_new = known[row["id"]].tell(said, payload.source, entry.taken.digest, entry.taken.received_us)
            if is_new or row["version"] == 0:
                news.append(row)
        await self._adopt(tx, [row for row in news if row["version"] == 0], known, [each.taken.id for each in entries])
        await _write_known(tx, known.values())
        await self._judge(tx, news, known, now)
        for (carrier, number), (entry, _) in spoken.items():
            if (carrier, number) not in rows and number not in entry.taken.payload.asked:
                await _note_unknown(tx, carrier, number, entry.taken.payload.source, now)
        for entry in entries:
            for event in entry.unknown:
                await _report_unknown(tx, event, entry.taken.payload, now)
        return [row["number"] for row in news]

    async def _adopt(self, tx: Tx, rows: Sequence[Row], known: Mapping[int, Known], but: Sequence[int]) -> None:
        """Enter what was told of numbers before they were registered."""
        for carrier in sorted({row["carrier"] for row in rows}):
            ids = {row["number"]: row["id"] for row in rows if row["carrier"] == carrier}
            for kept in await all_mentioning(tx, carrier, sorted(ids), but):
                payload, number = payload_of(kept), kept["of_number"]
                if said := by_number(self.readings[carrier].read(payload)).get(number):
                    known[ids[number]].tell(said, payload.source, payload.digest, kept["received_us"])

    async def tell(self, tx: Tx, row: Row, readings: Readings, payload: Payload, received_us: int) -> None:
        """Enter what a payload says of one parcel."""
        if said := by_number(readings).get(row["number"]):
            known = await self._known(tx, [row["id"]])
            known[row["id"]].tell(said, payload.source, payload.digest, received_us)
            await _write_known(tx, known.values())

    async def conclude(self, tx: Tx, row: Row, now: datetime) -> dict[str, Any]:
        """Fold, judge, save what changed, say what is new, all in the caller's transaction; the conclusion as JSON.

        What was told before a parcel was registered is entered first.
        """
        known = await self._known(tx, [row["id"]])
        if row["version"] == 0:
            await self._adopt(tx, [row], known, [])
            await _write_known(tx, known.values())
        [found] = await self._judge(tx, [row], known, now)
        view: dict[str, Any] = msgspec.json.decode(found.text)
        return view

    async def _judge(self, tx: Tx, rows: Sequence[Row], known: Mapping[int, Known], now: datetime) -> list[Judged]:
        """Conclude about parcels from what is known of them, keep what changed, say what is new."""
        if not rows:
            return []
        before, found = await conclusions_of(tx, [row["id"] for row in rows]), list[Judged]()
        for row in rows:
            terms = self.terms(row)
            conclusion = await self._concluded(tx, row, terms, known[row["id"]].history(), now)
            found.append(judged(row, before[row["id"]], conclusion, terms, now))
        await reschedule_all(tx, [each.columns for each in found if not each.is_new])
        new = [each for each in found if each.is_new]
        await save_conclusions(tx, [each.columns for each in new], [each.text for each in new])
        for each in new:
            if each.case_state is not None:
                next_us = SOON_US if each.case_state in TO_BE_SEEN_TO else None
                await note_case(tx, each.row["id"], each.case_state, next_us)
        await self._say(tx, [each for each in new if each.says], now)
        for each in new:
            await self._follow_up(tx, each, now)
        return found

    async def _follow_up(self, tx: Tx, each: Judged, now: datetime) -> None:
        """What a changed conclusion means for others."""
        parcel = each.conclusion.parcel
        if parcel.home_of:
            await self._conclude_first(tx, each.row["id"], now)
        elif each.conclusion.case:  # it may come home under another number that its carrier tells
            for other in parcel.alternates:
                await _note_told(tx, parcel.carrier, parcel.number, other, now)

    async def _conclude_first(self, tx: Tx, further_id: int, now: datetime) -> None:
        """Conclude about the parcel that travels home under this one's number: it has moved."""
        found = await first_of(tx, further_id)
        first = await lock_parcel_by_id(tx, found["id"]) if found else None
        if first is not None:
            await self.conclude(tx, first, now)

    async def _say(self, tx: Tx, found: Sequence[Judged], now: datetime) -> None:
        """Put the verdicts in the outbox, each once, with the parcel's full state."""
        if not found:
            return
        ids = [each.row["id"] for each in found]
        orders, returns = await order_numbers_of_all(tx, ids), await return_numbers_of_all(tx, ids)
        sayings: list[Saying] = []
        for each in found:
            row = each.row
            all_ = {
                "merchant": row["merchant"],
                "carrier": row["carrier"],
                "number": row["number"],
                "purpose": row["purpose"],
                "order_numbers": orders.get(row["id"], []),
                "return_number": returns.get(row["id"]),
            }
            sayings += [
                Saying(f"parcel:{row['id']}", verdict.name, verdict.type, notice_data(all_, each, verdict))
                for verdict in each.says
            ]
        await say_all(tx, sayings, now)


async def _none() -> list[Taken]:
    return []


def _apart(readable: Sequence[Understood]) -> Iterator[list[Understood]]:
    """Payloads in their order, so many together that no parcel is spoken of twice and the loop need not wait long."""
    together: list[Understood] = []
    spoken: set[tuple[str, str]] = set()
    for each in readable:
        named = {(each.taken.payload.carrier, number) for number in each.said}
        if together and (len(spoken) + len(named) > AT_ONCE or not spoken.isdisjoint(named)):
            yield together
            together, spoken = [], set()
        together.append(each)
        spoken |= named
    if together:
        yield together


async def _write_known(tx: Tx, known: Iterable[Known]) -> None:
    """Write what is new, all of it with two statements."""
    if sightings := [row for each in known for row in each.sightings]:
        await add_sightings(tx, sightings)
    if told := [row for each in known for row in each.told]:
        await add_all_told(tx, told)


async def _keep(tx: Tx, payload: Payload, now: datetime) -> Kept:
    row = await keep_payload(
        tx,
        carrier=payload.carrier,
        source=payload.source,
        digest=payload.digest,
        body=payload.body,
        asked=_out.encode(payload.asked).decode() if payload.asked else "[]",
        status=payload.status,
        received_us=to_us(now),
    )
    return Kept(row["id"], row["read_us"] is None)


async def _keep_mine(tx: Tx, payload: Payload, digest: str, now: datetime, real_us: int) -> Taken | None:
    """Keep an answer, ours to read from then on; None where it was kept and read before."""
    received_us = to_us(now)
    id = await keep_mine(
        tx,
        carrier=payload.carrier,
        source=payload.source,
        digest=digest,
        body=payload.body,
        asked=_out.encode(payload.asked).decode(),
        status=payload.status,
        received_us=received_us,
        until_us=real_us + READ_LEASE_US,
    )
    if id is not None:
        return Taken(id, 1, received_us, payload, digest)
    kept = await _keep(tx, payload, now)
    return await _taken(tx, kept.id, real_us) if kept.unread else None


async def _taken(tx: Tx, id: int, real_us: int) -> Taken | None:
    """A payload that is ours to read from now on; None where it was read, or somebody reads it now."""
    mine = await take_payload(tx, id, real_now_us=real_us, until_us=real_us + READ_LEASE_US)
    row = await get_payload(tx, id) if mine else None
    return taken_of(row) if row else None


def taken_of(row: Row) -> Taken:
    """The row of a payload that was taken."""
    return Taken(row["id"], row["tries"], row["received_us"], payload_of(row), row["digest"])


SOON_US = 0
TO_BE_SEEN_TO = frozenset({CaseState.EXPECTED, CaseState.CANCELLED, ""})
"""Cases that somebody sees to: to be ordered or left to the carrier; or not needed any more (homecoming.py)."""


async def deed_of(tx: Tx, parcel_id: int, until_us: int | None = None) -> Deed | None:
    """What we did about a parcel's way home (until then, where given)."""
    row = await find_case(tx, parcel_id)
    if row is None or not row["step"] or (until_us is not None and row["acted_us"] > until_us):
        return None
    withdrawn = row["withdrawn_us"]
    lines = [line for line in await money_of_case(tx, parcel_id) if until_us is None or line["at_us"] <= until_us]
    return Deed(
        Step(row["step"]),
        from_us(row["acted_us"]),
        row["why"],
        row["purchase_id"],
        from_us(withdrawn) if withdrawn and (until_us is None or withdrawn <= until_us) else None,
        tuple(_line(line) for line in lines),
    )


def _line(row: Row) -> Line:
    amount = Decimal(row["amount"]) if row["amount"] else None
    return Line(row["name"], row["kind"], amount, row["currency"], row["note"])


async def _note_unknown(tx: Tx, carrier: str, number: str, source: Source, now: datetime) -> None:
    """A number nobody registered: judged later, because an order service may register it a moment after its parcel."""
    at = to_us(now)
    await note_number(tx, carrier=carrier, number=number, source=source, now_us=at, due_us=at + GRACE_US)


async def _note_told(tx: Tx, carrier: str, number: str, other: str, now: datetime) -> None:
    """A number that the carrier of a parcel that goes home gives it beside its own, unless it is a parcel of ours."""
    if other != number and await find_parcel(tx, carrier, other) is None:
        at = to_us(now)
        told_by = f"{carrier} {number}"
        await note_number(tx, carrier=carrier, number=other, source="told", now_us=at, due_us=at, told_by=told_by)


async def _report_unknown(tx: Tx, event: Event, payload: Payload, now: datetime) -> None:
    """Count a code nobody knows; ops hear of it once a day."""
    code, day = event.code or event.words, now.date().isoformat()
    await count_unknown_code(
        tx, carrier=event.carrier, code=code, day=day, words=event.words, payload_digest=payload.digest
    )
    await say(
        tx,
        subject=f"code:{event.carrier}",
        name=f"{code}/{day}",
        type="ops.unknown_code",
        at=now,
        data={"carrier": event.carrier, "code": code, "words": event.words, "day": day, "digest": payload.digest},
    )


def payload_of(row: Row) -> Payload:
    """The payload in a row."""
    return Payload(
        row["carrier"],
        Source(row["source"]),
        bytes(row["body"]),
        tuple(msgspec.json.decode(row["asked"])),
        row["status"],
    )
