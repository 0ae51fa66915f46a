"""Simulated journeys from the street, told by payloads in any order, concluded in process at full speed: none wrong.

Half of the parcels take the scripted journeys, the other half every row of the carriers' code tables in turn
(street/variants.py). The witness is the street's own record, written from outcomes before anybody read a code.
"""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

import carriers.ups.codes
import carriers.usps.codes
from carriers.contract import Kind, Payload, Reads
from carriers.ups import reading as ups
from carriers.ups.meaning import MAIL_INNOVATIONS
from carriers.ups.standin.words import said as ups_said
from carriers.usps import reading as usps
from carriers.usps.codes import plain
from carriers.usps.standin.words import said as usps_said
from merchants.terms import default_for
from proof.feeds import Feeds, feed, number, shipment
from street.journeys import JOURNEYS
from street.places import CUSTOMERS, USUAL, Place
from street.telling import Delivery, Scan
from street.town import Parcel
from street.variants import variants
from tracker.lifecycle import Shipment, Sighting, Telling, fold
from tracker.policy import Conclusion, conclude

PARCELS, SHARE = 100_000, 500
READS: dict[str, Reads] = {"ups": ups, "usps": usps}
FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
CLASSES = {
    Kind.ATTEMPT_FAILED: "attempt",
    Kind.REFUSED: "final",
    Kind.BAD_ADDRESS: "final",
    Kind.UNCLAIMED: "final",
    Kind.RETURNING_TO_SENDER: "returning",
    Kind.RETURNED_TO_SENDER: "returning",
    Kind.AVAILABLE_FOR_PICKUP: "hold",
    Kind.DELIVERED_TO_ACCESS_POINT: "hold",
    Kind.DELIVERED: "delivered",
}
Row = tuple[str, str, str, str]  # carrier, class, code or words, kind


@dataclass(slots=True)
class Tally:
    """What one share of the parcels came to."""

    parcels: int = 0
    payloads: int = 0
    wrong: list[dict[str, Any]] = field(default_factory=list)
    said: Counter[tuple[str, ...]] = field(default_factory=Counter)  # carrier and saying, as told
    journeys: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        self.parcels += other.parcels
        self.payloads += other.payloads
        self.wrong += other.wrong
        self.said += other.said
        self.journeys += other.journeys


async def run(*, parcels: int = 0, seed: int = 0, processes: int = 0, **_: object) -> dict[str, Any]:
    """Counts, and whether the promise held: nothing wrong, and every row of the tables among what was told."""
    wanted, began = parcels or PARCELS, time.monotonic()
    shares = [(seed, first, min(SHARE, wanted - first)) for first in range(0, wanted, SHARE)]
    tally = Tally()
    with multiprocessing.get_context("spawn").Pool(processes or min(4, os.cpu_count() or 1)) as pool:
        for part in pool.imap_unordered(_share, shares):
            tally.add(part)
    return _report(tally, seed, time.monotonic() - began)


def _share(share: tuple[int, int, int]) -> Tally:
    return walk(*share)


def walk(seed: int, first: int, count: int) -> Tally:
    """So many parcels from that serial on, in a town of their own."""
    feeds, tally = Feeds(), Tally()
    for serial in range(first, first + count):
        dice = Random(f"{seed}/{serial}")
        parcel = set_out(feeds, serial, dice)
        payloads = feed(feeds, parcel, dice)
        concluded = judge(payloads, shipment(parcel, places=dice.random() < 0.7), parcel.telling.ends_at)
        (truth,) = (each for each in feeds.town.record() if each["number"] == parcel.number)
        tally.parcels += 1
        tally.payloads += len(payloads)
        tally.journeys[f"{parcel.journey.carrier}:{parcel.journey.name.partition('~')[0]}"] += 1
        tally.said.update(_sayings(feeds, parcel))
        found = facts(concluded)
        expected = expectation(truth)
        if found != expected:
            differs = {name: [expected[name], found[name]] for name in expected if found[name] != expected[name]}
            wrong = {"serial": serial, "number": parcel.number, "journey": parcel.journey.name, "differs": differs}
            tally.wrong.append({**wrong, "delivery": parcel.delivery, "starts_at": truth["starts_at"]})
        feeds.town.parcels.clear()
        feeds.town.queue.drop(parcel.number)
    return tally


def set_out(feeds: Feeds, serial: int, dice: Random) -> Parcel:
    """Even serials take a scripted journey, odd ones the variants in turn; everything else is chance."""
    variant = variants()[serial // 2 % len(variants())] if serial % 2 else None
    carrier, name = (variant.carrier, variant.journey) if variant else dice.choice(list(JOURNEYS))
    is_return = JOURNEYS[carrier, name].is_return
    return feeds.town.create(
        carrier,
        name,
        delivery=dice.choice(list(Delivery)),
        purpose="return" if is_return else dice.choice(("order", "order", "resend", "exchange")),
        number=number(carrier, serial),
        starts_at=FIRST_DAY + timedelta(seconds=dice.randrange(360 * 86400)),
        destination=None if is_return else _somewhere(carrier, name, dice),
        variant=variant,
    )


def _somewhere(carrier: str, name: str, dice: Random) -> Place:
    return CUSTOMERS[JOURNEYS[carrier, name].destination or dice.choice(USUAL[carrier])]


def judge(payloads: Sequence[Payload], known: Shipment, now: datetime) -> Conclusion:
    """Read, fold, conclude: what the service does, without its database."""
    sightings, tellings = [], []
    for payload in payloads:
        readings = READS[payload.carrier].read(payload)
        digest = payload.digest
        sightings += [Sighting(e, payload.source, digest) for e in readings.events if e.number == known.number]
        tellings += [Telling(t, digest) for t in readings.told if t.number == known.number]
    return conclude(fold(sightings, tellings, known), default_for(known.carrier), now + timedelta(minutes=1))


def facts(concluded: Conclusion) -> dict[str, Any]:
    """A conclusion in the terms of the street's record."""
    parcel, case = concluded.parcel, concluded.case
    return {
        "leg": str(concluded.leg),
        "status": str(concluded.status),
        "count": parcel.count,
        "final": parcel.final,
        "days": [row.day.isoformat() if row.day else None for row in parcel.attempts if row.counted],
        "case": [str(case.state), str(case.reason)] if case else None,
        "delivered_at": _minute(parcel.delivered_at),
        "returned_at": _minute(parcel.returned_at),
        "unknown_codes": list(parcel.unknown_codes),
    }


def expectation(truth: dict[str, Any]) -> dict[str, Any]:
    case = truth["return_to_warehouse"]
    return {
        "leg": truth["leg"],
        "status": truth["status"],
        **truth["attempts"],
        "case": [case["state"], case["reason"]] if case else None,
        "delivered_at": _minute(datetime.fromisoformat(truth["delivered_at"])) if truth["delivered_at"] else None,
        "returned_at": _minute(datetime.fromisoformat(truth["returned_at"])) if truth["returned_at"] else None,
        "unknown_codes": [],
    }


def _minute(at: datetime | None) -> str | None:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ") if at else None


# -------------------------------------------------------------------------------------------------------- the coverage


def _sayings(feeds: Feeds, parcel: Parcel) -> set[tuple[str, ...]]:
    """What the carrier said of this parcel, in its own words: (carrier, code..., words)."""
    carrier = parcel.journey.carrier
    return {(carrier, *_said(parcel, scan)) for scan in parcel.telling.scans if not scan.echo}


def _said(parcel: Parcel, scan: Scan) -> tuple[str, ...]:
    return (ups_said if parcel.journey.carrier == "ups" else usps_said)(parcel, scan)


@cache
def table_rows() -> frozenset[Row]:
    """Every attempt, final, returning, hold and delivered row of both carriers' tables."""
    tables = carriers.ups.codes.TABLES
    ups_rows = [
        *(("/".join(key), row) for key, row in tables.scans.items()),
        *tables.statuses.items(),
        *((pattern.pattern, row) for pattern, row in tables.words),
    ]
    rows: set[Row] = {("ups", CLASSES[row.kind], name, row.kind) for name, row in ups_rows if row.kind in CLASSES}
    for (code, words, prefix), line in carriers.usps.codes.TABLE.rows.items():
        if line.meaning.kind in CLASSES:
            rows.add(("usps", CLASSES[line.meaning.kind], _usps_name(code, words, prefix), line.meaning.kind))
    return frozenset(rows)


def _usps_name(code: str, words: str, prefix: bool) -> str:
    return f"{code or '-'} {words}{'*' if prefix else ''}"


def rows_said(said: Sequence[tuple[str, ...]]) -> frozenset[Row]:
    """The rows of the tables that these sayings touch."""
    return frozenset(row for saying in said for row in (_ups_rows if saying[0] == "ups" else _usps_rows)(saying[1:]))


def _ups_rows(saying: tuple[str, ...]) -> Iterator[Row]:
    kind, code, status, text = saying
    tables = carriers.ups.codes.TABLES
    key = (f"MI:{kind}" if kind in MAIL_INNOVATIONS else kind, code)
    touched = [("/".join(key), tables.scans.get(key)), (status, tables.statuses.get(status))]
    touched += [(pattern.pattern, row) for pattern, row in tables.words if pattern.search(text)][:1]
    for name, row in touched:
        if row and row.kind in CLASSES:
            yield ("ups", CLASSES[row.kind], name, row.kind)


def _usps_rows(saying: tuple[str, ...]) -> Iterator[Row]:
    code, text, _ = saying
    words = plain(text)
    for (row_code, row_words, prefix), line in carriers.usps.codes.TABLE.rows.items():
        matches = words.startswith(row_words) if prefix else words == row_words
        if row_code == code and matches and line.meaning.kind in CLASSES:
            yield ("usps", CLASSES[line.meaning.kind], _usps_name(row_code, row_words, prefix), line.meaning.kind)


def _report(tally: Tally, seed: int, seconds: float) -> dict[str, Any]:
    rows, occurred = table_rows(), rows_said(list(tally.said))
    missing = sorted(rows - occurred)
    coverage = {
        carrier: {
            name: {
                "rows": sum(row[:2] == (carrier, name) for row in rows),
                "occurred": sum(row[:2] == (carrier, name) for row in occurred),
            }
            for name in dict.fromkeys(CLASSES.values())
        }
        for carrier in READS
    }
    return {
        "held": not tally.wrong and not missing and tally.parcels > 0,
        "seed": seed,
        "parcels": tally.parcels,
        "payloads": tally.payloads,
        "wrong": len(tally.wrong),
        "wrong_parcels": tally.wrong[:20],
        "parcels_per_second": round(tally.parcels / seconds, 1),
        "journeys": len(tally.journeys),
        "rows": coverage,
        "rows_missing": [f"{row[0]}: {row[2]} ({row[3]})" for row in missing],
        "rows_occurred": {
            carrier: {
                name: sorted(row[2] for row in occurred if row[:2] == (carrier, name))
                for name in dict.fromkeys(CLASSES.values())
            }
            for carrier in READS
        },
    }
