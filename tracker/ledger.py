"""A payload's way: kept, read, entered as sightings, folded, concluded, said. Alone writes a parcel's conclusion."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec

from carriers.contract import Event, Payload, Place, Readings, Reads, Source, Told, Unreadable
from fleet.clocks import from_us, to_us
from merchants.terms import Terms, terms_on
from store.engine import Row, Store, Tx
from store.outbox import say
from store.parcels import (
    add_sighting,
    add_told,
    due_reviews,
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
    mark_tried,
    mention,
    payloads_mentioning,
    unread_payloads,
)
from tracker.explain import explained
from tracker.lifecycle import ENDED, Purpose, Shipment, Sighting, Telling, fold
from tracker.policy import Conclusion, Verdict, conclude, verdicts
from tracker.polling import next_poll

log = logging.getLogger(__name__)

_event_in, _told_in = msgspec.json.Decoder(Event), msgspec.json.Decoder(Told)
_out = msgspec.json.Encoder()

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

    async def keep(self, payload: Payload, now: datetime) -> Kept:
        """Keep the bytes in a commit of their own. After this the carrier may hear 200."""

        async def unit(tx: Tx) -> Kept:
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

        return await self.store.write(unit)

    async def read(self, id: int, now: datetime) -> tuple[str, ...]:
        """Read one kept payload and conclude about every parcel it speaks of; the registered numbers it changed.

        What cannot be read stays kept, poisons nothing, and is told to ops once.
        """

        async def fetch(tx: Tx) -> Row | None:
            await mark_tried(tx, id)
            return await get_payload(tx, id)

        row = await self.store.write(fetch)
        if row is None or row["read_us"] is not None:
            return ()
        payload = payload_of(row)
        try:
            if row["tries"] > MOST_TRIES:
                raise Unreadable(f"reading it was interrupted {MOST_TRIES} times")
            readings = self.readings[payload.carrier].read(payload)
        except Exception as error:  # whatever a reading does, the bytes stay and ops hear of it
            await self._set_aside(id, payload, error, now)
            return ()

        async def enter(tx: Tx) -> tuple[str, ...]:
            if not await mark_read(tx, id, to_us(now)):
                return ()
            return await self._enter(tx, id, payload, readings, row["received_us"], now)

        return await self.store.write(enter)

    async def read_all(self, now: datetime, limit: int = 200) -> int:
        """Read what is kept and not read yet, oldest first; how many were seen to."""
        ids = await self.store.read(lambda tx: unread_payloads(tx, limit))
        for id in ids:
            await self.read(id, now)
        return len(ids)

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
        for id in ids:
            await self.review(id, now)
        return len(ids)

    async def conclusion(self, tx: Tx, row: Row, now: datetime, as_of: datetime | None = None) -> Conclusion:
        """What follows from all that was told of a parcel (received until `as_of`, where given)."""
        limit = to_us(as_of) if as_of else None
        seen = [
            Sighting(_event_in.decode(s["event"]), Source(s["source"]), s["payload_digest"])
            for s in await sightings_of(tx, row["id"])
            if limit is None or s["received_us"] <= limit
        ]
        said = [
            Telling(_told_in.decode(t["told"]), t["payload_digest"])
            for t in await told_of(tx, row["id"])
            if limit is None or t["received_us"] <= limit
        ]
        return conclude(fold(seen, said, shipment_of(row)), self.terms(row), as_of or now)

    def terms(self, row: Row) -> Terms:
        """The terms a parcel is judged by: those in force when it was registered."""
        return terms_on(row["merchant"], from_us(row["created_us"]).date(), self.shelf)

    # ------------------------------------------------------------------------------------------------------- inside

    async def _set_aside(self, id: int, payload: Payload, error: Exception, now: datetime) -> None:
        why = str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"
        if not isinstance(error, Unreadable):
            log.exception("reading a payload failed", extra={"payload": id, "carrier": payload.carrier})

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
        changed = []
        # sorted: two transactions that speak of the same parcels lock them in the same order
        for number in sorted(readings.numbers):
            await mention(tx, id, payload.carrier, number)
            row = await lock_parcel(tx, payload.carrier, number)
            if row is not None:
                await _tell(tx, row, readings, payload, received_us)
                await self.conclude(tx, row, now)
                changed.append(number)
        for event in readings.events:
            if not event.known:
                await _report_unknown(tx, event, payload, now)
        return tuple(changed)

    async def _adopt(self, tx: Tx, row: Row) -> None:
        """Enter what was told of a number before it was registered."""
        for kept in await payloads_mentioning(tx, row["carrier"], row["number"]):
            payload = payload_of(kept)
            await _tell(tx, row, self.readings[payload.carrier].read(payload), payload, kept["received_us"])

    async def tell(self, tx: Tx, row: Row, readings: Readings, payload: Payload, received_us: int) -> None:
        """Enter what a payload says of one parcel."""
        await _tell(tx, row, readings, payload, received_us)

    async def conclude(self, tx: Tx, row: Row, now: datetime) -> dict[str, Any]:
        """Fold, judge, save what changed, say what is new, all in the caller's transaction; the conclusion as JSON."""
        if row["version"] == 0:
            await self._adopt(tx, row)
        conclusion = await self.conclusion(tx, row, now)
        view = explained(conclusion)
        encoded = _out.encode(view).decode()
        at = to_us(now)
        parcel = conclusion.parcel
        poll = next_poll(
            conclusion.status, parcel.purpose, registered=from_us(row["created_us"]), moved=parcel.moved_at, now=now
        )
        poll_us = to_us(poll) if poll else row["next_poll_us"]
        if poll and row["next_poll_us"] is not None:
            poll_us = min(poll_us, row["next_poll_us"])  # a push may bring the next look forward, never put it off
        review_us = to_us(conclusion.review_at) if conclusion.review_at else None
        if encoded == row["conclusion"]:
            await reschedule(tx, row["id"], review_us=review_us, next_poll_us=poll_us)
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
            ended_us=(row["ended_us"] or at) if ended else None,
            review_us=review_us,
            next_poll_us=poll_us,
        )
        verdicts_ = [*verdicts(conclusion, (row["leg"], row["status"])), *_corrections(before, view)]
        if verdicts_:
            await self._say(tx, row, view, verdicts_, now)
        return view

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
                data={**data, **extra},
            )


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
    )


def teller(source: str, telling: str) -> str:
    """The name of a telling within its event: who speaks, and a digest of what is said."""
    return f"{source}:{hashlib.blake2b(telling.encode(), digest_size=12).hexdigest()}"


async def _tell(tx: Tx, row: Row, readings: Readings, payload: Payload, received_us: int) -> None:
    """Enter what a payload says of one parcel."""
    for event in readings.events:
        if event.number == row["number"]:
            encoded = _out.encode(event).decode()
            await add_sighting(
                tx,
                parcel_id=row["id"],
                event_id=event.id,
                teller=teller(payload.source, encoded),
                source=payload.source,
                payload_digest=payload.digest,
                received_us=received_us,
                at_us=to_us(event.at),
                event=encoded,
            )
    for told in readings.told:
        if told.number == row["number"]:
            encoded = _out.encode(told).decode()
            await add_told(
                tx,
                parcel_id=row["id"],
                teller=teller(payload.source, encoded),
                payload_digest=payload.digest,
                received_us=received_us,
                told=encoded,
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
