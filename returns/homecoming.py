"""An undeliverable parcel is in the warehouse again: its receipt, by scan or by hand, is what money follows from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from fleet.clocks import from_us, to_us
from merchants.terms import Outcome, Terms
from returns.accounts import account_of, price_of
from returns.forms import Settlement, Sums, Teller, settlement_of, wishes_of
from returns.settling import NOTHING, MoneyLine, Piece, Pot, settle_homecoming, totals
from spending.intents import Till
from store.again import write_surely
from store.cases import money_of_case
from store.engine import Row, Tx
from store.homecomings import add_homecoming, carried_by, find_homecoming, homecomings_of, restate_homecoming
from store.outbox import say
from store.parcels import find_parcel, parcel_by_id
from store.returns import returns_of
from tracker.lifecycle import HomeReason, Leg, Purpose, Status
from tracker.orders import Declined, Shelf, counts_of, facts_of, home_view, terms_for

LATE = "billed after it was settled, and not deducted"


@dataclass(frozen=True, slots=True)
class Hands:
    """What the warehouse says of a parcel it has in its hands. `reason` where the carrier told none."""

    at: datetime | None = None
    reason: HomeReason | None = None
    note: str = ""


async def receive_parcel(till: Till, shelf: Shelf, carrier: str, number: str, hands: Hands) -> dict[str, Any]:
    """The warehouse has an order's parcel again, scan or none; the same again changes nothing. Raises Declined."""
    now = till.clock.now()
    at = hands.at or now
    if at > now:
        raise Declined("instant_ahead", "it cannot have arrived later than now", "/at")

    async def unit(tx: Tx) -> dict[str, Any]:
        parcel = await find_parcel(tx, carrier, number)
        if parcel is None:
            raise Declined("parcel_unknown", f"no parcel {carrier} {number}")
        if parcel["purpose"] == Purpose.RETURN:
            raise Declined("parcel_of_return", f"{number} is a customer's return: say that the return was received")
        await _come_home(tx, shelf, parcel, at, Teller.WAREHOUSE, hands, now)
        return await homecoming_view(tx, parcel)

    return await write_surely(till.store, unit)


async def come_home(till: Till, shelf: Shelf, parcel_id: int) -> None:
    """The carrier says that a parcel is home: it is settled, once."""
    now = till.clock.now()
    await write_surely(till.store, lambda tx: _scanned(tx, shelf, parcel_id, now))


async def restate_costs(till: Till, shelf: Shelf, carrier: str, number: str) -> None:
    """A carrier bills late: what it took on top is among the parcel's costs, though its money was settled before.

    What was settled stands: a credit that was given is not taken back.  # source: policy 26
    """

    async def unit(tx: Tx) -> None:
        parcel = await find_parcel(tx, carrier, number)
        row = await find_homecoming(tx, parcel["id"]) if parcel else None
        if parcel is None or row is None:
            return
        settled = settlement_of(row)
        terms = terms_for(shelf, parcel["merchant"], from_us(parcel["created_us"]))
        known = {line.name: line for line in settled.costs}
        costs = _costs(terms, parcel, settled.reason, await money_of_case(tx, parcel["id"]))
        told = tuple(known.get(line.name) or replace(line, because=f"{line.because}; {LATE}") for line in costs)
        if told != settled.costs:
            kept = msgspec.json.encode(replace(settled, costs=told)).decode()
            await restate_homecoming(tx, parcel["id"], kept)

    await write_surely(till.store, unit)


async def homecoming_view(tx: Tx, parcel: Row) -> dict[str, Any]:
    """What was settled for a parcel that is home."""
    row = await find_homecoming(tx, parcel["id"])
    assert row is not None
    orders = [order["number"] for order in await carried_by(tx, parcel["id"])]
    return {
        "merchant": parcel["merchant"],
        "carrier": parcel["carrier"],
        "number": parcel["number"],
        "order_numbers": orders,
        **home_view(row),
    }


# -------------------------------------------------------------------------------------------------------------- inside


async def _scanned(tx: Tx, shelf: Shelf, parcel_id: int, now: datetime) -> None:
    parcel = await parcel_by_id(tx, parcel_id)
    if parcel is None or (parcel["leg"], parcel["status"]) != (Leg.BACK, Status.DELIVERED):
        return
    at = msgspec.json.decode(parcel["conclusion"]).get("returned_at")
    await _come_home(tx, shelf, parcel, datetime.fromisoformat(at) if at else now, Teller.SCAN, Hands(), now)


async def _come_home(
    tx: Tx, shelf: Shelf, parcel: Row, at: datetime, teller: Teller, hands: Hands, now: datetime
) -> None:
    """Settled once, whoever says first that it is home; the order service hears it with the money."""
    if await find_homecoming(tx, parcel["id"]):
        return
    terms = terms_for(shelf, parcel["merchant"], from_us(parcel["created_us"]))
    view = msgspec.json.decode(parcel["conclusion"])
    case = view.get("return_to_warehouse") or {}
    reason = str(hands.reason or case.get("reason") or HomeReason.UNKNOWN)
    settlement = await _settle(tx, terms, parcel, reason, hands.note)
    kept = msgspec.json.encode(settlement).decode()
    if not await add_homecoming(tx, parcel["id"], received_us=to_us(at), teller=teller, settlement=kept):
        return
    home = await homecoming_view(tx, parcel)
    data = {
        "merchant": parcel["merchant"],
        "carrier": parcel["carrier"],
        "number": parcel["number"],
        "purpose": parcel["purpose"],
        "order_numbers": home["order_numbers"],
        "return_number": None,
        "parcel": view,
        "home": home,
    }
    subject, type = f"parcel:{parcel['id']}", "return_to_warehouse.received"
    await say(tx, subject=subject, name="case/received", type=type, at=now, data=data)


async def _settle(tx: Tx, terms: Terms, parcel: Row, reason: str, note: str) -> Settlement:
    """Of each order on it: what its goods come to, and what the legs and the carrier's surcharges cost."""
    case = await money_of_case(tx, parcel["id"])
    surcharges = [Decimal(row["amount"]) for row in case if row["kind"] == "surcharge" and row["amount"]]
    surcharge = sum(surcharges, NOTHING) if surcharges else None
    lines: list[MoneyLine] = []
    for order in await carried_by(tx, parcel["id"]):
        others = [row for row in await homecomings_of(tx, order["id"]) if row["parcel_id"] != parcel["id"]]
        further = [line for row in others for line in settlement_of(row).money.lines]
        returns = await returns_of(tx, order["id"])
        account = account_of(order, returns, further)
        wishes = [wish for each in returns for wish in wishes_of(each["items"])]
        lines += settle_homecoming(terms, account, _pieces(order, wishes), reason, surcharge)
        surcharge = NOTHING if surcharge is not None else None  # one parcel, one surcharge
    return Settlement(
        reason=reason,
        outcome=terms.undeliverable.outcome,
        term="undeliverable.outcome",
        costs=tuple(_costs(terms, parcel, reason, case)),
        money=Sums(tuple(lines), totals(lines)),
        note=note,
    )


def _pieces(order: Row, wishes: Sequence[Mapping[str, Any]]) -> list[Piece]:
    facts = facts_of(order)
    return [
        Piece(sku, count, price_of(facts, wishes, sku), Outcome.STORE_CREDIT)
        for sku, count in counts_of(order["items"]).items()
    ]


def _costs(terms: Terms, parcel: Row, reason: str, case: Sequence[Row]) -> list[MoneyLine]:
    """Each leg and surcharge: as the carrier billed it, else as the terms reckon it."""
    billed = [
        MoneyLine("", Pot.CHARGE, row["name"], Decimal(row["amount"]) if row["amount"] else None, row["currency"],
                  row["note"] or "the carrier's charge")
        for row in case
    ]  # fmt: skip
    costs = terms.undeliverable.costs
    if costs is None:
        return billed
    rows = [("leg_out", costs.out, "the way to the customer"), ("leg_back", costs.back, "the way back")]
    if reason == HomeReason.REFUSED and not any(row["kind"] == "surcharge" for row in case):
        rows.append(("surcharge", costs.refusal_surcharge, "the carrier's surcharge for a refused parcel"))
    currency, term = terms.shop.currency, "undeliverable.costs"
    return [
        *(MoneyLine("", Pot.CHARGE, name, cost, currency, says, term) for name, cost, says in rows),
        *billed,
    ]
