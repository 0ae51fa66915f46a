"""Numbers that nobody registered find their parcel or return: by themselves where it is sure, else by a person.

A number comes in by an account-wide push, as another number its carrier tells of a parcel that goes home, or keyed in
by whoever holds the box. Matched to an undeliverable parcel it is that parcel's further way home; matched to a return
under a waybill it is the return's parcel.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from carriers.contract import CarrierError
from fleet.clocks import from_us, text, to_us
from returns.candidates import Identifier, candidates_of, clue_of
from returns.claiming import BY_SCORE, as_json, match
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.parcels import find_parcel, order_numbers_of
from store.sealing import Sealer
from store.unidentified import (
    UNDECIDED,
    due_unidentified,
    forget_old,
    get_unidentified,
    judged,
    key_in,
    know_of,
    lock_unidentified,
    note_asked,
)
from tracker.matching import CandidateKind, Clue, Ranked, rank, sure
from tracker.orders import Declined

log = logging.getLogger(__name__)

AGAIN = timedelta(hours=6)
"""What waits is held against the cases and waybills again so much later: its own may begin after it was found."""
FORGOTTEN = timedelta(days=30)
"""So long a number that does not concern us is remembered."""


@dataclass(frozen=True, slots=True)
class Box:
    """What a person reads off a box. Everything may be missing but one thing to go by."""

    carrier: str = ""
    number: str = ""
    merchant: str = ""
    order_number: str = ""
    name: str = ""
    account: str = ""
    note: str = ""


# ------------------------------------------------------------------------------------------------------------ the sweep


async def identify(desk: Identifier, limit: int = 50) -> int:
    """Judge every number that is due; how many."""
    now = desk.clock.now()
    ids = await desk.store.read(lambda tx: due_unidentified(tx, to_us(now), limit))
    for id in ids:
        await judge(desk, id)
    return len(ids)


async def forget(desk: Identifier) -> int:
    """Drop numbers that never concerned us; how many."""
    before = to_us(desk.clock.now() - FORGOTTEN)
    return await desk.store.write(lambda tx: forget_old(tx, before))


async def judge(desk: Identifier, id: int) -> None:
    """Hold one number against every open case and waybill: matched, waiting for a person, or none of our business.

    A carrier that told nothing of it yet is asked once, outside any transaction.
    """
    await _ask(desk, id)
    now = desk.clock.now()

    async def unit(tx: Tx) -> None:
        row = await lock_unidentified(tx, id)
        if row is None or row["state"] not in UNDECIDED:
            return
        if row["number"] and await find_parcel(tx, row["carrier"], row["number"]):
            await know_of(tx, id, now_us=to_us(now))
            return
        clue = await clue_of(tx, desk, row)
        ranked = rank(clue, await candidates_of(tx, desk, row["merchant"], now))
        best = ranked[0].candidate if ranked else None
        terms = desk.terms(best.merchant, now).matching if best else None
        certain = sure(ranked, terms.threshold, terms.lead) if terms else None
        if certain is not None and row["number"]:
            await match(tx, desk, row, clue, certain.candidate, certain.score, BY_SCORE, now)
            return
        await _wait(tx, desk, row, clue, ranked, now)

    await write_surely(desk.store, unit)


async def _ask(desk: Identifier, id: int) -> None:
    """Ask the carrier once about a number of which it was not heard."""
    row = await desk.store.read(lambda tx: get_unidentified(tx, id))
    if row is None or not row["number"] or row["asked_us"] is not None or row["state"] not in UNDECIDED:
        return
    carrier = desk.carriers.get(row["carrier"])
    if carrier is None or carrier.recognise(row["number"]) is None:
        return
    now_us = to_us(desk.clock.now())
    await desk.store.write(lambda tx: note_asked(tx, id, now_us))
    try:
        await desk.poller.ask_now(carrier, row["number"])
    except CarrierError as error:
        log.warning("no word about an unknown number", extra={"carrier": carrier.name, "error": type(error).__name__})


async def _wait(tx: Tx, desk: Identifier, row: Row, clue: Clue, ranked: Sequence[Ranked], now: datetime) -> None:
    """It waits for a person where somebody keyed it in, it goes to a warehouse of ours, or it may be something."""
    bound = any(
        clue.destination.is_same(versions[-1].warehouse.address.place) for versions in desk.shelf.values() if versions
    )
    state = "open" if ranked or bound or row["source"] == "keyed" else "elsewhere"
    merchant = row["merchant"] or (ranked[0].candidate.merchant if ranked else "")
    await judged(
        tx,
        row["id"],
        state=state,
        merchant=merchant,
        clue=as_json(_clue_view(clue)),
        candidates=as_json([_ranked_view(each) for each in ranked]),
        now_us=to_us(now),
        due_us=to_us(now + AGAIN) if state == "open" else None,
    )
    if state == "open":
        data = {"merchant": merchant, "carrier": row["carrier"], "number": row["number"], "unidentified": row["id"]}
        best = ranked[0].score.value if ranked else None
        await say(
            tx,
            subject=f"unidentified:{row['id']}",
            name="waits",
            type="ops.unidentified",
            at=now,
            data={**data, "best": best},
        )


# ------------------------------------------------------------------------------------------------- what a person says


async def enter(desk: Identifier, box: Box, by: str) -> int:
    """Key in a box, and judge it at once; the row's id. Raises Declined."""
    carrier, number = _recognised(desk, box)
    if not (number or box.order_number or box.name or box.note):
        raise Declined("box_empty", "a number, an order number, a name or a note is needed")
    if box.merchant and box.merchant not in desk.shelf:
        raise Declined("merchant_unknown", f"no terms for {box.merchant}", "/merchant")
    values = {
        "carrier": carrier,
        "number": number,
        "merchant": box.merchant,
        "order_number": box.order_number,
        "name_mark": desk.name_mark(box.name),
        "note": desk.sealer.seal(msgspec.json.encode({"name": box.name, "note": box.note, "by": by})),
        "clue": as_json({"account": box.account}),
    }
    now = desk.clock.now()

    async def unit(tx: Tx) -> int:
        parcel = await find_parcel(tx, carrier, number) if number else None
        if parcel is not None:
            orders = ", ".join(await order_numbers_of(tx, parcel["id"]))
            whose = f" (order {orders})" if orders else ""
            raise Declined("number_known", f"{carrier} {number} is a parcel of {parcel['merchant']}{whose}", "/number")
        id = await key_in(tx, values, to_us(now))
        if id is None:
            raise Declined("number_decided", f"{carrier} {number} was decided about before", "/number")
        return id

    id = await write_surely(desk.store, unit)
    await judge(desk, id)
    return id


def _recognised(desk: Identifier, box: Box) -> tuple[str, str | None]:
    """Carrier and number as that carrier writes it; any other carrier's as it was keyed in."""
    written = box.number.strip()
    if not written:
        return box.carrier, None
    names = [box.carrier] if box.carrier else sorted(desk.carriers)
    for name in names:
        found = desk.carriers[name].recognise(written) if name in desk.carriers else None
        if found is not None:
            return name, found.number
    return box.carrier, written


# -------------------------------------------------------------------------------------------------------- how it reads


def unidentified_view(row: Row, sealer: Sealer | None = None) -> dict[str, Any]:
    """A row as a person at the desk is shown it; what was written about a person only where a sealer is given."""
    said = msgspec.json.decode(sealer.open(bytes(row["note"]))) if sealer and row["note"] else {}
    clue = msgspec.json.decode(row["clue"])
    return {
        "id": row["id"],
        "state": row["state"],
        "source": row["source"],
        "merchant": row["merchant"] or None,
        "carrier": row["carrier"] or None,
        "number": row["number"],
        "order_number": row["order_number"] or None,
        "name": said.get("name") or None,
        "note": said.get("note") or None,
        "references": clue.get("references", []),
        "origin": clue.get("origin"),
        "destination": clue.get("destination"),
        "first_seen_at": clue.get("first_seen_at"),
        "candidates": msgspec.json.decode(row["candidates"]),
        "outcome": msgspec.json.decode(row["outcome"]) or None,
        "decided_by": row["decided_by"] or None,
        "created_at": text(from_us(row["created_us"])),
        "updated_at": text(from_us(row["updated_us"])),
    }


def _clue_view(clue: Clue) -> dict[str, Any]:
    return {
        "references": list(clue.references),
        "alternates": list(clue.alternates),
        "account": clue.account,
        "origin": str(clue.origin) or None,
        "destination": str(clue.destination) or None,
        "first_seen_at": text(clue.first) if clue.first else None,
    }


def _ranked_view(ranked: Ranked) -> dict[str, Any]:
    candidate = ranked.candidate
    return {
        "kind": candidate.kind,
        "merchant": candidate.merchant,
        "return_number": candidate.name if candidate.kind is CandidateKind.RETURN else None,
        "parcel": None
        if candidate.kind is CandidateKind.RETURN
        else {"carrier": candidate.carrier, "number": candidate.number},
        "order_numbers": list(candidate.order_numbers),
        "score": ranked.score.value,
        "reasons": [asdict(reason) for reason in ranked.score.reasons],
        "because": list(ranked.score.because),
    }
