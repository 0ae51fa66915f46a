"""A payload's way: kept, read, entered as sightings, folded, concluded, said. Alone writes a parcel's conclusion."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from carriers.contract import Event, Payload, Place, Readings, Reads, Source, Told, Unreadable
from fleet.clocks import from_us, to_us
from merchants.terms import Terms, terms_on
from store.again import write_surely
from store.cases import find_case, money_of_case, note_case
from store.engine import Row, Store, Tx
from store.outbox import say
from store.parcels import (
    add_sightings,
    add_told,
    due_reviews,
    find_parcel,
    lock_due_review,
    lock_parcel,
    lock_parcel_by_id,
    order_numbers_of,
    reschedule,
    return_number_of,
    save_conclusion,
    sightings_of,
    told_of,
)
from store.payloads import (
    count_unknown_code,
    get_payload,
    keep_payload,
    mark_read,
    mention,
    payloads_mentioning,
    take_payload,
    unread_payloads,
)
from store.unidentified import first_of, note_number
from tracker.explain import explained
from tracker.lifecycle import ENDED, Purpose, Shipment, Sighting, Telling, fold
from tracker.policy import Conclusion, Verdict, conclude, verdicts
from tracker.polling import next_poll, stale_at
from tracker.wayhome import CaseState, Deed, Line, Step

log = logging.getLogger(__name__)

_event_in, _told_in = msgspec.json.Decoder(Event), msgspec.json.Decoder(Told)
_out = msgspec.json.Encoder()

GRACE_US = 3_600_000_000
"""So long after a carrier spoke of an unregistered number it is looked at: one hour."""
READ_LEASE_US = 20_000_000
"""So long a payload is its reader's (real time); then the reader is taken to be dead."""
TOGETHER = 64
"""So many payloads are read at the same time, so many parcels reviewed: they share commits."""
MOST_TRIES = 3
"""A payload that killed its reader so often is set aside, kept and told to ops."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A payload's row. `unread` is False when the same bytes were kept and read before."""

    id: int
    unread: bool


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
        real = self.real_us()

        async def unit(tx: Tx) -> Row | None:
            kept = await _keep(tx, payload, now)
            return await _taken(tx, kept.id, real) if kept.unread else None

        row = await write_surely(self.store, unit)
        return await self._enter_kept(row, *self._understood(row), now) if row is not None else ()

    async def read(self, id: int, now: datetime) -> tuple[str, ...]:
        """Read one kept payload and conclude about every parcel it speaks of; the registered numbers it changed.

        What cannot be read stays kept, poisons nothing, and is told to ops once.
        """

        real = self.real_us()
        row = await self.store.write(lambda tx: _taken(tx, id, real))
        return await self._enter_kept(row, *self._understood(row), now) if row is not None else ()

    def _understood(self, row: Row) -> tuple[Payload, Readings | Exception]:
        """What a kept payload says, or why it cannot be read."""
        payload = payload_of(row)
        try:
            if row["tries"] > MOST_TRIES:
                raise Unreadable(f"reading it was interrupted {MOST_TRIES} times")
            return payload, self.readings[payload.carrier].read(payload)
        except Exception as error:  # whatever a reading does, the bytes stay and ops hear of it
            return payload, error

    async def _enter_kept(
        self, row: Row, payload: Payload, found: Readings | Exception, now: datetime
    ) -> tuple[str, ...]:
        """Enter what a payload that is ours to read says, or set it aside."""
        if isinstance(found, Exception):
            await self._set_aside(row["id"], payload, found, now)
            return ()

        async def enter(tx: Tx) -> tuple[str, ...]:
            if not await mark_read(tx, row["id"], to_us(now)):
                return ()
            return await self._enter(tx, row["id"], payload, found, row["received_us"], now)

        return await write_surely(self.store, enter)

    async def read_all(self, now: datetime, limit: int = 200) -> int:
        """Read what is kept and not read yet, oldest first; how many were seen to.

        New ones are read together, so that they share commits. What a reader died of is among those that were tried:
        they are read one by one, so that nothing but itself is blamed for it.
        """
        real = self.real_us()
        fresh = await self.store.read(lambda tx: unread_payloads(tx, limit, real, most_tries=0))
        for first in range(0, len(fresh), TOGETHER):
            await self._read_together(fresh[first : first + TOGETHER], now)
        tried = await self.store.read(lambda tx: unread_payloads(tx, limit, real))
        for id in tried:
            await self.read(id, now)
        return len(fresh) + len(tried)

    async def _read_together(self, ids: Sequence[int], now: datetime) -> None:
        real = self.real_us()

        async def take(tx: Tx) -> list[Row]:
            return [row for id in ids if (row := await _taken(tx, id, real)) is not None]

        rows = await self.store.write(take)
        understood = [(row, *self._understood(row)) for row in rows]  # before the first is entered: one commit for all
        ends = await asyncio.gather(*(self._enter_kept(*each, now) for each in understood), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

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
        seen, said = await self.history(tx, row, limit)
        parcel, terms = fold(seen, said, shipment_of(row)), self.terms(row)
        found = conclude(parcel, terms, as_of or now)
        deed = await deed_of(tx, row["id"], limit) if found.case else None
        return conclude(parcel, terms, as_of or now, deed) if deed else found

    async def history(self, tx: Tx, row: Row, limit: int | None = None) -> tuple[list[Sighting], list[Telling]]:
        """All that was seen and told of a parcel (received until `limit`, where given)."""
        seen = [
            Sighting(_event_in.decode(s["event"]), Source(s["source"]), s["payload_digest"])
            for s in await sightings_of(tx, row["id"])
            if limit is None or max(s["received_us"], s["linked_us"] or 0) <= limit
        ]
        said = [
            Telling(_told_in.decode(t["told"]), t["payload_digest"])
            for t in await told_of(tx, row["id"])
            if limit is None or t["received_us"] <= limit
        ]
        return seen, said

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

    async def _enter(
        self, tx: Tx, id: int, payload: Payload, readings: Readings, received_us: int, now: datetime
    ) -> tuple[str, ...]:
        changed, said, digest = [], _by_number(readings), payload.digest
        # sorted: two transactions that speak of the same parcels lock them in the same order
        for number in sorted(said):
            await mention(tx, id, payload.carrier, number)
            row = await lock_parcel(tx, payload.carrier, number)
            if row is not None:
                # Most answers repeat what is known: then nothing follows that time alone does not bring (review_due).
                if await _tell(tx, row, said[number], payload.source, digest, received_us) or row["version"] == 0:
                    await self.conclude(tx, row, now, entered=id)
                    changed.append(number)
            elif number not in payload.asked:
                await _note_unknown(tx, payload.carrier, number, payload.source, now)
        for event in readings.events:
            if not event.known:
                await _report_unknown(tx, event, payload, now)
        return tuple(changed)

    async def _adopt(self, tx: Tx, row: Row, entered: int | None) -> None:
        """Enter what was told of a number before it was registered."""
        for kept in await payloads_mentioning(tx, row["carrier"], row["number"], but=entered):
            payload = payload_of(kept)
            await self.tell(tx, row, self.readings[payload.carrier].read(payload), payload, kept["received_us"])

    async def tell(self, tx: Tx, row: Row, readings: Readings, payload: Payload, received_us: int) -> None:
        """Enter what a payload says of one parcel."""
        if said := _by_number(readings).get(row["number"]):
            await _tell(tx, row, said, payload.source, payload.digest, received_us)

    async def conclude(self, tx: Tx, row: Row, now: datetime, *, entered: int | None = None) -> dict[str, Any]:
        """Fold, judge, save what changed, say what is new, all in the caller's transaction; the conclusion as JSON.

        What was told before a parcel was registered is entered first, but for the payload `entered`.
        """
        if row["version"] == 0:
            await self._adopt(tx, row, entered)
        conclusion = await self.conclusion(tx, row, now)
        view = explained(conclusion)
        encoded = _out.encode(view).decode()
        parcel = conclusion.parcel
        registered, minutes = from_us(row["created_us"]), self.terms(row).polling.minutes
        poll = next_poll(
            conclusion.status, parcel.purpose, registered=registered, moved=parcel.moved_at, now=now, minutes=minutes
        )
        stale = stale_at(
            conclusion.status,
            parcel.purpose,
            registered=registered,
            moved=parcel.moved_at,
            heard=_heard(row, parcel.moved_at, now),
            minutes=minutes,
        )
        stale_us = to_us(stale) if stale else None
        poll_us = to_us(poll) if poll else row["next_poll_us"]
        if poll and row["next_poll_us"] is not None:
            poll_us = min(poll_us, row["next_poll_us"])  # a push may bring the next look forward, never put it off
        review_us = to_us(conclusion.review_at) if conclusion.review_at else None
        if encoded == row["conclusion"]:
            await reschedule(tx, row["id"], review_us=review_us, next_poll_us=poll_us, stale_us=stale_us)
            return view
        before = msgspec.json.decode(row["conclusion"])
        ended = parcel.decided_at if parcel.status in ENDED else None
        await save_conclusion(
            tx,
            row["id"],
            leg=conclusion.leg,
            status=conclusion.status,
            conclusion=encoded,
            moved_us=to_us(parcel.moved_at) if parcel.moved_at else None,
            ended_us=to_us(ended) if ended else None,
            review_us=review_us,
            next_poll_us=poll_us,
            stale_us=stale_us,
        )
        if parcel.home_of:  # what follows is the other parcel's story, and said of that one
            await self._conclude_first(tx, row, now)
            return view
        if (state := _case_state(view)) != _case_state(before):
            await note_case(tx, row["id"], state, SOON_US if state in TO_BE_SEEN_TO else None)
        verdicts_ = [*verdicts(conclusion, (row["leg"], row["status"])), *_corrections(before, view)]
        if verdicts_:
            await self._say(tx, row, view, verdicts_, now)
        if conclusion.case:  # it may come home under another number that its carrier tells
            for other in parcel.alternates:
                await _note_told(tx, row, other, now)
        return view

    async def _conclude_first(self, tx: Tx, row: Row, now: datetime) -> None:
        """Conclude about the parcel that travels home under this one's number: it has moved."""
        found = await first_of(tx, row["id"])
        first = await lock_parcel_by_id(tx, found["id"]) if found else None
        if first is not None:
            await self.conclude(tx, first, now)

    async def _say(self, tx: Tx, row: Row, view: dict[str, Any], found: Sequence[Verdict], now: datetime) -> None:
        """Put the verdicts in the outbox, each once, with the parcel's full state."""
        data: dict[str, Any] = {
            "merchant": row["merchant"],
            "carrier": row["carrier"],
            "number": row["number"],
            "purpose": row["purpose"],
            "order_numbers": await order_numbers_of(tx, row["id"]),
            "return_number": await return_number_of(tx, row["id"]),
            "parcel": view,
        }
        for verdict in found:
            extra = dict(verdict.extra)
            if "attempt" in extra:
                extra["attempt"] = _ledger_row(view, extra["attempt"])
            await say(
                tx,
                subject=f"parcel:{row['id']}",
                name=verdict.name,
                type=verdict.type,
                at=now,
                data={**data, "terms": view["terms"], "rule": verdict.rule or "correction", **extra},
            )


async def _keep(tx: Tx, payload: Payload, now: datetime) -> Kept:
    row = await keep_payload(
        tx,
        carrier=payload.carrier,
        source=payload.source,
        digest=payload.digest,
        body=payload.body,
        asked=_out.encode(payload.asked).decode(),
        status=payload.status,
        received_us=to_us(now),
    )
    return Kept(row["id"], row["read_us"] is None)


async def _taken(tx: Tx, id: int, real_us: int) -> Row | None:
    """The row of a payload that is ours to read from now on; None where it was read, or somebody reads it now."""
    mine = await take_payload(tx, id, real_now_us=real_us, until_us=real_us + READ_LEASE_US)
    return await get_payload(tx, id) if mine else None


SOON_US = 0
TO_BE_SEEN_TO = frozenset({CaseState.EXPECTED, CaseState.CANCELLED, ""})
"""Cases that somebody sees to: to be ordered or left to the carrier; or not needed any more (homecoming.py)."""


def _case_state(view: Mapping[str, Any]) -> str:
    """How far its case is; empty without one, and for one that was kept before cases had rows."""
    case = view.get("return_to_warehouse") or {}
    return str(case["state"]) if "overdue" in case else ""


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


def _heard(row: Row, moved: datetime | None, now: datetime) -> datetime:
    """When the carrier was heard last about a parcel: it was asked, or it pushed something new."""
    asked = from_us(row["checked_us"] if row["checked_us"] is not None else row["created_us"])
    return max(asked, min(moved, now)) if moved else asked


def shipment_of(row: Row) -> Shipment:
    """What we ourselves know of a registered parcel."""
    record = msgspec.json.decode(row["shipment"])
    return Shipment(
        row["carrier"],
        row["number"],
        Purpose(row["purpose"]),
        Place(**record.get("origin") or {}),
        Place(**record.get("destination") or {}),
        record.get("service", ""),
        bool(record.get("express")),
        date.fromisoformat(record["promised"]) if record.get("promised") else None,
        further=tuple((carrier, number) for carrier, number in record.get("further", ())),
        home_of=tuple(record["home_of"]) if record.get("home_of") else None,
    )


def teller(source: str, telling: str) -> str:
    """The name of a telling within its event: who speaks, and a digest of what is said."""
    return f"{source}:{hashlib.blake2b(telling.encode(), digest_size=12).hexdigest()}"


Said = tuple[list[Event], list[Told]]
"""What one payload says of one number."""


def _by_number(readings: Readings) -> dict[str, Said]:
    said: dict[str, Said] = {number: ([], []) for number in readings.numbers}
    for event in readings.events:
        said[event.number][0].append(event)
    for told in readings.told:
        said[told.number][1].append(told)
    return said


async def _tell(tx: Tx, row: Row, said: Said, source: Source, digest: str, received_us: int) -> bool:
    """Enter what a payload says of one parcel; whether any of it is new."""
    events, told = said
    earlier = {
        (s["source"], s["event"]): s["received_us"] for s in await sightings_of(tx, row["id"]) if s["linked_us"] is None
    }
    fresh = [
        {
            "parcel_id": row["id"],
            "event_id": event.id,
            "teller": teller(source, encoded),
            "source": source,
            "payload_digest": digest,
            "received_us": received_us,
            "at_us": to_us(event.at),
            "event": encoded,
        }
        for event in events
        # what was told in the same words before is left
        if not earlier.get((source, encoded := _out.encode(event).decode()), received_us) < received_us
    ]
    if fresh:
        await add_sightings(tx, fresh)
    news = bool(fresh)
    kept = {t["teller"]: t for t in await told_of(tx, row["id"])}
    for each in told:
        encoded = _out.encode(each).decode()
        by = teller(source, encoded)
        before = kept.get(by)
        if before and before["received_us"] <= received_us and before["payload_digest"] <= digest:
            continue
        changed = await add_told(
            tx, parcel_id=row["id"], teller=by, payload_digest=digest, received_us=received_us, told=encoded
        )
        news |= changed and (before is None or received_us < before["received_us"] or _is_evidence(each, by, kept))
    return news


def _is_evidence(told: Told, teller: str, kept: Mapping[str, Row]) -> bool:
    """Whether it matters which payload told it: it is named as evidence, or decides between two of one instant."""
    if told.return_by or told.pickup_by:
        return True
    others = (_told_in.decode(row["told"]) for name, row in kept.items() if name != teller)
    return any((other.newest, other.rescheduled) == (told.newest, told.rescheduled) for other in others)


async def _note_unknown(tx: Tx, carrier: str, number: str, source: Source, now: datetime) -> None:
    """A number nobody registered: judged later, because an order service may register it a moment after its parcel."""
    at = to_us(now)
    await note_number(tx, carrier=carrier, number=number, source=source, now_us=at, due_us=at + GRACE_US)


async def _note_told(tx: Tx, row: Row, number: str, now: datetime) -> None:
    """A number that the carrier of a parcel that goes home gives it beside its own, unless it is a parcel of ours."""
    if number != row["number"] and await find_parcel(tx, row["carrier"], number) is None:
        told_by = f"{row['carrier']} {row['number']}"
        at = to_us(now)
        await note_number(
            tx, carrier=row["carrier"], number=number, source="told", now_us=at, due_us=at, told_by=told_by
        )


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


def _ledger_row(view: dict[str, Any], attempt: object) -> dict[str, Any]:
    """The whole ledger row that an attempt's verdict speaks of."""
    ordinal = attempt["ordinal"] if isinstance(attempt, dict) else None
    rows: list[dict[str, Any]] = view["attempts"]["ledger"]
    return next(row for row in rows if row["counted"] and row["ordinal"] == ordinal)


def _corrections(before: dict[str, Any], after: dict[str, Any]) -> list[Verdict]:
    """What was said of attempts and is no longer so: a row that is gone, or that turns out to be of another day."""
    was, now = _days(before), _days(after)
    changed = {n: day for n, day in was.items() if n not in now or (day and now[n] and day != now[n])}
    if not changed:
        return []
    state = hashlib.blake2b(_out.encode([before["attempts"]["count"], now]), digest_size=8).hexdigest()
    extra = {"was": {"count": before["attempts"]["count"], "days": was}, "corrected": sorted(changed)}
    return [Verdict(f"out/attempts_corrected/{state}", "parcel.attempt_corrected", extra)]


def _days(view: dict[str, Any]) -> dict[str, str | None]:
    rows = view.get("attempts", {}).get("ledger", [])
    return {str(row["ordinal"]): row["day"] for row in rows if row["counted"]}
