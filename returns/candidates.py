"""What is known of a number that nobody registered, and what it may be: read from kept payloads, cases and waybills."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from carriers.contract import Carrier, Kind, Place, Unreadable
from fleet.clocks import Clock, from_us, to_us
from merchants.terms import Terms, terms_on
from returns.forms import sender_of
from store.engine import Row, Store, Tx
from store.payloads import payloads_mentioning
from store.sealing import Sealer
from store.unidentified import open_cases, open_waybills, orders_on_parcel, orders_on_return
from tracker.ledger import Ledger, payload_of, shipment_of
from tracker.matching import Candidate, CandidateKind, Clue, plain_name
from tracker.orders import contact_of
from tracker.polling import Poller

MOST = 500
"""So many cases, and so many waybills, the newest ones, are held against a number."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """What identifying stands on."""

    store: Store
    sealer: Sealer
    shelf: Mapping[str, Sequence[Terms]]
    carriers: Mapping[str, Carrier]
    ledger: Ledger
    poller: Poller
    clock: Clock

    def terms(self, merchant: str, now: datetime) -> Terms:
        return terms_on(merchant, now.date(), self.shelf)

    def name_mark(self, name: str) -> str:
        """The mark of a name however it is written; of no name none."""
        return self.sealer.mark("name:" + plain_name(name)) if plain_name(name) else ""


async def clue_of(tx: Tx, desk: Identifier, row: Row) -> Clue:
    """Everything that kept payloads and the person who keyed it in say."""
    known = msgspec.json.decode(row["clue"])
    clue = Clue(
        carrier=row["carrier"],
        number=row["number"] or "",
        account=known.get("account") or "",
        order_number=row["order_number"],
        name_mark=row["name_mark"],
        told_by=row["told_by"],
    )
    if not row["number"] or row["carrier"] not in desk.ledger.readings:
        return clue
    read = desk.ledger.readings[row["carrier"]]
    for kept in await payloads_mentioning(tx, row["carrier"], row["number"]):
        try:
            readings = read.read(payload_of(kept))
        except Unreadable:
            continue
        for told in readings.told:
            if told.number == clue.number:
                clue = replace(
                    clue,
                    references=tuple(dict.fromkeys((*clue.references, *told.references))),
                    alternates=tuple(dict.fromkeys((*clue.alternates, *told.alternates))),
                    origin=told.origin or clue.origin,
                    destination=told.destination or clue.destination,
                )
        for event in readings.events:
            if event.number == clue.number and event.kind not in _PAPERWORK:
                clue = replace(clue, first=min(event.at, clue.first or event.at))
                if event.kind is Kind.PICKED_UP and not clue.origin:
                    clue = replace(clue, origin=event.place)
                if event.kind is Kind.DELIVERED and not clue.destination:
                    clue = replace(clue, destination=event.place)
    return clue


_PAPERWORK = frozenset({Kind.LABEL_CREATED, Kind.VOIDED, Kind.UNKNOWN})


async def candidates_of(tx: Tx, desk: Identifier, merchant: str, now: datetime) -> list[Candidate]:
    """Every case and waybill that the number may be, of one shop where the box says which."""
    longest = max(versions[-1].matching.days for versions in desk.shelf.values()) + 120
    since_us = to_us(now - timedelta(days=longest))
    cases = [row for row in await open_cases(tx, since_us, MOST) if merchant in ("", row["merchant"])]
    waybills = [row for row in await open_waybills(tx, since_us, MOST) if merchant in ("", row["merchant"])]
    found = [await case_candidate(tx, desk, row, now) for row in cases]
    return found + [await return_candidate(tx, desk, row, now) for row in waybills]


async def case_candidate(tx: Tx, desk: Identifier, row: Row, now: datetime) -> Candidate:
    terms, view, known = desk.terms(row["merchant"], now), msgspec.json.decode(row["conclusion"]), shipment_of(row)
    case = view.get("return_to_warehouse") or {}
    began = case.get("opened_at") or case.get("since")
    orders = await orders_on_parcel(tx, row["id"])
    names = [contact.ship_to.name for order in orders if (contact := contact_of(order, desk.sealer))]
    return Candidate(
        CandidateKind.CASE,
        row["id"],
        row["merchant"],
        f"{row['carrier']} {row['number']}",
        row["carrier"],
        terms.warehouse.address.place,
        datetime.fromisoformat(began) if began else from_us(row["created_us"]),
        terms.matching.days,
        number=row["number"],
        alternates=tuple(view.get("alternate_numbers") or ()),
        order_numbers=tuple(order["number"] for order in orders),
        origin=known.destination,
        name_marks=frozenset(desk.name_mark(name) for name in names) - {""},
    )


async def return_candidate(tx: Tx, desk: Identifier, row: Row, now: datetime) -> Candidate:
    terms, waybill = desk.terms(row["merchant"], now), _waybill(row)
    sender = sender_of(row, desk.sealer)
    orders = await orders_on_return(tx, row["id"])
    names = [contact.ship_to.name for order in orders if (contact := contact_of(order, desk.sealer))]
    names += [sender.name] if sender else []
    issued = waybill.get("issued_at")
    return Candidate(
        CandidateKind.RETURN,
        row["id"],
        row["merchant"],
        row["number"],
        terms.carrier,
        terms.warehouse.address.place,
        datetime.fromisoformat(issued) if issued else from_us(row["created_us"]),
        terms.matching.days,
        references=tuple(each for each in (row["number"], waybill.get("reference", "")) if each),
        order_numbers=tuple(order["number"] for order in orders),
        account=waybill.get("account", ""),
        origin=sender.place if sender else Place(),
        name_marks=frozenset(desk.name_mark(name) for name in names) - {""},
    )


def _waybill(row: Row) -> dict[str, Any]:
    """What a waybill was issued with; empty where none was."""
    waybill: dict[str, Any] = msgspec.json.decode(row["return"]).get("waybill") or {}
    return waybill
