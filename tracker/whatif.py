"""What would change under other terms or another code table: the kept history concluded twice. Nothing is written."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from carriers.contract import Reads, Unreadable
from fleet.clocks import to_us
from merchants.terms import Terms
from store.engine import Row, Tx
from store.parcels import count_parcels, list_parcels
from store.payloads import payloads_mentioning
from tracker.ledger import Ledger, deed_of, payload_of, shipment_of
from tracker.lifecycle import Parcel, Sighting, Telling, fold
from tracker.policy import Conclusion, conclude

PAGE = 200
Report = Callable[[int, int, int], Awaitable[None]]
"""Hears how many parcels and events were concluded twice, and how many parcels there are."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried out: terms in place of a shop's own, readings with another code table in place of a carrier's."""

    terms: Terms | None = None
    readings: Mapping[str, Reads] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One parcel whose outcome would be another: each thing that differs, as it is and as it would be."""

    carrier: str
    number: str
    differs: dict[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Simulated:
    """`from_sightings` counts parcels whose bytes are gone: another code table cannot be tried on those."""

    parcels: int
    events: int
    changes: tuple[Change, ...]
    from_sightings: int = 0


async def simulate(ledger: Ledger, trial: Trial, since: datetime, now: datetime, report: Report) -> Simulated:
    """Every parcel registered since then (of the shop whose terms are tried), as it is and as it would be."""
    changes: list[Change] = []
    parcels = events = gone = after = 0
    merchant = trial.terms.name if trial.terms else ""
    total = await ledger.store.read(lambda tx: count_parcels(tx, merchant, to_us(since)))
    while found := await _page(ledger, trial, merchant, after, now):
        after = found[-1].row["id"]
        for both in found:
            if both.row["created_us"] < to_us(since):
                continue
            parcels, events, gone = parcels + 1, events + len(both.is_.parcel.happenings), gone + both.gone
            if differs := dict(_differs(both.is_, both.would)):
                changes.append(Change(both.row["carrier"], both.row["number"], differs))
        await report(parcels, events, total)
    return Simulated(parcels, events, tuple(changes), gone)


@dataclass(frozen=True, slots=True)
class _Both:
    row: Row
    is_: Conclusion
    would: Conclusion
    gone: bool


async def _page(ledger: Ledger, trial: Trial, merchant: str, after: int, now: datetime) -> list[_Both]:
    """A page of parcels in one reading: one snapshot, one way to the database."""

    async def unit(tx: Tx) -> list[_Both]:
        rows = await list_parcels(tx, after=after, limit=PAGE, merchant=merchant)
        return [await _both(tx, ledger, row, trial, now) for row in rows]

    return await ledger.store.read(unit)


async def _both(tx: Tx, ledger: Ledger, row: Row, trial: Trial, now: datetime) -> _Both:
    told = await ledger.history(tx, row)
    parcel = fold(*told, shipment_of(row))
    terms, deed, gone = ledger.terms(row), None, False
    is_ = conclude(parcel, terms, now)
    if is_.case and (deed := await deed_of(tx, row["id"])):
        is_ = conclude(parcel, terms, now, deed)
    if reads := trial.readings.get(row["carrier"]):
        parcel, gone = await _read_again(tx, row, reads, *told)
    return _Both(row, is_, conclude(parcel, trial.terms or terms, now, deed), gone)


async def _read_again(
    tx: Tx, row: Row, reads: Reads, seen: Sequence[Sighting], said: Sequence[Telling]
) -> tuple[Parcel, bool]:
    """The parcel as its kept bytes tell it under another table; past their retention the sightings stand in."""
    again: list[Sighting] = []
    told: list[Telling] = []
    kept = set()
    for each in await payloads_mentioning(tx, row["carrier"], row["number"]):
        payload = payload_of(each)
        try:
            readings = reads.read(payload)
        except Unreadable:
            continue
        kept.add(payload.digest)
        again += [Sighting(e, payload.source, payload.digest) for e in readings.events if e.number == row["number"]]
        told += [Telling(t, payload.digest) for t in readings.told if t.number == row["number"]]
    lasting = [s for s in seen if s.digest not in kept]
    lasting_told = [t for t in said if t.digest not in kept]
    return fold([*lasting, *again], [*lasting_told, *told], shipment_of(row)), bool(seen) and not kept


def _differs(is_: Conclusion, would: Conclusion) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What an outcome is made of: where the parcel is, its attempts, its way home, whether it is late."""
    one, other = _outcome(is_), _outcome(would)
    yield from ((name, (value, other[name])) for name, value in one.items() if value != other[name])


def _outcome(conclusion: Conclusion) -> dict[str, Any]:
    parcel, case = conclusion.parcel, conclusion.case
    return {
        "leg": conclusion.leg,
        "status": conclusion.status,
        "late": conclusion.late,
        "attempts.count": parcel.count,
        "attempts.max": conclusion.max,
        "attempts.exhausted": conclusion.exhausted,
        "return_to_warehouse.state": case.state if case else None,
        "return_to_warehouse.reason": case.reason if case else None,
        "attempts.off_calendar": sum(off for _, off in conclusion.rows),
        "unknown_codes": list(parcel.unknown_codes),
    }
