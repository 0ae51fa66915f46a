"""A number that nobody registered is given to whom it belongs: followed from now on, announced, off the desk."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from fleet.clocks import to_us
from returns.candidates import Identifier, case_candidate, clue_of, return_candidate
from returns.forms import about_of
from store.again import write_surely
from store.engine import Row, Tx
from store.outbox import say
from store.parcels import find_parcel, lock_parcel, lock_parcel_by_id, register_parcel
from store.returns import change_return, find_return, lock_return_by_id
from store.unidentified import UNDECIDED, decided, link_parcel, lock_unidentified
from tracker.ledger import shipment_of
from tracker.lifecycle import Purpose
from tracker.matching import Candidate, CandidateKind, Clue, Score, rank
from tracker.orders import Declined

BY_SCORE = "score"
"""Who decided, where no person did."""


async def confirm(
    desk: Identifier, id: int, by: str, *, return_number: str = "", carrier: str = "", number: str = ""
) -> None:
    """A person says whose it is: a return's, or a parcel's way home. Raises Declined."""
    now = desk.clock.now()

    async def unit(tx: Tx) -> None:
        row = await _undecided(tx, id)
        clue = await clue_of(tx, desk, row)
        chosen = await _chosen(tx, desk, return_number, carrier, number, now)
        ranked = rank(clue, [chosen], 1)
        found = ranked[0].score if ranked else Score(0.0, ())
        await match(tx, desk, row, clue, chosen, found, by, now)

    await write_surely(desk.store, unit)


async def dismiss(desk: Identifier, id: int, by: str, why: str = "") -> None:
    """A person says that it is nobody's here. Raises Declined."""
    now = desk.clock.now()

    async def unit(tx: Tx) -> None:
        row = await _undecided(tx, id)
        await decide(tx, row, "dismissed", {"why": why}, by, now)

    await write_surely(desk.store, unit)


async def _undecided(tx: Tx, id: int) -> Row:
    row = await lock_unidentified(tx, id)
    if row is None:
        raise Declined("unidentified_unknown", f"no unidentified parcel {id}")
    if row["state"] not in UNDECIDED:
        raise Declined("unidentified_decided", f"unidentified parcel {id} is {row['state']}")
    return row


async def _chosen(tx: Tx, desk: Identifier, return_number: str, carrier: str, number: str, now: datetime) -> Candidate:
    if return_number:
        row = await find_return(tx, return_number)
        if row is None:
            raise Declined("return_not_found", f"no return {return_number}", "/return_number")
        return await return_candidate(tx, desk, row, now)
    parcel = await find_parcel(tx, carrier, number)
    if parcel is None:
        raise Declined("parcel_unknown", f"no parcel {carrier} {number}", "/number")
    if parcel["purpose"] == Purpose.RETURN or shipment_of(parcel).home_of:
        raise Declined("not_a_parcel_home", f"{carrier} {number} goes to no customer: name its return", "/number")
    return await case_candidate(tx, desk, parcel, now)


# ------------------------------------------------------------------------------------------------------------- matched


async def match(
    tx: Tx, desk: Identifier, row: Row, clue: Clue, chosen: Candidate, found: Score, by: str, now: datetime
) -> None:
    """It is this candidate's: followed from now on, announced, and no longer at the desk."""
    carrier = _carrier_of(desk, row)
    if carrier and chosen.kind is CandidateKind.CASE:
        await _link(tx, desk, carrier, row["number"], chosen, found, by, now)
    elif carrier:
        await _give(tx, desk, carrier, row["number"], clue, chosen, now)
    outcome = {
        "kind": chosen.kind,
        "name": chosen.name,
        "merchant": chosen.merchant,
        "score": found.value,
        "because": found.because,
    }
    await decide(tx, row, "matched", outcome, by, now)


async def _link(
    tx: Tx, desk: Identifier, carrier: str, number: str, chosen: Candidate, found: Score, by: str, now: datetime
) -> None:
    """The number is the parcel's further way home: both are concluded about anew, and the first one's story says so."""
    first = await lock_parcel_by_id(tx, chosen.id)
    assert first is not None
    known = msgspec.json.decode(first["shipment"])
    mine = {"home_of": [first["carrier"], first["number"]], "destination": msgspec.structs.asdict(chosen.warehouse)}
    if known.get("destination"):
        mine["origin"] = known["destination"]
    further_id = await register_parcel(
        tx,
        merchant=first["merchant"],
        carrier=carrier,
        number=number,
        purpose=first["purpose"],
        shipment=as_json(mine),
        now_us=to_us(now),
    )
    known["further"] = [*known.get("further", []), [carrier, number]]
    because = as_json(list(found.because))
    await link_parcel(
        tx,
        further_id=further_id,
        parcel_id=first["id"],
        shipment=as_json(known),
        since_us=to_us(now),
        by=by,
        score=str(found.value),
        because=because,
    )
    further = await lock_parcel(tx, carrier, number)
    assert further is not None
    await desk.ledger.conclude(tx, further, now)
    again = await lock_parcel_by_id(tx, first["id"])
    assert again is not None
    view = await desk.ledger.conclude(tx, again, now)
    data = {
        "merchant": first["merchant"],
        "carrier": first["carrier"],
        "number": first["number"],
        "purpose": first["purpose"],
        "order_numbers": list(chosen.order_numbers),
        "return_number": None,
        "parcel": view,
        "further": {"carrier": carrier, "number": number, "score": found.value, "by": _role(by)},
    }
    name = f"further/{carrier}/{number}"
    await say(tx, subject=f"parcel:{first['id']}", name=name, type="parcel.status_changed", at=now, data=data)


async def _give(
    tx: Tx, desk: Identifier, carrier: str, number: str, clue: Clue, chosen: Candidate, now: datetime
) -> None:
    """The number is the return's parcel from now on: what its carrier told moves the return as any scan does."""
    held = await lock_return_by_id(tx, chosen.id)
    assert held is not None
    origin = chosen.origin or clue.origin
    known: dict[str, Any] = {"destination": msgspec.structs.asdict(chosen.warehouse)}
    if origin:
        known["origin"] = msgspec.structs.asdict(origin)
    parcel_id = await register_parcel(
        tx,
        merchant=chosen.merchant,
        carrier=carrier,
        number=number,
        purpose=Purpose.RETURN,
        shipment=as_json(known),
        now_us=to_us(now),
    )
    about = replace(about_of(held), followed=0)  # another parcel, whose notices are numbered anew
    await change_return(
        tx,
        held["id"],
        state=held["state"],
        about=msgspec.json.encode(about).decode(),
        parcel_id=parcel_id,
        updated_us=to_us(now),
    )
    parcel = await lock_parcel_by_id(tx, parcel_id)
    assert parcel is not None
    await desk.ledger.conclude(tx, parcel, now)


def _carrier_of(desk: Identifier, row: Row) -> str:
    """Who can be asked about the number: its carrier, or another one that knows it as its own; empty: nobody here."""
    if not row["number"]:
        return ""
    if row["source"] == "told":  # a carrier may name the number of the one that finishes its work
        for name in (str(row["carrier"]), *sorted(desk.carriers)):
            if name in desk.carriers and desk.carriers[name].recognise(row["number"]):
                return name
    return str(row["carrier"]) if row["carrier"] in desk.ledger.readings else ""


async def decide(tx: Tx, row: Row, state: str, outcome: Mapping[str, Any], by: str, now: datetime) -> None:
    await decided(tx, row["id"], state=state, outcome=as_json(outcome), by=by, now_us=to_us(now))
    data = {"carrier": row["carrier"], "number": row["number"], "unidentified": row["id"], "state": state}
    subject = f"unidentified:{row['id']}"
    await say(tx, subject=subject, name="decided", type="ops.identified", at=now, data=data)


def _role(by: str) -> str:
    return "score" if by == BY_SCORE else "person"


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
